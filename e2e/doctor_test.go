package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/e2e/testbed"
)

// installation is a control plane with a berth that a test may break.
type installation struct {
	*testing.T
	cp    *testbed.ControlPlane
	berth *testbed.Berth
}

// diagnosis is what berth doctor prints as JSON.
type diagnosis struct {
	Kind     string
	Sections []struct {
		Name     string
		Findings []struct{ Outcome, Message, Advice, Docs string }
	}
}

// of returns the messages of an outcome, with their sections.
func (d *diagnosis) of(outcome string) []string {
	var messages []string
	for _, section := range d.Sections {
		for _, f := range section.Findings {
			if f.Outcome == outcome {
				messages = append(messages, section.Name+": "+f.Message)
			}
		}
	}
	return messages
}

func (i *installation) kubectl(stdin string, args ...string) string {
	i.Helper()
	stdout, stderr, err := i.cp.Kubectl(i.Context(), stdin, args...)
	if err != nil {
		i.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// doctor runs berth doctor, which has to end with the code.
func (i *installation) doctor(code int, args ...string) *diagnosis {
	i.Helper()
	d, got := i.examined(args...)
	if got != code {
		i.Errorf("berth doctor %s ends with %d, not with %d: %+v", strings.Join(args, " "), got, code, d)
	}
	return d
}

// examined runs berth doctor, and returns with which code it has ended.
func (i *installation) examined(args ...string) (d *diagnosis, code int) {
	i.Helper()
	stdout, stderr, err := i.cp.Run(i.Context(), "", i.berth.Binary, append([]string{"doctor", "-o", "json"}, args...)...)
	d = &diagnosis{}
	if err := json.Unmarshal([]byte(stdout), d); err != nil {
		i.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	return d, exitCode(err)
}

// saved returns an object as it can be created again.
func (i *installation) saved(kind, name string) string {
	i.Helper()
	object := map[string]any{}
	if err := json.Unmarshal([]byte(i.kubectl("", "get", kind, name, "-o", "json")), &object); err != nil {
		i.Fatal(err)
	}
	metadata := object["metadata"].(map[string]any)
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"} {
		delete(metadata, field)
	}
	encoded, err := json.Marshal(object)
	if err != nil {
		i.Fatal(err)
	}
	return string(encoded)
}

// patch changes an object, and returns what changes it back.
func (i *installation) patch(kind, name, patch, back string) func() {
	i.Helper()
	i.kubectl("", "patch", kind, name, "--type=json", "-p", patch)
	return func() { i.kubectl("", "patch", kind, name, "--type=json", "-p", back) }
}

// create makes an object, and returns what deletes it.
func (i *installation) create(manifest string) func() {
	i.Helper()
	manifest = "---\n" + manifest // kubectl 1.32 takes what begins with a brace for JSON
	i.kubectl(manifest, "create", "-f", "-")
	return func() { i.kubectl(manifest, "delete", "-f", "-") }
}

// remove deletes an object, and returns what brings it back.
func (i *installation) remove(kind, name string) func() {
	i.Helper()
	saved := i.saved(kind, name)
	i.kubectl("", "delete", kind, name)
	return func() { i.kubectl(saved, "create", "-f", "-") }
}

func TestDoctorFindsWhatIsBroken(t *testing.T) {
	i := &installation{T: t, cp: startControlPlane(t)}
	if err := i.cp.CreateNodes(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	i.expectPreviews()
	var err error
	if i.berth, err = i.cp.StartBerth(t.Context(), testbed.BerthOptions{}); err != nil {
		t.Fatal(err)
	}
	// The critical priority classes are open to everybody, until a quota closes them.
	if bad := i.doctor(1).of("Bad"); len(bad) != 1 || !strings.Contains(bad[0], "evades every policy by priorityClassName") {
		t.Fatalf("an installation without a quota: %q", bad)
	}
	i.create("{apiVersion: v1, kind: ResourceQuota, metadata: {name: no-critical-pods, namespace: default}, spec: {hard: {pods: '0'}, " +
		"scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [system-node-critical, system-cluster-critical]}]}}}")
	whole := i.doctor(0, "--wait", "20s")
	if unknown := whole.of("Unknown"); len(unknown) > 0 || len(whole.of("Good")) < 9 {
		t.Errorf("a whole installation: %q, %q", whole.of("Good"), unknown)
	}
	for _, b := range breakages {
		mend := b.breaks(i)
		i.expectSaid(b.section, b.says)
		mend()
	}
	if bad := i.doctor(0, "--wait", "20s").of("Bad"); len(bad) > 0 {
		t.Errorf("mended, and still bad: %q", bad)
	}
	i.namesMutatingAdmissionPolicies()
	i.restarted()
}

// namesMutatingAdmissionPolicies looks at what is good to know, where the API server has them.
func (i *installation) namesMutatingAdmissionPolicies() {
	const policy = "{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicy, metadata: {name: adds-a-label}, spec: {reinvocationPolicy: Never, failurePolicy: Ignore, " +
		"matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [%s]}]}, " +
		"mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {\"a\": \"b\"}}}'}}]}}"
	if served := i.kubectl("", "api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name"); !strings.Contains(served, "mutatingadmissionpolicies.") {
		i.Log("this API server has no MutatingAdmissionPolicy")
		return
	}
	for resource, named := range map[string]bool{"daemonsets": true, "deployments": false} {
		mend := i.create(fmt.Sprintf(policy, resource))
		notes := i.doctor(0, "--only", "others").of("Note")
		if says := slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, "for DaemonSets: adds-a-label;") }); says != named {
			i.Errorf("with a MutatingAdmissionPolicy for %s: %q", resource, notes)
		}
		mend()
	}
}

