package placement

import (
	"cmp"
	"fmt"
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

func (namespaceAnnotation) collect(*required, *policy, *readObject) {}

func (namespaceAnnotation) asks(*Object) bool { return false }

// readNamespace is a namespace, of which each annotation is read once.
type readNamespace struct {
	Namespace
	texts map[string]*nodeSelectorText // by the annotation's key
}

func (n *readNamespace) annotation(key string) *nodeSelectorText {
	if _, done := n.texts[key]; !done {
		n.texts[key] = parseNodeSelector(n.Annotations[key])
	}
	return n.texts[key]
}

func newReadNamespace(ns Namespace) *readNamespace {
	return &readNamespace{ns, map[string]*nodeSelectorText{}}
}

// bind returns what the annotation of one namespace requires.
func (n namespaceAnnotation) bind(ns *readNamespace) (bound source, optedOut bool) {
	value, ok := ns.Annotations[n.key]
	if !ok {
		return literal{}, false
	}
	if value == "" {
		return nil, true
	}
	text := ns.annotation(n.key)
	if text.err != nil {
		return broken{field.Invalid(annotationsPath.key(n.key).field, shown(value),
			fmt.Sprintf("%v, in annotation %s of namespace %q: ask a cluster admin to mend it", text.err, n.key, ns.Name))}, false
	}
	return literal{text.labels, fmt.Sprintf("annotation %s of namespace %q", n.key, ns.Name)}, false
}

// bind returns the policy with the namespace's annotations read. An annotation
// that is there and empty opts the namespace out of the whole policy.
func (p *policy) bind(ns *readNamespace) (bound *policy, optedOut bool) {
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

func (w workloadAnnotation) collect(set *required, by *policy, object *readObject) {
	value, ok := object.Annotations[w.key]
	if !ok {
		return
	}
	at := annotationsPath.key(w.key).field
	text := object.annotation(w.key)
	if text.err != nil {
		set.failures = append(set.failures, failure{policy: by, err: field.Invalid(at, shown(value), text.err.Error()), whole: text.whole})
		return
	}
	if len(w.allowedKeys) > 0 {
		named := 0
		for _, own := range text.labels {
			if key := own.key; !slices.Contains(w.allowedKeys, key) {
				if named++; named > maxNamedKeys {
					break
				}
				set.failures = append(set.failures, failure{policy: by, err: field.Forbidden(at,
					fmt.Sprintf("policy %q does not allow the key %q here: use %s", by.name, key, shownList(w.allowedKeys)))})
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

func (b broken) collect(set *required, by *policy, _ *readObject) {
	set.failures = append(set.failures, failure{policy: by, err: b.err})
}

// nodeSelectorText is an annotation that has been read.
type nodeSelectorText struct {
	labels []nodeLabel // sorted
	err    error
	// whole names the text, where a message about it shows only a part.
	whole string
}

// parseNodeSelector reads key=value pairs with commas between them, in the
// grammar of PodNodeSelector (k8s.io/apimachinery/pkg/labels
// ConvertSelectorToLabelsMap), with errors that name the part which is wrong.
func parseNodeSelector(value string) *nodeSelectorText {
	labels, err := splitNodeSelector(value)
	text := &nodeSelectorText{labels: sortedLabels(labels), err: err}
	if err != nil && len(value) > maxShown {
		text.whole = digestOf([]byte(value))
	}
	return text
}

func splitNodeSelector(value string) (map[string]string, error) {
	labels := map[string]string{}
	if value == "" {
		return labels, nil
	}
	for part := range strings.SplitSeq(value, ",") {
		key, val, ok := strings.Cut(part, "=")
		key, val = strings.TrimSpace(key), strings.TrimSpace(val)
		if !ok || strings.Contains(val, "=") {
			return nil, fmt.Errorf("%q is not key=value", shown(part))
		}
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			return nil, fmt.Errorf("the key of %q is no label key: %s", shown(part), problems[0])
		}
		if problems := validation.IsValidLabelValue(val); len(problems) > 0 {
			return nil, fmt.Errorf("the value of %q is no label value: %s", shown(part), problems[0])
		}
		if have, twice := labels[key]; twice && have != val {
			return nil, fmt.Errorf("%q contradicts %s=%s before it", shown(part), key, have)
		}
		labels[key] = val
	}
	return labels, nil
}
