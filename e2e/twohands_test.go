package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// writeManifest is a way of writing a whole manifest.
type writeManifest struct {
	name string
	args []string
}

var (
	apply      = writeManifest{"apply", []string{"apply", "-f", "-"}}
	serverSide = writeManifest{"server-side apply", []string{"apply", "--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-"}}
	replace    = writeManifest{"replace", []string{"replace", "-f", "-"}}
)

func (w writeManifest) write(t *testing.T, namespace, manifest string) {
	t.Helper()
	kubectl(t, manifest, append([]string{"-n", namespace}, w.args...)...)
}

// templateOf is what placement decides on of an agent.
type templateOf struct {
	NodeSelector map[string]string
	Affinity     *corev1.Affinity
	Tolerations  []corev1.Toleration
}

func expectTemplate(t *testing.T, when, namespace string, want templateOf) {
	t.Helper()
	pod := get(t, namespace, "agent").Spec.Template.Spec
	if diff := cmp.Diff(want, templateOf{pod.NodeSelector, pod.Affinity, pod.Tolerations}); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// meant is an agent's template as its manifest has it.
func meant(t *testing.T, manifest string) templateOf {
	t.Helper()
	pod := parse(t, manifest).Spec.Template.Spec
	return templateOf{pod.NodeSelector, pod.Affinity, pod.Tolerations}
}

// lists is an author's own affinity and tolerations.
const lists = `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
  {matchExpressions: [{key: e2e-disk, operator: In, values: [ssd]}]}, {matchExpressions: [{key: e2e-zone, operator: In, values: [a]}]}]}}}
tolerations: [{key: mine, operator: Exists}]
nodeSelector: {mine: x}`

const everyKind = "nodeRequirements: [{key: e2e-disk, operator: In, values: [ssd]}]\ntolerations: [{key: e2e-gpu, operator: Exists}]\n"

func newAgentImage(manifest string) string { return strings.Replace(manifest, "agent:1", "agent:2", 1) }

func TestAManifestThatIsWrittenAgainMovesNothingWhateverHappenedToPolicies(t *testing.T) {
	for _, way := range []writeManifest{apply, serverSide, replace} {
		t.Run(way.name, func(t *testing.T) {
			namespace, manifest := newNamespace(t, nil), agent(lists)
			applyPolicy(t, namespace, "lists", anyNodes+everyKind+"nodeSelector: {e2e-pool: a}")
			if way.name == "replace" {
				create(t, namespace, manifest)
			} else {
				way.write(t, namespace, manifest)
			}
			before := get(t, namespace, "agent")
			edits := []func(){
				func() {
					applyPolicy(t, namespace, "lists", anyNodes+strings.Replace(everyKind, "ssd", "nvme", 1)+"nodeSelector: {e2e-pool: b}")
				},
				func() { applyPolicy(t, namespace, "another", anyNodes+"tolerations: [{key: more, operator: Exists}]") },
				func() { deletePolicy(t, "lists") },
			}
			for _, edit := range edits {
				edit()
				way.write(t, namespace, manifest)
				after := get(t, namespace, "agent")
				if diff := cmp.Diff(before.Spec.Template, after.Spec.Template); diff != "" || after.Generation != before.Generation {
					t.Errorf("generation %d, was %d; the template (-before +after):\n%s", after.Generation, before.Generation, diff)
				}
			}
			deletePolicy(t, "another")
			way.write(t, namespace, newAgentImage(manifest))
			expectTemplate(t, "without policies, after a new image", namespace, meant(t, manifest))
		})
	}
}

func TestAValueOfBerthsThatTheManifestStatesIsTheAuthors(t *testing.T) {
	for _, way := range []writeManifest{apply, serverSide} {
		for kind, test := range map[string]struct{ policy, own string }{
			"a label":      {"nodeSelector: {e2e-pool: a}", "nodeSelector: {e2e-pool: a}"},
			"a toleration": {"tolerations: [{key: e2e-gpu, operator: Exists}]", "tolerations: [{key: e2e-gpu, operator: Exists}]"},
			"an affinity": {
				"nodeRequirements: [{key: e2e-disk, operator: In, values: [ssd]}]",
				"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: e2e-disk, operator: In, values: [ssd]}]}]}}}",
			},
		} {
			t.Run(kind+" by "+way.name, func(t *testing.T) {
				namespace, stating := newNamespace(t, nil), agent(test.own)
				applyPolicy(t, namespace, "states", anyNodes+test.policy)
				way.write(t, namespace, agent(""))
				way.write(t, namespace, stating)
				deletePolicy(t, "states")
				way.write(t, namespace, newAgentImage(stating))
				expectTemplate(t, "without the policy, after a new image", namespace, meant(t, stating))
			})
		}
	}
}

func TestTheAuthorsLaterValueCountsAtOnce(t *testing.T) {
	namespace := newNamespace(t, nil)
	web := agent("nodeSelector: {e2e-pool: web}")
	applyPolicy(t, namespace, "prefer", anyNodes+poolA+"conflictPolicy: PreferPolicy")
	apply.write(t, namespace, web)
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "a"})
	deletePolicy(t, "prefer")
	apply.write(t, namespace, newAgentImage(web))
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "web"})

	kubectl(t, "", patchPool(namespace, "a")...)
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "a"})
	setImage(t, namespace, "agent:3")
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "a"})
	apply.write(t, namespace, newAgentImage(agent("nodeSelector: {e2e-pool: a}")))
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "a"})
}

