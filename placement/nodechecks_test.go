package placement_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/placement"
)

// fleet is six nodes: four of pool a, two of them with a GPU; two of pool b,
// tainted.
func fleet() placement.NodeList {
	var nodes placement.NodeList
	for i, labels := range []map[string]string{
		{"karpenter.sh/nodepool": "a", "nvidia.com/gpu.present": "true", "disk": "ssd"},
		{"karpenter.sh/nodepool": "a", "nvidia.com/gpu.present": "true", "disk": "ssd"},
		{"karpenter.sh/nodepool": "a", "disk": "hdd"},
		{"karpenter.sh/nodepool": "a", "disk": "hdd"},
		{"karpenter.sh/nodepool": "b", "disk": "nvme"},
		{"karpenter.sh/nodepool": "b", "disk": "nvme"},
	} {
		n := node("n-"+string(rune('1'+i)), labels)
		if i >= 4 {
			n.Spec.Taints = []corev1.Taint{{Key: "team", Value: "b", Effect: corev1.TaintEffectNoSchedule}}
		}
		n.Spec.Taints = append(n.Spec.Taints,
			corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}, // cordoned
			corev1.Taint{Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule})
		nodes = append(nodes, n)
	}
	return nodes
}

func TestWarningsSayWhereThePodsDoNotRunAndWhatToDo(t *testing.T) {
	tests := map[string]struct {
		policy string
		want   []string
	}{
		"a label that no node has, and one like it": {
			policy: `nodeSelector: {gpu: "on"}`,
			want:   []string{"matches 0 of 6 nodes: no node has gpu=on; 2 have nvidia.com/gpu.present=true"},
		},
		"a value that no node has, and one like it": {
			policy: `nodeSelector: {disk: ssdd}`,
			want:   []string{"matches 0 of 6 nodes: no node has disk=ssdd; 2 have disk=ssd"},
		},
		"a label like no other": {
			policy: `nodeSelector: {app: example}`,
			want:   []string{"matches 0 of 6 nodes: label one with kubectl label nodes NODE app=example"},
		},
		"a label like no other, beside an affinity": {
			policy: "nodeSelector: {app: example}\nnodeRequirements: [{key: disk, operator: NotIn, values: [tape]}]",
			want:   []string{"matches 0 of 6 nodes: no node has app=example"},
		},
		"labels that no node has together": {
			policy: "nodeSelector: {disk: nvme}\nnodeRequirements: [{key: karpenter.sh/nodepool, operator: In, values: [a]}]",
			want:   []string{"matches 0 of 6 nodes: label one to fit spec.template.spec.nodeSelector and affinity, or change them"},
		},
		"labels that exclude each other, and who wants them": {
			policy: `nodeSelector: {disk: nvme, karpenter.sh/nodepool: a}`,
			want:   []string{`matches 0 of 6 nodes: no node has both disk=nvme (policy "p") and karpenter.sh/nodepool=a (policy "p")`},
		},
		"a label that nodes get by themselves": {
			policy: `nodeSelector: {kubernetes.io/os: windows}`,
			want:   []string{"matches 0 of 6 nodes: no node has kubernetes.io/os=windows, which nodes get by themselves"},
		},
		"a label to set, beside one that nodes get by themselves": {
			policy: `nodeSelector: {app: example, karpenter.sh/nodepool: b}`,
			want:   []string{"matches 0 of 6 nodes: label one that has karpenter.sh/nodepool=b: kubectl label nodes NODE app=example"},
		},
		"part of a pool, by a label that nodes get by themselves": {
			policy: `nodeSelector: {nvidia.com/gpu.present: "true"}`,
		},
		"nodes that a taint blocks": {
			policy: `nodeSelector: {disk: nvme}`,
			want:   []string{"matches 0 of 6 nodes: 2 more have the untolerated taint team=b:NoSchedule: add a toleration"},
		},
		"some nodes that a taint blocks": {
			policy: `nodeRequirements: [{key: disk, operator: Exists}]`,
			want:   []string{"2 more nodes have the labels, and the untolerated taint team=b:NoSchedule: add a toleration if it is to run there"},
		},
		"part of a pool": {
			policy: `nodeSelector: {disk: ssd}`,
			want:   []string{"matches 2 of 4 nodes of pool karpenter.sh/nodepool=a: label the pool, not its nodes, or new nodes will not match"},
		},
		"nothing, for a pool that scales from zero": {
			policy: "nodeSelector: {app: example}\nnodeChecks: {minMatchingNodes: 0}",
		},
		"nothing, where all is well": {
			policy: "nodeSelector: {karpenter.sh/nodepool: a}",
		},
		"the toleration that berth adds counts": {
			policy: "nodeSelector: {karpenter.sh/nodepool: b}\ntolerations: [{key: team, operator: Exists}]",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			outcome := decide(compile(t, policy(t, "p", test.policy)), write{DaemonSet: daemonSet(t, tutorial), Nodes: fleet()}).Outcome
			if diff := cmp.Diff(test.want, outcome.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheManifestsOwnLabelIsToldFromThePolicys(t *testing.T) {
	ds := daemonSet(t, tutorial)
	ds.Spec.Template.Spec.NodeSelector = map[string]string{"karpenter.sh/nodepool": "b"}
	outcome := decide(compile(t, policy(t, "disks", "nodeSelector: {disk: ssd}")), write{DaemonSet: ds, Nodes: fleet()}).Outcome
	want := []string{`matches 0 of 6 nodes: no node has both disk=ssd (policy "disks") and karpenter.sh/nodepool=b (its own)`}
	if diff := cmp.Diff(want, outcome.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestThreeLabelsOfWhichAnyTwoAreTogether(t *testing.T) {
	nodes := placement.NodeList{
		node("n-1", map[string]string{"a": "1", "b": "1", "c": "0"}), node("n-2", map[string]string{"a": "1", "b": "0", "c": "1"}),
		node("n-3", map[string]string{"a": "0", "b": "1", "c": "1"}),
	}
	outcome := decide(compile(t, policy(t, "p", `nodeSelector: {a: "1", b: "1", c: "1"}`)), write{DaemonSet: daemonSet(t, tutorial), Nodes: nodes}).Outcome
	want := []string{`matches 0 of 3 nodes: no node has all of a=1 (policy "p"), b=1 (policy "p") and c=1 (policy "p")`}
	if diff := cmp.Diff(want, outcome.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestTaintsAreCountedEachForItself(t *testing.T) {
	tainted := func(name string, keys ...string) *corev1.Node {
		n := node(name, map[string]string{"karpenter.sh/nodepool": "a"})
		for _, key := range keys {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
		}
		return n
	}
	nodes := placement.NodeList{tainted("n-1", "x"), tainted("n-2", "x"), tainted("n-3", "y"), tainted("n-4", "y", "x")}
	policies := compile(t, policy(t, "p", "nodeSelector: {karpenter.sh/nodepool: a}"))
	want := []string{"matches 0 of 4 nodes: 3 more have the untolerated taint x:NoSchedule, 1 of them others too: add tolerations"}
	if diff := cmp.Diff(want, decide(policies, write{DaemonSet: daemonSet(t, tutorial), Nodes: nodes}).Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	nodes = append(nodes, tainted("n-5"))
	want = []string{"3 more nodes have the labels, and the untolerated taint x:NoSchedule: add a toleration if it is to run there"}
	if diff := cmp.Diff(want, decide(policies, write{DaemonSet: daemonSet(t, tutorial), Nodes: nodes}).Warnings); diff != "" {
		t.Errorf("a pool of which a taint blocks a part is to be labelled as a whole? (-want +got):\n%s", diff)
	}
}

func TestOneNodeMoreIsSpokenOfInTheSingular(t *testing.T) {
	blocked := node("n-2", map[string]string{"pool": "a"})
	blocked.Spec.Taints = []corev1.Taint{{Key: "team", Value: "b", Effect: corev1.TaintEffectNoSchedule}}
	nodes := placement.NodeList{node("n-1", map[string]string{"pool": "a"}), blocked}
	outcome := decide(compile(t, policy(t, "p", "nodeSelector: {pool: a}")), write{DaemonSet: daemonSet(t, tutorial), Nodes: nodes}).Outcome
	want := []string{"1 more node has the labels, and the untolerated taint team=b:NoSchedule: add a toleration if it is to run there"}
	if diff := cmp.Diff(want, outcome.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestNodesOutOfServiceAreNotBlamedOnTheTemplate(t *testing.T) {
	down := node("n-1", map[string]string{"pool": "a"})
	down.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
	outcome := decide(compile(t, policy(t, "p", "nodeSelector: {pool: a}")), write{DaemonSet: daemonSet(t, tutorial), Nodes: placement.NodeList{down}}).Outcome
	want := []string{"matches 0 of 1 nodes: 1 more are out of service for now, by the taint node.kubernetes.io/not-ready:NoSchedule"}
	if diff := cmp.Diff(want, outcome.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestTheBlastRadiusOfAnUpdateIsLimited(t *testing.T) {
	onAllOfA := daemonSet(t, tutorial)
	onAllOfA.Namespace = "team-a"
	onAllOfA.Spec.Template.Spec.NodeSelector = map[string]string{"karpenter.sh/nodepool": "a"}
	wrong := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector["disk"] = "ssdd" }
	const checks = "\nnodeSelector: {karpenter.sh/nodepool: a}"
	const ready = `if that is meant, run this and try again: kubectl annotate daemonset -n team-a example-daemonset --overwrite berth.dev/acknowledge=DIGEST`
	tests := map[string]struct {
		policy string
		edit   func(*appsv1.DaemonSet)
		want   answer
	}{
		"with a warning by default": {
			policy: checks, edit: wrong,
			want: answer{Warnings: []string{
				"matches 0 of 6 nodes: no node has disk=ssdd; 2 have disk=ssd",
				"deletes the pods on 4 of 4 nodes at once, whatever maxUnavailable is",
			}},
		},
		"with a denial where the policy says so": {
			policy: checks + "\nnodeChecks: {validationActions: [Deny]}", edit: wrong,
			want: answer{Denied: []string{
				`spec.template.spec: Forbidden: matches 0 of 6 nodes: no node has disk=ssdd; 2 have disk=ssd; policy "p" asks for at least 1; ` + ready,
				`spec.template.spec: Forbidden: deletes the pods on 4 of 4 nodes at once, whatever maxUnavailable is; policy "p" allows 10%; ` + ready,
			}},
		},
		"as a number of nodes": {
			policy: checks + "\nnodeChecks: {maxNodesLost: 2, validationActions: [Deny]}",
			edit:   func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector["disk"] = "hdd" },
			want: answer{Warnings: []string{
				"matches 2 of 4 nodes of pool karpenter.sh/nodepool=a: label the pool, not its nodes, or new nodes will not match",
			}},
		},
		"as a percentage of the nodes before": {
			policy: checks + "\nnodeChecks: {maxNodesLost: 49%, validationActions: [Deny]}",
			edit:   func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector["disk"] = "hdd" },
			want: answer{Denied: []string{
				`spec.template.spec: Forbidden: deletes the pods on 2 of 4 nodes at once, whatever maxUnavailable is; policy "p" allows 49%; ` + ready,
			}},
		},
		"together with the least that a policy asks for": {
			policy: checks + "\nnodeChecks: {minMatchingNodes: 40%, maxNodesLost: 100%, validationActions: [Deny, Audit]}",
			edit:   func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector["disk"] = "hdd" },
			want: answer{Denied: []string{
				`spec.template.spec: Forbidden: matches 2 of 6 nodes: label one that has karpenter.sh/nodepool=a: kubectl label nodes NODE disk=hdd; policy "p" asks for at least 40%; ` + ready,
			}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policies := compile(t, policy(t, "p", test.policy))
			updated := onAllOfA.DeepCopy()
			test.edit(updated)
			in := write{DaemonSet: updated, Old: onAllOfA, Nodes: fleet()}
			got := answerOf(decide(policies, in).Outcome)
			digest := regexp.MustCompile(`berth.dev/acknowledge=([0-9a-f]{12})`)
			for i, denied := range got.Denied {
				found := digest.FindStringSubmatch(denied)
				if found == nil {
					t.Fatalf("no digest in %q", denied)
				}
				got.Denied[i] = digest.ReplaceAllString(denied, "berth.dev/acknowledge=DIGEST")

				acknowledged := in
				acknowledged.Old = onAllOfA.DeepCopy()
				acknowledged.Old.Annotations = map[string]string{placement.AcknowledgeAnnotation: found[1]}
				if denied := decide(policies, acknowledged).Denied(); denied != nil {
					t.Errorf("denied although it is acknowledged: %v", denied)
				}
				acknowledged.DaemonSet = updated.DeepCopy()
				acknowledged.DaemonSet.Spec.Template.Spec.NodeSelector["disk"] = "none"
				if decide(policies, acknowledged).Denied() == nil {
					t.Error("the acknowledgement of one change lets another through")
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodsThatMayStayUntilTheyAreReplacedAreNotLost(t *testing.T) {
	old := daemonSet(t, tutorial)
	old.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: "team", Operator: "Exists"}}
	updated := daemonSet(t, tutorial)
	survey := fleet().Survey(templateOf(old), templateOf(updated))
	if survey.Before != 6 || survey.Eligible != 4 || survey.Lost != 0 {
		t.Errorf("survey %+v; want pods on 6 nodes before, on 4 now, and none lost at once", survey)
	}
}

func TestPodsThatATaintEvictsAreLost(t *testing.T) {
	nodes := fleet()
	for _, n := range nodes[4:] {
		n.Spec.Taints = []corev1.Taint{{Key: "team", Value: "b", Effect: corev1.TaintEffectNoExecute}}
	}
	old := daemonSet(t, tutorial)
	old.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: "team", Operator: "Exists"}}
	updated := daemonSet(t, tutorial)
	survey := nodes.Survey(templateOf(old), templateOf(updated))
	if survey.Before != 6 || survey.Eligible != 4 || survey.Lost != 2 {
		t.Errorf("survey %+v; want pods on 6 nodes before, on 4 now, and 2 lost at once", survey)
	}
}

func TestAnUpdateThatLeavesThePlacementAloneIsNotDeniedForItsNodes(t *testing.T) {
	old := daemonSet(t, tutorial)
	policies := compile(t, policy(t, "p", "nodeSelector: {app: example}\nnodeChecks: {validationActions: [Deny]}"))
	got := answerOf(decide(policies, write{DaemonSet: newImage(old), Old: old, Nodes: fleet()}).Outcome)
	want := answer{Warnings: []string{
		`not applied: matches 0 of 6 nodes: label one with kubectl label nodes NODE app=example`,
		`not applied: deletes the pods on 4 of 4 nodes at once, whatever maxUnavailable is`,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}
