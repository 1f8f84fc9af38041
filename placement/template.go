package placement

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Object is what placement reads of a DaemonSet.
type Object struct {
	Namespace, Name string
	// GenerateName is what the API server makes the name of, after the mutating and
	// before the validating webhooks.
	GenerateName        string
	Labels, Annotations map[string]string
	// Deleting says that it has a deletionTimestamp.
	Deleting bool
	// Selector is spec.selector.
	Selector *metav1.LabelSelector
	Template Template
}

// Template is exactly what placement reads of a pod template.
type Template struct {
	Labels       map[string]string
	NodeName     string
	HostNetwork  bool
	NodeSelector map[string]string
	Affinity     Affinity
	Tolerations  []corev1.Toleration
}

// Affinity is the required node affinity of a pod template, and the objects
// that it stands in.
type Affinity struct {
	// Depth says which of these objects are there.
	Depth AffinityDepth
	// SharedAffinity says that affinity has other members than nodeAffinity, and
	// SharedNodeAffinity that nodeAffinity has others than the required one.
	SharedAffinity, SharedNodeAffinity bool
	// Terms are the nodeSelectorTerms, where Depth is WithRequired.
	Terms []corev1.NodeSelectorTerm
}

// AffinityDepth is how much is there of the way to required node affinity.
type AffinityDepth int

// The depths, each of which includes those before it.
const (
	WithoutAffinity  AffinityDepth = iota
	WithAffinity                   // spec.affinity
	WithNodeAffinity               // spec.affinity.nodeAffinity
	WithRequired                   // …requiredDuringSchedulingIgnoredDuringExecution
)

// Required says whether there is required node affinity.
func (a *Affinity) Required() bool { return a.Depth == WithRequired }

// Equal says whether two templates are equal by value: empty and absent maps
// and lists are the same.
func (t *Template) Equal(other *Template) bool {
	return t.NodeName == other.NodeName && t.HostNetwork == other.HostNetwork &&
		maps.Equal(t.Labels, other.Labels) &&
		t.placesAs(other)
}

// placesAs compares what berth writes to.
func (t *Template) placesAs(other *Template) bool {
	return maps.Equal(t.NodeSelector, other.NodeSelector) &&
		t.Affinity.Depth == other.Affinity.Depth &&
		slices.EqualFunc(t.Affinity.Terms, other.Affinity.Terms, equalTerms) &&
		slices.EqualFunc(t.Tolerations, other.Tolerations, equalTolerations)
}

func equalTerms(a, b corev1.NodeSelectorTerm) bool {
	return slices.EqualFunc(a.MatchExpressions, b.MatchExpressions, equalRequirements) &&
		slices.EqualFunc(a.MatchFields, b.MatchFields, equalRequirements)
}

func equalRequirements(a, b corev1.NodeSelectorRequirement) bool {
	return a.Key == b.Key && a.Operator == b.Operator && (sameList(a.Values, b.Values) || slices.Equal(a.Values, b.Values))
}

func equalTolerations(a, b corev1.Toleration) bool {
	if a.TolerationSeconds == nil || b.TolerationSeconds == nil {
		return a == b
	}
	seconds := *a.TolerationSeconds == *b.TolerationSeconds
	a.TolerationSeconds, b.TolerationSeconds = nil, nil
	return seconds && a == b
}

// digestLength is the length of a digest in hexadecimal digits: long enough not
// to be met by accident, short enough to read out. It is no secret.
const digestLength = 12

// Digest names a placement: its nodeSelector, required terms and tolerations.
func (t *Template) Digest() string { return digestOf(t.appendPlacement(nil)) }

// named returns the digest of the whole template, given that of its rest.
func (t *Template) named(rest string) string { return digestOf(t.appendPlacement([]byte(rest))) }

func digestOf(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])[:digestLength]
}

// appendPlacement appends the canonical JSON of what berth writes to.
func (t *Template) appendPlacement(b []byte) []byte {
	b = append(b, `{"nodeSelector":`...)
	b = appendLabels(b, t.NodeSelector)
	if t.Affinity.Required() {
		b = append(b, `,"terms":`...)
		b = appendList(b, t.Affinity.Terms)
	}
	b = append(b, `,"tolerations":`...)
	return append(appendList(b, t.Tolerations), '}')
}

// appendList writes an empty list and none alike.
func appendList[T any](b []byte, list []T) []byte {
	if len(list) == 0 {
		return append(b, "[]"...)
	}
	return appendValue(b, list)
}

// ObjectOf returns what placement reads of a DaemonSet. It shares its maps and
// lists.
func ObjectOf(ds *appsv1.DaemonSet) *Object {
	return &Object{
		Namespace: ds.Namespace, Name: ds.Name, GenerateName: ds.GenerateName,
		Labels: ds.Labels, Annotations: ds.Annotations,
		Deleting: ds.DeletionTimestamp != nil,
		Selector: ds.Spec.Selector,
		Template: TemplateOf(ds.Spec.Template.Labels, &ds.Spec.Template.Spec),
	}
}

// TemplateOf returns what placement reads of a pod template with these labels.
// It shares its maps and lists.
func TemplateOf(labels map[string]string, pod *corev1.PodSpec) Template {
	t := Template{
		Labels: labels, NodeName: pod.NodeName, HostNetwork: pod.HostNetwork,
		NodeSelector: pod.NodeSelector, Tolerations: pod.Tolerations,
	}
	if pod.Affinity == nil {
		return t
	}
	t.Affinity.Depth = WithAffinity
	t.Affinity.SharedAffinity = pod.Affinity.PodAffinity != nil || pod.Affinity.PodAntiAffinity != nil
	node := pod.Affinity.NodeAffinity
	if node == nil {
		return t
	}
	t.Affinity.Depth = WithNodeAffinity
	t.Affinity.SharedNodeAffinity = len(node.PreferredDuringSchedulingIgnoredDuringExecution) > 0
	if required := node.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		t.Affinity.Depth = WithRequired
		t.Affinity.Terms = required.NodeSelectorTerms
	}
	return t
}

// DaemonSet returns a DaemonSet with what placement reads of it, and no more:
// ObjectOf returns the object again, but for what shares the affinity.
func (o *Object) DaemonSet() *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.Namespace, Name: o.Name, GenerateName: o.GenerateName, Labels: o.Labels, Annotations: o.Annotations,
	}}
	ds.Spec.Selector = o.Selector
	ds.Spec.Template.Labels = o.Template.Labels
	ds.Spec.Template.Spec = o.Template.podSpec()
	return ds
}

func (t *Template) podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		NodeName: t.NodeName, HostNetwork: t.HostNetwork,
		NodeSelector: t.NodeSelector, Affinity: t.Affinity.object(), Tolerations: t.Tolerations,
	}
}

func (a *Affinity) object() *corev1.Affinity {
	if a.Depth == WithoutAffinity {
		return nil
	}
	affinity := &corev1.Affinity{}
	if a.Depth >= WithNodeAffinity {
		affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	if a.Required() {
		affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: a.Terms}
	}
	return affinity
}