func TestAReceiptThatANewObjectBringsAlongTakesNothingAway(t *testing.T) {
	const copied = `annotations: {berth.dev/injected: '{"version":2,"policies":{"gone":{"nodeSelector":{"e2e-pool":"a"},"tolerations":[{"key":"mine","operator":"Exists"}]}}}'}`
	const first = `annotations: {berth.dev/injected: '{"nodeSelector":{"e2e-pool":"a"},"tolerations":[{"key":"mine","operator":"Exists"}]}'}`
	manifest := agent("nodeSelector: {e2e-pool: a}\ntolerations: [{key: mine, operator: Exists}]")
	for name, receipt := range map[string]string{"of today": copied, "of the first form": first} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			create(t, namespace, withMetadata(manifest, receipt))
			expectTemplate(t, "as created", namespace, meant(t, manifest))
			setImage(t, namespace, "agent:2")
			expectTemplate(t, "after a new image", namespace, meant(t, manifest))
		})
	}
}

func TestTermsComeBackAsTheirAuthorWroteThem(t *testing.T) {
	for _, way := range []writeManifest{apply, replace} {
		t.Run(way.name, func(t *testing.T) {
			namespace, manifest := newNamespace(t, nil), agent(lists)
			applyPolicy(t, namespace, "disks", anyNodes+"nodeRequirements: [{key: e2e-disk, operator: In, values: [ssd]}]")
			kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
			applyPolicy(t, namespace, "disks", anyNodes+"nodeRequirements: [{key: e2e-disk, operator: NotIn, values: [tape]}]")
			setImage(t, namespace, "agent:1b")
			deletePolicy(t, "disks")
			way.write(t, namespace, newAgentImage(manifest))
			expectTemplate(t, "without the policy", namespace, meant(t, manifest))
			setImage(t, namespace, "agent:3")
			expectTemplate(t, "after one more image", namespace, meant(t, manifest))
		})
	}
}

func TestPoliciesThatActAndPoliciesThatWaitLetAnAnnotationThrough(t *testing.T) {
	namespace := newNamespace(t, nil)
	create(t, namespace, agent(lists))
	applyPolicy(t, namespace, "always", anyNodes+everyKind+"nodeSelector: {e2e-zone: a}\nupdatePolicy: Always")
	applyPolicy(t, namespace, "waits", anyNodes+everyKind+poolA)
	kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "note=1")
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"mine": "x", "e2e-zone": "a"})
	kubectl(t, "", "label", "-n", namespace, "daemonset/agent", "note=1")
	setImage(t, namespace, "agent:2")
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"mine": "x", "e2e-zone": "a", "e2e-pool": "a"})
}

func TestAnUndoBringsBackNoTolerationOfAnOldPolicy(t *testing.T) {
	for name, own := range map[string]string{"none of the author's": "", "beside the author's": "tolerations: [{key: mine, operator: Exists}]"} {
		t.Run(name, func(t *testing.T) {
			namespace, manifest := newNamespace(t, nil), agent(own)
			applyPolicy(t, namespace, "tolerate", anyNodes+"tolerations: [{key: e2e-a, operator: Exists}]")
			create(t, namespace, manifest)
			expectPods(t, namespace, "agent", allNodes...)
			applyPolicy(t, namespace, "tolerate", anyNodes+"tolerations: [{key: e2e-b, operator: Exists}]")
			setImage(t, namespace, "agent:2")
			expectPods(t, namespace, "agent", allNodes...)
			kubectl(t, "", "rollout", "undo", "-n", namespace, "daemonset/agent")
			want := meant(t, manifest)
			want.Tolerations = append(want.Tolerations, corev1.Toleration{Key: "e2e-b", Operator: corev1.TolerationOpExists})
			expectTemplate(t, "after the undo", namespace, want)
			deletePolicy(t, "tolerate")
			setImage(t, namespace, "agent:3")
			expectTemplate(t, "without the policy", namespace, meant(t, manifest))
		})
	}
}