// expectPreviews fails unless commands say, in a cluster that has never seen berth, what it would do, and what is there.
func (i *installation) expectPreviews() {
	i.Helper()
	const policy = "{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: none}, spec: {nodeSelector: {no: body}}}"
	manifest := withMetadata(agent(""), "namespace: default")
	i.kubectl(manifest, "create", "-f", "-")
	defer i.kubectl(manifest, "delete", "-f", "-")
	for command, says := range map[string]string{
		"check -f - -o json --kubeconfig " + i.cp.Kubeconfig: `"none"`, // the policy
		"diff --policies - -o yaml":                          "when: AtNextRollout",
		"explain ds/agent -n default":                        "no MutatingWebhookConfiguration has a webhook mutate.berth.dev: install berth",
		"map -o text":                                        "agent",
	} {
		stdout, stderr, err := i.cp.Run(i.Context(), policy+"\n---\n"+manifest, berth.Binary, strings.Fields(command)...)
		if code := exitCode(err); code != 0 && code != 1 || !strings.Contains(stdout, says) {
			i.Errorf("berth %s: %v\n%s%s", command, err, stdout, stderr)
		}
	}
}

// expectSaid fails unless berth doctor says so, which may be some seconds after what it says.
func (i *installation) expectSaid(section, says string) {
	i.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Second) {
		found, code := i.examined("--only", section)
		if slices.ContainsFunc(found.of("Bad"), func(message string) bool { return strings.Contains(message, says) }) {
			if code != 1 {
				i.Errorf("%s: %q is said, and the code is %d", section, says, code)
			}
			return
		}
		if time.Now().After(end) {
			i.Errorf("%s: %q is not said, but %+v", section, says, found)
			return
		}
	}
}

// restarted looks at what takes another API server, or none.
func (i *installation) restarted() {
	if bad := i.doctor(1, "--only", "replicas", "--berth-namespace", "default").of("Bad"); len(bad) != 1 {
		i.Errorf("a namespace without berth: %q", bad)
	}
	if err := i.berth.Stop(); err != nil {
		i.Fatal(err)
	}
	defer i.create("{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: unseen}, spec: {nodeSelector: {a: b}}}")()
	if bad := i.doctor(1, "--only", "policies").of("Bad"); len(bad) != 1 || !strings.Contains(bad[0], "berth has not looked at it yet") {
		i.Errorf("a policy while berth is away: %q", bad)
	}
	i.kubectl("", "annotate", "namespace", "default", "scheduler.alpha.kubernetes.io/node-selector=pool=a")
	if err := i.cp.RestartAPIServer(i.Context(), "--enable-admission-plugins=PodNodeSelector"); err != nil {
		i.Fatal(err)
	}
	if bad := i.doctor(1, "--only", "podnodeselector").of("Bad"); len(bad) != 1 || !strings.Contains(bad[0], "PodNodeSelector probably") {
		i.Errorf("with PodNodeSelector: %q", bad)
	}
}

func TestDoctorSaysWhatItMayNotRead(t *testing.T) {
	i := &installation{T: t, cp: cp, berth: berth}
	i.kubectl("", "create", "serviceaccount", "nobody", "-n", "default")
	defer i.kubectl("", "delete", "serviceaccount", "nobody", "-n", "default")
	token := strings.TrimSpace(i.kubectl("", "create", "token", "nobody", "-n", "default"))
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	admin := readFile(t, cp.Kubeconfig)
	if err := os.WriteFile(kubeconfig, []byte(admin), 0o600); err != nil {
		t.Fatal(err)
	}
	i.kubectl("", "--kubeconfig", kubeconfig, "config", "set-credentials", "nobody", "--token", token)
	i.kubectl("", "--kubeconfig", kubeconfig, "config", "set-context", "--current", "--user", "nobody")
	none := i.doctor(0, "--kubeconfig", kubeconfig)
	for _, section := range none.Sections {
		for _, f := range section.Findings {
			if f.Outcome == "Unknown" && !strings.Contains(f.Advice, "berth-command-line") {
				t.Errorf("%s: %s: the advice is %q", section.Name, f.Message, f.Advice)
			}
		}
	}
	if unknown := none.of("Unknown"); len(unknown) < 8 {
		t.Errorf("without any right: %q", unknown)
	}
	mend := i.create("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: nobody}, " +
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: berth-command-line}, subjects: [{kind: ServiceAccount, name: nobody, namespace: default}]}")
	defer mend()
	stdout, _, _ := cp.Run(t.Context(), "", berth.Binary, "doctor", "-o", "json", "--kubeconfig", kubeconfig)
	reads := &diagnosis{}
	if err := json.Unmarshal([]byte(stdout), reads); err != nil {
		t.Fatal(err)
	}
	for _, message := range reads.of("Unknown") {
		if !strings.Contains(message, "what becomes of") {
			t.Errorf("with the ClusterRole: %s", message)
		}
	}
}

func TestDoctorWithoutAClusterSaysSoOnce(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	_, stderr, err := cp.Run(t.Context(), "", berth.Binary, "doctor", "--kubeconfig", kubeconfig)
	if exitCode(err) != 2 || strings.Count(stderr, "error:") != 1 {
		t.Errorf("%v: %s", err, stderr)
	}
	_, stderr, err = cp.Run(t.Context(), "", berth.Binary, "doctor", "--kubeconfig", cp.Kubeconfig, "--only", "weather")
	if exitCode(err) != 2 || !strings.Contains(stderr, `no section is named "weather"`) {
		t.Errorf("%v: %s", err, stderr)
	}
}
