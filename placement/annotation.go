package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// namespaceAnnotation is an annotation of the DaemonSet's namespace. It requires
// nothing before it is bound to a namespace.
type namespaceAnnotation struct{ key string }

func newNamespaceAnnotation(from *v1alpha1.NamespaceAnnotationSource) namespaceAnnotation {
	if from == nil {
		from = &v1alpha1.NamespaceAnnotationSource{}
	}
	return namespaceAnnotation{cmp.Or(from.Key, v1alpha1.DefaultNamespaceAnnotation)}
}

func (namespaceAnnotation) collect(*required, *policy, *Object) {}

func (namespaceAnnotation) asks(*Object) bool { return false }

// bind returns what the annotation of one namespace requires.
func (n namespaceAnnotation) bind(ns Namespace) (bound source, optedOut bool) {
	value, ok := ns.Annotations[n.key]
	if !ok {
		return literal{}, false
	}
	if value == "" {
		return nil, true
	}
	labels, err := parseNodeSelector(value)
	if err != nil {
		return broken{field.Invalid(annotationsPath.key(n.key).field, value,
			fmt.Sprintf("%v, in annotation %s of namespace %q: ask a cluster admin to mend it", err, n.key, ns.Name))}, false
	}
	return literal{labels, fmt.Sprintf("annotation %s of namespace %q", n.key, ns.Name)}, false
}

// bind returns the policy with the namespace's annotations read. An annotation
// that is there and empty opts the namespace out of the whole policy.
func (p *policy) bind(ns Namespace) (bound *policy, optedOut bool) {
	bound = p
	for i, s := range p.sources {
		annotation, ok := s.(namespaceAnnotation)
		if !ok {
			continue
		}
		inNamespace, optedOut := annotation.bind(ns)
		if optedOut {
			return nil, true
		}
		if bound == p {
			clone := *p
			clone.sources = slices.Clone(p.sources)
			bound = &clone
		}
		bound.sources[i] = inNamespace
	}
	return bound, false
}

// workloadAnnotation is an annotation of the DaemonSet itself.
type workloadAnnotation struct {
	key         string
	allowedKeys []string
}

func newWorkloadAnnotation(from *v1alpha1.WorkloadAnnotationSource) workloadAnnotation {
	if from == nil {
		from = &v1alpha1.WorkloadAnnotationSource{}
	}
	return workloadAnnotation{cmp.Or(from.Key, v1alpha1.DefaultWorkloadAnnotation), slices.Clone(from.AllowedKeys)}
}

func (w workloadAnnotation) collect(set *required, by *policy, object *Object) {
	value, ok := object.Annotations[w.key]
	if !ok {
		return
	}
	at := annotationsPath.key(w.key).field
	text := set.parse(w.key, value)
	if text.err != nil {
		set.failures = append(set.failures, failure{by, field.Invalid(at, value, text.err.Error()), false})
		return
	}
	if len(w.allowedKeys) > 0 {
		named := 0
		for _, key := range text.keys {
			if !slices.Contains(w.allowedKeys, key) {
				if named++; named > maxNamedKeys {
					break
				}
				set.failures = append(set.failures, failure{by, field.Forbidden(at,
					fmt.Sprintf("policy %q does not allow the key %q here: use %s", by.name, key, strings.Join(w.allowedKeys, ", "))), false})
			}
		}
	}
	literal{text.labels, "the DaemonSet's annotation " + w.key}.collect(set, by, object)
}

// maxNamedKeys is how many keys that are not allowed a policy complains of.
const maxNamedKeys = 10

func (w workloadAnnotation) asks(object *Object) bool {
	_, ok := object.Annotations[w.key]
	return ok
}

// broken is a source that cannot be read.
type broken struct{ err *field.Error }

func (broken) asks(*Object) bool { return true }

func (b broken) collect(set *required, by *policy, _ *Object) {
	set.failures = append(set.failures, failure{by, b.err, false})
}

// nodeSelectorText is an annotation that has been read.
type nodeSelectorText struct {
	labels map[string]string
	keys   []string // sorted
	err    error
}

// parse reads an annotation of the DaemonSet once, however many policies do.
func (r *required) parse(key, value string) nodeSelectorText {
	text, done := r.read[key]
	if !done {
		text.labels, text.err = parseNodeSelector(value)
		text.keys = slices.Sorted(maps.Keys(text.labels))
		if r.read == nil {
			r.read = map[string]nodeSelectorText{}
		}
		r.read[key] = text
	}
	return text
}

// parseNodeSelector reads key=value pairs with commas between them, in the
// grammar of PodNodeSelector (k8s.io/apimachinery/pkg/labels
// ConvertSelectorToLabelsMap), with errors that name the part which is wrong.
func parseNodeSelector(value string) (map[string]string, error) {
	labels := map[string]string{}
	if value == "" {
		return labels, nil
	}
	for part := range strings.SplitSeq(value, ",") {
		key, val, ok := strings.Cut(part, "=")
		key, val = strings.TrimSpace(key), strings.TrimSpace(val)
		if !ok || strings.Contains(val, "=") {
			return nil, fmt.Errorf("%q is not key=value", part)
		}
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			return nil, fmt.Errorf("the key of %q is no label key: %s", part, problems[0])
		}
		if problems := validation.IsValidLabelValue(val); len(problems) > 0 {
			return nil, fmt.Errorf("the value of %q is no label value: %s", part, problems[0])
		}
		if have, twice := labels[key]; twice && have != val {
			return nil, fmt.Errorf("%q contradicts %s=%s before it", part, key, have)
		}
		labels[key] = val
	}
	return labels, nil
}
