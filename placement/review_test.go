package placement_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// inWords is a Verdict in words.
func inWords(v placement.Verdict) string {
	var what []string
	for _, violation := range v.Violations {
		what = append(what, violation.Error())
	}
	for _, wanted := range v.Wanted() {
		what = append(what, wanted.Error())
	}
	if v.Changes() {
		what = append(what, "berth writes it")
	}
	if v.Complies() {
		what = append(what, "complies")
	}
	return fmt.Sprintf("%s (%s): %s", v.Policy, v.Mode, strings.Join(what, " | "))
}

// verdicts is what the next change of its template would do to a DaemonSet.
func verdicts(policies placement.Policies, ds *appsv1.DaemonSet, nodes placement.Nodes) []placement.Verdict {
	object := placement.ObjectOf(ds)
	return policies.InNamespace(placement.Namespace{}).Select(object, object, nil).Verdicts(placement.NextTemplateChange(object, nodes))
}

func TestEachPolicyHasItsOwnVerdict(t *testing.T) {
	const wantsBlue = `spec.template.spec.nodeSelector[pool]: Required value: policy %q requires pool=blue`
	red := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "red"} }
	tests := map[string]struct {
		policies map[string]string
		edit     func(*appsv1.DaemonSet)
		want     []string
	}{
		"no policy": {},
		"a policy that has its way": {
			policies: map[string]string{"a": `nodeSelector: {pool: red}`},
			edit:     red,
			want:     []string{`a (Enforce): complies`},
		},
		"two that want the same both want it": {
			policies: map[string]string{"a": `nodeSelector: {pool: blue}`, "b": `nodeSelector: {pool: blue}`},
			want: []string{
				`a (Enforce): ` + fmt.Sprintf(wantsBlue, "a") + ` | berth writes it`,
				`b (Enforce): ` + fmt.Sprintf(wantsBlue, "b") + ` | berth writes it`,
			},
		},
		"one that is broken, and one that is not": {
			policies: map[string]string{"a": `nodeSelector: {pool: blue}`, "b": `nodeSelector: {pool: red}`},
			edit:     red,
			want: []string{
				`a (Enforce): spec.template.spec.nodeSelector[pool]: Forbidden: policy "a" requires pool=blue (from its nodeSelector), policy "b" requires pool=red (from its nodeSelector): no node has both; ask a cluster admin to change one of them`,
				`b (Enforce): spec.template.spec.nodeSelector[pool]: Forbidden: policy "a" requires pool=blue (from its nodeSelector), policy "b" requires pool=red (from its nodeSelector): no node has both; ask a cluster admin to change one of them`,
			},
		},
		"one in mode Audit does not trouble those in mode Enforce": {
			policies: map[string]string{"a": `{mode: Audit, nodeSelector: {pool: blue}}`, "b": `nodeSelector: {pool: red}`},
			edit:     red,
			want: []string{
				`a (Audit): spec.template.spec.nodeSelector[pool]: Forbidden: policy "a" requires pool=blue (from its nodeSelector), policy "b" requires pool=red (from its nodeSelector): no node has both; ask a cluster admin to change one of them`,
				`b (Enforce): complies`,
			},
		},
		"one in mode Audit would write": {
			policies: map[string]string{"a": `{mode: Audit, nodeSelector: {pool: blue}}`},
			want:     []string{`a (Audit): ` + fmt.Sprintf(wantsBlue, "a") + ` | berth writes it`},
		},
		"berth does not write into what it denies": {
			policies: map[string]string{"a": `nodeSelector: {pool: blue}`, "b": `nodeSelector: {disk: ssd}`},
			edit:     red,
			want: []string{
				`a (Enforce): spec.template.spec.nodeSelector[pool]: Invalid value: "red": policy "a" requires "blue": remove the key or set it to "blue"`,
				`b (Enforce): spec.template.spec.nodeSelector[disk]: Required value: policy "b" requires disk=ssd`,
			},
		},
		"nor into what it leaves alone": {
			policies: map[string]string{"a": `{updatePolicy: CreateOnly, nodeSelector: {pool: blue}}`},
			want:     []string{`a (Enforce): ` + fmt.Sprintf(wantsBlue, "a")},
		},
		"what another policy injected is nobody's orphan": {
			policies: map[string]string{"a": `nodeSelector: {pool: blue}`, "b": `nodeSelector: {disk: ssd}`},
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue", "disk": "ssd"}
				ds.Annotations = map[string]string{placement.InjectedAnnotation: `{"nodeSelector":{"disk":"ssd","pool":"blue"}}`}
			},
			want: []string{`a (Enforce): complies`, `b (Enforce): complies`},
		},
		"a value that berth injected for an earlier version is replaced": {
			policies: map[string]string{"a": `nodeSelector: {pool: blue}`},
			edit: func(ds *appsv1.DaemonSet) {
				red(ds)
				ds.Annotations = map[string]string{placement.InjectedAnnotation: `{"nodeSelector":{"pool":"red"}}`}
			},
			want: []string{`a (Enforce): spec.template.spec.nodeSelector[pool]: Required value: policy "a" requires pool=blue | berth writes it`},
		},
		"a malformed DaemonSet breaks every policy": {
			policies: map[string]string{"a": `nodeSelector: {pool: red}`, "b": `nodeSelector: {pool: red}`},
			edit:     func(ds *appsv1.DaemonSet) { red(ds); ds.Spec.Template.Spec.NodeName = "n-1" },
			want: []string{
				`a (Enforce): spec.template.spec.nodeName: Forbidden: it binds every pod to one node, past all node labels: remove it, and label the node instead`,
				`b (Enforce): spec.template.spec.nodeName: Forbidden: it binds every pod to one node, past all node labels: remove it, and label the node instead`,
			},
		},
		"one that is being deleted is let go": {
			policies: map[string]string{"a": `nodeSelector: {pool: blue}`},
			edit:     func(ds *appsv1.DaemonSet) { ds.DeletionTimestamp = &metav1.Time{} },
		},
		"one that no policy selects": {
			policies: map[string]string{"a": `{matchConstraints: {objectSelector: {matchLabels: {a: b}}}, nodeSelector: {pool: blue}}`},
		},
		"requirements and tolerations": {
			policies: map[string]string{"a": `{nodeRequirements: [{key: virtual, operator: DoesNotExist}], tolerations: [{key: gpu, operator: Exists}]}`},
			want: []string{`a (Enforce): spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: policy "a" requires virtual DoesNotExist` +
				` | spec.template.spec.tolerations: Required value: policy "a" requires the toleration gpu | berth writes it`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			if test.edit != nil {
				test.edit(ds)
			}
			var policies []v1alpha1.PlacementPolicy
			for name, spec := range test.policies {
				policies = append(policies, policy(t, name, spec))
			}
			var got []string
			for _, v := range verdicts(compile(t, policies...), ds, nil) {
				got = append(got, inWords(v))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNodeChecksAreInTheirOwnPolicysVerdict(t *testing.T) {
	policies := compile(t,
		policy(t, "a", `{nodeSelector: {pool: blue}, nodeChecks: {minMatchingNodes: 2}}`),
		policy(t, "b", `{nodeSelector: {pool: blue}, nodeChecks: {minMatchingNodes: 1}}`))
	ds := daemonSet(t, tutorial)
	ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue"}
	nodes := placement.NodeList{node("n-1", map[string]string{"pool": "blue"})}
	complies := map[string]bool{}
	for _, v := range verdicts(policies, ds, nodes) {
		complies[v.Policy] = v.Complies()
	}
	if diff := cmp.Diff(map[string]bool{"a": false, "b": true}, complies); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestADaemonSetCompliesWithAllPoliciesWhereDecideLeavesNothingToDo(t *testing.T) {
	specs := []string{ownLabel, `nodeSelector: {pool: blue}`, `nodeSelector: {pool: red}`,
		`{nodeRequirements: [{key: disk, operator: Exists}], conflictPolicy: PreferPolicy}`, `tolerations: [{operator: Exists}]`}
	selectors := []map[string]string{nil, {"pool": "blue"}, {"app": "example"}, {"app": "example", "pool": "red"}}
	nodes := placement.NodeList{
		node("n-1", map[string]string{"app": "example", "pool": "blue", "disk": "ssd"}),
		{ObjectMeta: metav1.ObjectMeta{Name: "n-2"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoExecute}}}},
	}
	for mask := range 1 << len(specs) {
		var list []v1alpha1.PlacementPolicy
		for i, spec := range specs {
			if mask&(1<<i) != 0 {
				list = append(list, policy(t, fmt.Sprint(i), spec))
			}
		}
		policies := compile(t, list...)
		for _, selector := range selectors {
			ds := daemonSet(t, tutorial)
			ds.Spec.Template.Spec.NodeSelector = selector
			in := write{DaemonSet: ds, Nodes: nodes}
			decision := decide(policies, in)
			want := len(decision.Patch)+len(decision.Violations) == 0
			if got := !slices.ContainsFunc(verdicts(policies, ds, nodes), func(v placement.Verdict) bool { return !v.Complies() }); got != want {
				t.Errorf("policies %05b on %v: the verdicts say complies %t, Decide %+v", mask, selector, got, decision)
			}
		}
	}
}

func TestConflictsNameEachOtherWhateverTheOrder(t *testing.T) {
	list := []v1alpha1.PlacementPolicy{
		policy(t, "a", `nodeSelector: {pool: blue, disk: ssd}`),
		policy(t, "b", `{mode: Audit, nodeSelector: {pool: green}}`),
		policy(t, "c", `nodeSelector: {pool: blue}`),
		policy(t, "d", `{matchConstraints: {objectSelector: {matchLabels: {a: b}}}, nodeSelector: {disk: hdd}}`),
		policy(t, "e", `{nodeSelector: {disk: hdd}, matchConditions: [{name: never, expression: "false"}]}`),
	}
	want := []placement.Conflict{{Key: "pool", Wishes: []placement.Wish{{Policy: "a", Value: "blue"}, {Policy: "b", Value: "green"}, {Policy: "c", Value: "blue"}}}}
	for range 10 {
		list = append(list[1:], list[0])
		if diff := cmp.Diff(want, compile(t, list...).InNamespace(placement.Namespace{}).Conflicts()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	described := map[string]string{}
	for _, p := range list {
		described[p.Name] = want[0].Describe(p.Name)
	}
	if diff := cmp.Diff(map[string]string{
		"a": `policy "a" requires pool=blue, policy "b" requires pool=green`,
		"b": `policy "b" requires pool=green, policy "a" requires pool=blue, policy "c" requires pool=blue`,
		"c": `policy "c" requires pool=blue, policy "b" requires pool=green`,
		"d": "", "e": "",
	}, described); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
