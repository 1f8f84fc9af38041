package placement

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// requireTolerations appends the tolerations that the template does not have in
// effect already.
func (d *draft) requireTolerations(wanted []toleration) {
	existing := d.final.Tolerations
	final := existing
	for _, t := range wanted {
		if slices.ContainsFunc(final, func(have corev1.Toleration) bool { return covers(have, t.Toleration) }) {
			continue
		}
		final = append(slices.Clip(final), t.Toleration)
		if !slices.ContainsFunc(d.record.Tolerations, func(have corev1.Toleration) bool { return sameToleration(have, t.Toleration) }) {
			d.record.Tolerations = append(slices.Clip(d.record.Tolerations), t.Toleration)
		}
		if len(existing) > 0 {
			d.add(tolerationsPath.end(), t.Toleration, required{tolerations: []toleration{t}})
		}
	}
	if len(existing) == 0 && len(final) > 0 {
		// One operation makes the parent too, be it missing, null or empty.
		d.add(tolerationsPath, final, required{tolerations: wanted})
	}
	d.final.Tolerations = final
}

// covers says whether have tolerates every taint that wanted tolerates, for as
// long.
func covers(have, wanted corev1.Toleration) bool {
	if have.Effect != "" && have.Effect != wanted.Effect {
		return false
	}
	if have.TolerationSeconds != nil && !equality.Semantic.DeepEqual(have.TolerationSeconds, wanted.TolerationSeconds) {
		return false
	}
	if have.Operator == corev1.TolerationOpExists {
		return have.Key == "" || have.Key == wanted.Key
	}
	return have.Key == wanted.Key && have.Value == wanted.Value && operator(have) == operator(wanted)
}

// operator is the toleration's operator; none means Equal.
func operator(t corev1.Toleration) corev1.TolerationOperator {
	return cmp.Or(t.Operator, corev1.TolerationOpEqual)
}

func sameToleration(a, b corev1.Toleration) bool {
	return covers(a, b) && covers(b, a)
}
