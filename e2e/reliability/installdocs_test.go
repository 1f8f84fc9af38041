package reliability_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/e2e/testbed"
)

// commandsOf are the blocks of commands, those without a language, in a section of docs/install.md, in their order.
func commandsOf(t *testing.T, section string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/install.md has no section %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	const fence = "```"
	for i, part := range strings.Split(rest, fence) {
		if inside := i%2 == 1; inside && strings.HasPrefix(part, "\n") {
			blocks = append(blocks, part)
		}
	}
	return blocks
}

// shell runs commands as somebody does who reads them, with the tools of this repository.
func shell(t *testing.T, commands string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	path, err := testbed.HelmPath()
	if err != nil {
		t.Fatal(err)
	}
	script := "export PATH=" + cp.Bin + ":" + filepath.Dir(path) + ":$PATH\n" + commands
	if _, _, err := cp.Run(ctx, "", "bash", "-euo", "pipefail", "-c", script); err != nil {
		t.Fatal(err)
	}
}

// Nothing fails while the commands run; and once berth is installed everything is placed, until it is uninstalled.
func TestTheCommandsOfInstallLoseNothing(t *testing.T) {
	for _, section := range []string{"With Helm", "Without Helm"} {
		t.Run(section, func(t *testing.T) {
			withoutBerth(t)
			commands := commandsOf(t, section)
			away := slices.IndexFunc(commands, func(block string) bool {
				return strings.Contains(block, "uninstall") || strings.Contains(block, " delete ")
			})
			if away < 2 {
				t.Fatalf("the commands do not install, upgrade and uninstall: %q", commands)
			}
			// What the reader is to put in the place of NAMESPACE.
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "install-"}}
			namespace, err := cp.Client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			run := func(blocks []string) {
				for _, block := range blocks {
					t.Log(block)
					shell(t, strings.ReplaceAll(block, "NAMESPACE", namespace.Name))
				}
			}
			whileNothingFails(t, func() { run(commands[:1]) })
			load := startLoad(t, enabledNamespace(t))
			run(commands[1:away])
			counts := load.stop(t)
			counts.expectNothingLost(t)
			if slices.ContainsFunc(commands, func(block string) bool { return strings.Contains(block, "NAMESPACE") }) {
				awaitPlacement(t, namespace.Name)
			}
			whileNothingFails(t, func() { run(commands[away:]) })
			left := strings.Split(kubectl(t, "get", "crd,mutatingwebhookconfiguration,validatingwebhookconfiguration", "-o", "name"), "\n")
			// Another test may have had cert-manager.
			left = slices.DeleteFunc(left, func(name string) bool { return name == "" || strings.Contains(name, "cert-manager") })
			if len(left) > 0 {
				t.Errorf("this is left: %q", left)
			}
		})
	}
}
