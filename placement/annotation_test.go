package placement_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/placement"
)

const fromNamespace = `nodeSelectorFrom: [{type: NamespaceAnnotation, namespaceAnnotation: {key: scheduler.alpha.kubernetes.io/node-selector}}]`

func TestTheAnnotationOfTheNamespace(t *testing.T) {
	injected := func(value string) string {
		return `{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"p\":{\"nodeSelector\":` + value + `}}}"}}]`
	}
	const key = "scheduler.alpha.kubernetes.io/node-selector"
	tests := map[string]struct {
		policy      string
		annotations map[string]string
		want        answer
	}{
		"is key=value pairs with commas between them": {
			policy: fromNamespace, annotations: map[string]string{key: " env = prod , pool=logs"},
			want: answer{Patch: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"env":"prod","pool":"logs"}},` +
				injected(`{\"env\":\"prod\",\"pool\":\"logs\"}`)},
		},
		"may have another key": {
			policy:      `nodeSelectorFrom: [{type: NamespaceAnnotation, namespaceAnnotation: {key: openshift.io/node-selector}}]`,
			annotations: map[string]string{"openshift.io/node-selector": "env=prod", key: "env=dev"},
			want: answer{Patch: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"env":"prod"}},` +
				injected(`{\"env\":\"prod\"}`)},
		},
		"requires nothing when it is not there": {policy: fromNamespace},
		"opts out of the whole policy when it is empty": {
			policy: fromNamespace + "\nnodeSelector: {pool: logs}", annotations: map[string]string{key: ""},
		},
		"leaves the policy's own nodeSelector when it is not there": {
			policy: fromNamespace + "\nnodeSelector: {pool: logs}",
			want: answer{Patch: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"pool":"logs"}},` +
				injected(`{\"pool\":\"logs\"}`)},
		},
		"denies with the namespace, the key and the part that is wrong": {
			policy: fromNamespace, annotations: map[string]string{key: "env=prod,pool"},
			want: answer{Denied: []string{`metadata.annotations[scheduler.alpha.kubernetes.io/node-selector]: Invalid value: "env=prod,pool": "pool" is not key=value, in annotation scheduler.alpha.kubernetes.io/node-selector of namespace "team-a": ask a cluster admin to mend it`}},
		},
		"warns where the policy ignores failures, and requires nothing": {
			policy: fromNamespace + "\nfailurePolicy: Ignore\nnodeSelector: {pool: logs}", annotations: map[string]string{key: "env=a,env=b"},
			want: answer{Warnings: []string{`"env=b" contradicts env=a before it, in annotation scheduler.alpha.kubernetes.io/node-selector of namespace "team-a":...`}},
		},
		"contradicts the policy's own nodeSelector by source": {
			policy: fromNamespace + "\nnodeSelector: {pool: logs}", annotations: map[string]string{key: "pool=web"},
			want: answer{Denied: []string{`spec.template.spec.nodeSelector[pool]: Forbidden: policy "p" requires pool=logs (from its nodeSelector), policy "p" requires pool=web (from annotation scheduler.alpha.kubernetes.io/node-selector of namespace "team-a"): no node has both; ask a cluster admin to change one of them`}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			namespace := placement.Namespace{Name: "team-a", Annotations: test.annotations}
			policies := compile(t, policy(t, "p", test.policy))
			got := answerOf(decide(policies, write{DaemonSet: daemonSet(t, tutorial), Namespace: namespace}).Outcome)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheAnnotationOfTheDaemonSet(t *testing.T) {
	const spec = `nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {allowedKeys: [pool, zone]}}]`
	tests := map[string]struct {
		value string
		want  answer
	}{
		"adds the labels that its author may ask for": {
			value: "pool=logs",
			want: answer{Patch: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"pool":"logs"}},` +
				`{"op":"add","path":"/metadata/annotations/berth.dev~1injected","value":"{\"version\":2,\"policies\":{\"p\":{\"nodeSelector\":{\"pool\":\"logs\"}}}}"}]`},
		},
		"adds nothing when it is empty": {},
		"denies another key than the allowed": {
			value: "env=prod",
			want:  answer{Denied: []string{`metadata.annotations[berth.dev/node-selector]: Forbidden: policy "p" does not allow the key "env" here: use pool, zone`}},
		},
		"denies what is no label value": {
			value: "pool=two words",
			want:  answer{Denied: []string{`metadata.annotations[berth.dev/node-selector]: Invalid value: "pool=two words": the value of "pool=two words" is no label value: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			ds.Annotations = map[string]string{"berth.dev/node-selector": test.value}
			got := answerOf(decide(compile(t, policy(t, "p", spec)), write{DaemonSet: ds}).Outcome)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}
