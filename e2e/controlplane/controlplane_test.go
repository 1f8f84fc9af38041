package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestThePinsOfThisModuleAreReadAndNameTheVersion(t *testing.T) {
	p, err := readPins(".", "")
	if err != nil {
		t.Fatal(err)
	}
	if want := "v1.37.2"; p.kubernetes != want {
		t.Errorf("Kubernetes %s, not %s", p.kubernetes, want)
	}
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=v1.37.2",
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/component-base/version.gitMinor=37",
	} {
		if !strings.Contains(p.ldflags(), want) {
			t.Errorf("ldflags %q lack %q", p.ldflags(), want)
		}
	}
}

// What is built is what the folder says, and a change of etcd's or KWOK's pins makes a new folder too.
func TestEachOlderMinorHasAModuleThatPinsIt(t *testing.T) {
	newest, err := readPins(".", "")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob("1.*")
	if err != nil || len(modules) == 0 {
		t.Fatalf("no older minor: %v", err)
	}
	for _, minor := range modules {
		older, err := readPins(".", minor)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(older.kubernetes, "v"+minor+".") || older.module != minor || !bytes.HasSuffix(older.sums, newest.sums) {
			t.Errorf("%s pins %s in the folder %s", minor, older.kubernetes, older.module)
		}
	}
	if again, err := readPins(".", "1.37"); err != nil || again.key() != newest.key() {
		t.Errorf("1.37 is %s, not %s (%v)", again.key(), newest.key(), err)
	}
	if _, err := readPins(".", "1.2"); err == nil || !strings.Contains(err.Error(), `no module for Kubernetes "1.2"`) {
		t.Errorf("of 1.2 it says %v", err)
	}
}

func TestTheKeyChangesWithThePinsAndWithNothingElse(t *testing.T) {
	p := pins{kubernetes: "v1.37.2", sums: []byte("one")}
	if again := (pins{kubernetes: "v1.37.2", sums: []byte("one")}); p.key() != again.key() {
		t.Errorf("the same pins give %s and %s", p.key(), again.key())
	}
	if other := (pins{kubernetes: "v1.37.2", sums: []byte("two")}); p.key() == other.key() {
		t.Errorf("other sums give the same key %s", p.key())
	}
	if other := (pins{kubernetes: "v1.37.3", sums: []byte("one")}); p.key() == other.key() {
		t.Errorf("another version gives the same key %s", p.key())
	}
}

func TestOutsideItsFolderItSaysHowToRunIt(t *testing.T) {
	_, err := readPins(t.TempDir(), "")
	if err == nil || !strings.Contains(err.Error(), "go run -C e2e/controlplane") {
		t.Errorf("got %v", err)
	}
}

func TestASecondRunWaitsForTheFirst(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "v1")
	unlock, err := lock(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		unlock, err := lock(t.Context(), folder)
		if err == nil {
			unlock()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("the second run did not wait: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	unlock()
	if err := <-second; err != nil {
		t.Errorf("the second run got no lock after the first: %v", err)
	}
}

func TestAWaitingRunCanBeInterrupted(t *testing.T) {
	folder := t.TempDir()
	unlock, err := lock(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, folder); err == nil {
		t.Error("two runs have the lock")
	}
}

func TestAFailedBuildSaysWhyAndLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	err := build(t.Context(), binary{name: "nothing", pkg: "berth.dev/no/such/package"}, folder, pins{})
	if err == nil || !strings.Contains(err.Error(), "berth.dev/no/such/package") {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}

func TestProgramsOfKubebuilderAssetsStandBesideOurs(t *testing.T) {
	root, ours, theirs := t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{"etcd", "kube-apiserver", "README"} {
		write(t, filepath.Join(theirs, name), "theirs")
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kubectl", "kwok", stages} {
		write(t, filepath.Join(ours, name), "ours")
	}
	assets := assetsFrom(theirs)
	if err := buildMissing(t.Context(), ours, assets, pins{}); err != nil {
		t.Fatalf("something was built: %v", err)
	}
	// Twice: the second run finds the links of the first.
	for range 2 {
		mixed, err := linkAssets(root, ours, assets)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"etcd": "theirs", "kube-apiserver": "theirs", "kubectl": "ours", "kwok": "ours", stages: "ours"} {
			got, err := os.ReadFile(filepath.Join(mixed, name))
			if err != nil || string(got) != want {
				t.Errorf("%s is %s (%v), not %s", name, got, err, want)
			}
		}
	}
	if got := assetsFrom(""); len(got) != 0 {
		t.Errorf("without KUBEBUILDER_ASSETS there are %v", got)
	}
}

func TestProgressInALogIsWholeLines(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	out := newProgress(file)
	out.begin("1 of 2 etcd  ", 80*time.Second)(nil)
	out.begin("2 of 2 kwok  ", time.Second)(errors.New("no space"))
	got, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := "1 of 2 etcd  takes about 1 min 20 s\n1 of 2 etcd  done in 0 s\n2 of 2 kwok  takes about 1 s\n2 of 2 kwok  failed after 0 s\n"
	if !bytes.Equal(got, []byte(want)) {
		t.Errorf("got %q, not %q", got, want)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
