package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// shell is a process that runs a script and is ready when the script has written the file "ready" into its folder.
func shell(t *testing.T, script string) *Process {
	t.Helper()
	dir := t.TempDir()
	p := &Process{
		Name: "script", Log: filepath.Join(dir, "script.log"), path: "/bin/sh", args: []string{"-c", "cd " + dir + "; " + script},
		ready: func(context.Context) error { _, err := os.Stat(filepath.Join(dir, "ready")); return err },
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func start(t *testing.T, p *Process) {
	t.Helper()
	if err := errors.Join(p.Start(t.Context()), p.WaitReady(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestProcessThatEndsBeforeItIsReadyIsNamedWithItsLastWords(t *testing.T) {
	p := shell(t, "for i in $(seq 40); do echo line $i; done; exit 3")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := p.WaitReady(t.Context())
	var last []string
	for i := 29; i <= 40; i++ {
		last = append(last, fmt.Sprintf("line %d", i))
	}
	want := "script ended before it was ready: exit status 3\nthe last lines of " + p.Log + ":\n  " + strings.Join(last, "\n  ")
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestProcessThatIsNotThereIsNamed(t *testing.T) {
	p := &Process{Name: "nothing", Log: filepath.Join(t.TempDir(), "log"), path: "/no/such/program"}
	if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "start nothing: ") {
		t.Errorf("got %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stopping what never ran: %v", err)
	}
}

func TestProcessCanBeStoppedAndKilledAndStartedAgain(t *testing.T) {
	p := shell(t, `trap 'rm ready; echo asked to end; exit' TERM; echo started; echo > ready; while :; do sleep 0.05; done`)
	start(t, p)
	if err := p.Start(t.Context()); err == nil {
		t.Error("it was started twice")
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if p.Pid() != 0 {
		t.Errorf("stopped, it still has process id %d", p.Pid())
	}
	start(t, p)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(p.Log)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("started\nasked to end\nstarted\n", string(log)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestFoldersOfDeadRunsAreRemovedAndThoseOfLivingOnesStay(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	folder := func(name string) string {
		path := filepath.Join(os.TempDir(), name)
		if err := os.MkdirAll(filepath.Join(path, "etcd"), 0o750); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone := folder(fmt.Sprintf("%s%d-1", folderPrefix, dead.Process.Pid))
	stay := []string{folder(fmt.Sprintf("%s%d-1", folderPrefix, os.Getpid())), folder(folderPrefix + "x-1"), folder("something-else")}
	removeAbandoned()
	if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", gone, err)
	}
	for _, path := range stay {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
}

func TestManifestsAreAppliedAsTheyAreButForTheAddressAndTheCA(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(filepath.Join(root, "deploy", "berth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	documents, err := readManifests(root, "127.0.0.1:1234", []byte("a CA"))
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(documents.base+"\n---\n"+documents.policies, "\n---\n") {
		if !strings.Contains(string(original), strings.TrimSpace(document)) {
			t.Errorf("this is not in deploy/berth.yaml:\n%s", document)
		}
	}
	// Undone, the redirection leaves what is in the file.
	want, got := webhookConfigurations(t, string(original)), webhookConfigurations(t, documents.webhooks)
	for i, paths := range [][]string{
		{"/mutate-apps-v1-daemonset"},
		{"/validate-apps-v1-daemonset"},
		{"/validate-berth-dev-v1alpha1-placementpolicy"},
	} {
		for j, path := range paths {
			webhook := got[i]["webhooks"].([]any)[j].(map[string]any)
			redirected := map[string]any{"url": "https://127.0.0.1:1234" + path, "caBundle": "YSBDQQ=="}
			if diff := cmp.Diff(redirected, webhook["clientConfig"]); diff != "" {
				t.Errorf("clientConfig (-want +got):\n%s", diff)
			}
			webhook["clientConfig"] = want[i]["webhooks"].([]any)[j].(map[string]any)["clientConfig"]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rest of the webhook configurations (-want +got):\n%s", diff)
	}
}

func webhookConfigurations(t *testing.T, documents string) (found []map[string]any) {
	t.Helper()
	for document := range strings.SplitSeq(documents, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if kind, _ := object["kind"].(string); strings.HasSuffix(kind, "WebhookConfiguration") {
			found = append(found, object)
		}
	}
	return found
}
