package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// draft is an outcome in the making.
type draft struct {
	// policies are those that act, sorted by name.
	policies       []*policy
	daemonSet, old *appsv1.DaemonSet
	// record is what berth injected earlier, and what this draft changes of it.
	record record
	// dropped is what this draft takes back, for a warning.
	dropped []string
	// final is what placement reads of the pod spec, as the patch leaves it. It
	// shares with the DaemonSet what is not changed, and is never written through.
	final corev1.PodSpec
	// survey is what final means on the cluster's nodes; zero when they are not known.
	survey     Survey
	patch      Patch
	violations []Violation
}

func newDraft(in Input) *draft {
	pod := &in.DaemonSet.Spec.Template.Spec
	return &draft{
		daemonSet: in.DaemonSet,
		old:       in.Old,
		record:    readRecord(in.DaemonSet, in.Old),
		final: corev1.PodSpec{
			NodeName: pod.NodeName, HostNetwork: pod.HostNetwork,
			NodeSelector: pod.NodeSelector, Affinity: pod.Affinity, Tolerations: pod.Tolerations,
		},
	}
}

func (p *policy) denies() bool { return slices.Contains(p.actions, v1alpha1.Deny) }

func (d *draft) violate(by *policy, err *field.Error) {
	d.violations = append(d.violations, Violation{Error: err, Policy: by.name, Actions: by.actions})
}

func (d *draft) add(at path, value any, wanted required) {
	d.patch = append(d.patch, Operation{Op: Add, Path: at.pointer, Value: value, field: at.field, wanted: wanted})
}

func (d *draft) remove(at path) {
	d.patch = append(d.patch, Operation{Op: Remove, Path: at.pointer, field: at.field})
}

// require brings the DaemonSet to what is required of it, or says why it
// cannot be brought there.
func (d *draft) require(set required) {
	for _, f := range set.failures {
		d.fail(f)
	}
	d.requireLabels(set.labels)
	d.requireRequirements(set.requirements)
	d.requireTolerations(set.tolerations)
	if len(set.labels)+len(set.requirements) == 0 {
		return
	}
	if contradiction := d.findContradiction(set.requirements); contradiction != nil {
		d.violateAll(contradiction)
		// A contradicted placement is no node: leave the object as it came.
		fresh := newDraft(Input{DaemonSet: d.daemonSet, Old: d.old})
		d.final, d.patch, d.record, d.dropped = fresh.final, nil, fresh.record, nil
	}
}

// fail records a source that could not be read, as the policy's failurePolicy says.
func (d *draft) fail(f failure) {
	action := v1alpha1.Deny
	if f.policy.failurePolicy == v1alpha1.Ignore {
		action = v1alpha1.Warn
	}
	d.violations = append(d.violations, Violation{Error: f.err, Policy: f.policy.name, Actions: []v1alpha1.ValidationAction{action}})
}

// writeRecord brings the annotation up to what the patch does.
func (d *draft) writeRecord() {
	recorded, kept := d.daemonSet.Annotations[InjectedAnnotation]
	if len(d.patch) == 0 && (kept || d.record.empty()) {
		return
	}
	value := d.record.encode(&d.final)
	switch {
	case value == recorded:
	case value == "":
		d.remove(injectedPath)
	case len(d.daemonSet.Annotations) == 0:
		d.add(annotationsPath, map[string]string{InjectedAnnotation: value}, required{})
	default:
		d.add(injectedPath, value, required{})
	}
}

// requireLabels puts required labels into the nodeSelector.
func (d *draft) requireLabels(wanted []label) {
	existing := d.final.NodeSelector
	var missing []label
	for i := 0; i < len(wanted); {
		same := wanted[i:]
		if end := slices.IndexFunc(same, func(l label) bool { return l.key != wanted[i].key }); end >= 0 {
			same = same[:end]
		}
		i += len(same)
		switch have, present := existing[same[0].key]; {
		case len(same) > 1:
			d.violateConflicting(same)
		case !present || have != same[0].value && d.overwrites(same[0], have):
			missing = append(missing, same[0])
		}
	}
	if len(missing) == 0 {
		return
	}
	final := make(map[string]string, len(existing)+len(missing))
	maps.Copy(final, existing)
	for _, l := range missing {
		final[l.key] = l.value
		d.record.add(l, existing)
		if len(existing) > 0 {
			d.add(nodeSelectorPath.key(l.key), l.value, required{labels: []label{l}})
		}
	}
	if len(existing) == 0 {
		// One operation makes the parent too, be it missing, null or empty.
		d.add(nodeSelectorPath, final, required{labels: missing})
	}
	d.final.NodeSelector = final
}

// overwrites says whether the value that the nodeSelector has gives way to the
// required one, and records the violation where the policy rejects it.
func (d *draft) overwrites(wanted label, have string) bool {
	if d.record.givesWay(wanted.key, have) {
		return true // berth's own value, from before the policy changed
	}
	switch wanted.policy.conflictPolicy {
	case v1alpha1.ConflictPreferPolicy:
		return true
	case v1alpha1.ConflictPreferExisting:
		return false
	case v1alpha1.ConflictReject:
	}
	d.violate(wanted.policy, field.Invalid(nodeSelectorPath.key(wanted.key).field, have,
		fmt.Sprintf("policy %q requires %q: remove the key or set it to %q", wanted.policy.name, wanted.value, wanted.value)))
	return false
}

// violateConflicting records that policies want different values of one key.
func (d *draft) violateConflicting(wanted []label) {
	var wishes []string
	by := wanted[0].policy
	for _, l := range wanted {
		wishes = append(wishes, fmt.Sprintf("%s (from %s)", l, l.origin))
		if l.policy.denies() && !by.denies() {
			by = l.policy
		}
	}
	d.violate(by, field.Forbidden(nodeSelectorPath.key(wanted[0].key).field,
		strings.Join(wishes, ", ")+": no node has both; ask a cluster admin to change one of them"))
}
