package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// run runs berth with a command line, as main does.
func run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestVersionNamesTheBuild(t *testing.T) {
	got, err := run(t, "version")
	if err != nil {
		t.Fatal(err)
	}
	want := "berth devel\n" + runtime.Version() + "\n" + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHelpHasExamplesAndEveryFlagInItsGroup(t *testing.T) {
	got, err := run(t, "serve", "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Examples:\n", "Usage:\n  berth serve [flags]\n",
		"\nCluster:\n", "\nServing:\n", "\nSelf-managed certificate (without --tls-cert-file):\n", "\nProbes, metrics and logs:\n", "\nLeader election:\n", "\nAudit:\n",
		"--kubeconfig", "--webhook-bind-address", "--tls-cert-file", "--tls-private-key-file", "--tls-min-version",
		"--client-ca-file", "--client-allowed-names",
		"--health-probe-bind-address", "--metrics-bind-address", "--log-format", "--log-level",
		"--leader-elect ", "--leader-election-namespace", "--excluded-namespaces", "--excluded-priority-classes", "--namespace-selector", "--system-tier",
		"--ca-secret", "--webhook-configurations", "--serving-certificate-rotation", "--ca-rotation",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the help has no %q:\n%s", want, got)
		}
	}
}

// writeFile makes a file for one test.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// localKubeconfig names a cluster that nobody connects to here.
const localKubeconfig = `
apiVersion: v1
kind: Config
current-context: local
clusters: [{name: local, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: local, context: {cluster: local}}]
`

func TestAWrongCommandLineSaysWhatToDo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "tls.crt")
	garbage := writeFile(t, "tls.crt", "no PEM")
	kubeconfig := "--kubeconfig=" + writeFile(t, "kubeconfig", localKubeconfig)
	pair := newKeyPair(t, "berth")
	certFlag, keyFlag := "--tls-cert-file="+pair.certFile, "--tls-private-key-file="+pair.keyFile
	tests := map[string]struct {
		args []string
		want string
	}{
		"no such command": {
			args: []string{"sail"},
			want: `unknown command "sail" for "berth"`,
		},
		"a file without its flag": {
			args: []string{"check", "agents.yaml"},
			want: "agents.yaml: files are named with -f",
		},
		"a file to compare without its flag": {
			args: []string{"diff", "agents.yaml", "-f", "cluster.yaml"},
			want: "agents.yaml: files are named with -f",
		},
		"a file to draw without its flag": {
			args: []string{"map", "agents.yaml"},
			want: "agents.yaml: files are named with -f",
		},
		"two outputs into one file": {
			args: []string{"check", "-o", "json=out", "-o", "table", "-o", "yaml", "-o", "yaml=./out"},
			want: "--output=yaml=./out: another output goes into this file",
		},
		"no such flag": {
			args: []string{"serve", "--port=1"},
			want: "unknown flag: --port\nSee 'berth serve --help' for usage",
		},
		"a word that a flag does not take": {
			args: []string{"serve", "--tls-min-version=1.1"},
			want: "invalid argument \"1.1\" for \"--tls-min-version\" flag: must be VersionTLS12 or VersionTLS13\nSee 'berth serve --help' for usage",
		},
		"no certificate": {
			args: []string{"serve", kubeconfig, "--tls-cert-file", missing, "--tls-private-key-file", missing},
			want: "load the serving certificate: open " + missing + ": no such file or directory\nSay with --tls-cert-file and --tls-private-key-file where the pair is",
		},
		"a certificate that is none": {
			args: []string{"serve", kubeconfig, "--tls-cert-file", garbage, "--tls-private-key-file", garbage},
			want: "load the serving certificate: tls: failed to find any PEM data in certificate input\nSay with --tls-cert-file and --tls-private-key-file where the pair is",
		},
		"a certificate without its key": {
			args: []string{"serve", kubeconfig, "--tls-cert-file", garbage},
			want: "if any flags in the group [tls-cert-file tls-private-key-file] are set they must all be set; missing [tls-private-key-file]",
		},
		"names of clients without a CA": {
			args: []string{"serve", kubeconfig, certFlag, keyFlag, "--client-allowed-names=front"},
			want: "--client-allowed-names needs --client-ca-file: a name counts only where a CA vouches for it",
		},
		"no CA of clients": {
			args: []string{"serve", kubeconfig, certFlag, keyFlag, "--client-ca-file", missing},
			want: "load the CAs of clients: open " + missing + ": no such file or directory\nSay with --client-ca-file where they are",
		},
		"nowhere to keep the CA": {
			args: []string{"serve", kubeconfig},
			want: "berth does not run in a Pod: say with --ca-secret NAMESPACE/NAME where the CA is kept, " +
				"or with --tls-cert-file and --tls-private-key-file which certificate to serve",
		},
		"half a name for the CA's Secret": {
			args: []string{"serve", kubeconfig, "--ca-secret=berth-system/"},
			want: "--ca-secret=berth-system/: must be NAMESPACE/NAME",
		},
		"a rotation that has no time for its steps": {
			args: []string{"serve", kubeconfig, "--ca-rotation=30s"},
			want: "--ca-rotation must be at least 40s and --serving-certificate-rotation at least 1s",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, test.args...)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoLineOfAnErrorIsACommandForTheTerminalOrTheCISystem(t *testing.T) {
	_, err := run(t, "check", "-f", "x\n::warning title=t::\x1b\u202epwned\n.yaml")
	if err == nil {
		t.Fatal("no error")
	}
	var said strings.Builder
	writeError(&said, fmt.Errorf("%w\nSay where it is", err))
	const name = "x\n  | \uFFFD:warning title=t::^[\uFFFDpwned\n  | .yaml"
	if diff := cmp.Diff("error: stat "+name+": no such file or directory\n  | Say where it is\n", said.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWithoutAClusterTheErrorNamesTheFlag(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := restConfig("")
	if err == nil || !strings.Contains(err.Error(), "--kubeconfig FILE") {
		t.Errorf("outside a Pod and without a kubeconfig: %v", err)
	}
	if _, err := restConfig("/no/such/kubeconfig"); err == nil || !strings.Contains(err.Error(), "/no/such/kubeconfig") {
		t.Errorf("with a kubeconfig that is not there: %v", err)
	}
}

func TestAnErrorOfTheAPIServerSaysWhatToDo(t *testing.T) {
	policies := schema.GroupResource{Group: "berth.dev", Resource: "placementpolicies"}
	tests := map[string]struct {
		err  error
		want string
	}{
		"no kind":        {apierrors.NewNotFound(policies, ""), "install berth's CustomResourceDefinition"},
		"no rights":      {apierrors.NewForbidden(policies, "", nil), "berth lacks the rights of its ClusterRole"},
		"no credentials": {apierrors.NewUnauthorized("Unauthorized"), "does not accept berth's credentials"},
		"something else": {apierrors.NewInternalError(os.ErrInvalid), "read policies: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := explain(test.err).Error(); !strings.Contains(got, test.want) {
				t.Errorf("%q does not say %q", got, test.want)
			}
		})
	}
}
