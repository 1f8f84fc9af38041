package placement_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// allTolerations are all that a few keys, values and effects make.
func allTolerations() []corev1.Toleration {
	minute, hour := int64(60), int64(3600)
	var all []corev1.Toleration
	for _, key := range []string{"", "a", "b"} {
		for _, operator := range []corev1.TolerationOperator{"", "Equal", "Exists", "Gt"} {
			for _, value := range []string{"", "x"} {
				for _, effect := range []corev1.TaintEffect{"", "NoSchedule", "NoExecute"} {
					for _, seconds := range []*int64{nil, &minute, &hour} {
						all = append(all, corev1.Toleration{Key: key, Operator: operator, Value: value, Effect: effect, TolerationSeconds: seconds})
					}
				}
			}
		}
	}
	return all
}

func TestATaintIsToleratedAmongManyTolerationsAsAmongFew(t *testing.T) {
	var taints []corev1.Taint
	for _, key := range []string{"", "a", "b"} {
		for _, value := range []string{"", "x", "y"} {
			for _, effect := range []corev1.TaintEffect{"NoSchedule", "NoExecute", "PreferNoSchedule"} {
				taints = append(taints, corev1.Taint{Key: key, Value: value, Effect: effect})
			}
		}
	}
	others := numbered(20, func(i int) corev1.Toleration { return corev1.Toleration{Key: fmt.Sprintf("other-%d", i)} })
	for _, toleration := range allTolerations() {
		few := placement.NewPodTolerations(&placement.Template{Tolerations: []corev1.Toleration{toleration}})
		many := placement.NewPodTolerations(&placement.Template{Tolerations: append(others[:20:20], toleration)})
		if diff := cmp.Diff(few.Untolerated(taints), many.Untolerated(taints)); diff != "" {
			t.Errorf("%v (-few +many):\n%s", toleration, diff)
		}
		for i := range taints {
			if few.AreEvicted(taints[i:i+1]) != many.AreEvicted(taints[i:i+1]) {
				t.Errorf("%v evicts for %v among few, or among many, but not both", toleration, taints[i])
			}
		}
	}
}

func TestATolerationIsAddedUnlessOneOfTheTemplatesDoesTheSame(t *testing.T) {
	wanted := []v1alpha1.PlacementPolicy{
		policy(t, "any-value", "tolerations: [{key: a, operator: Exists}]"),
		policy(t, "one-value", "tolerations: [{key: a, value: x, effect: NoSchedule}]"),
		policy(t, "an-hour", "tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 3600}]"),
		policy(t, "everything", "tolerations: [{operator: Exists}]"),
	}
	covers := func(have, want *corev1.Toleration) bool {
		lasts := have.TolerationSeconds == nil || want.TolerationSeconds != nil && *have.TolerationSeconds == *want.TolerationSeconds
		of := have.Effect == "" || have.Effect == want.Effect
		if have.Operator == corev1.TolerationOpExists {
			return of && lasts && (have.Key == "" || have.Key == want.Key)
		}
		same := have.Operator == want.Operator || have.Operator == corev1.TolerationOpEqual && want.Operator == "" ||
			have.Operator == "" && want.Operator == corev1.TolerationOpEqual
		return of && lasts && same && have.Key == want.Key && have.Value == want.Value
	}
	for i := range wanted {
		want := corev1.Toleration(wanted[i].Spec.Tolerations[0])
		compiled := compile(t, wanted[i])
		for _, have := range allTolerations() {
			ds := daemonSet(t, tutorial)
			ds.Spec.Template.Spec.Tolerations = []corev1.Toleration{have}
			patched := len(decide(compiled, write{DaemonSet: ds}).Patch) > 0
			if patched == covers(&have, &want) {
				t.Errorf("%s beside %v: added %t", wanted[i].Name, have, patched)
			}
		}
	}
}
