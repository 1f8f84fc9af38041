package manifests

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	sigsjson "sigs.k8s.io/json"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// DaemonSet is one of the DaemonSets.
type DaemonSet struct {
	located
	Object *appsv1.DaemonSet
	// JSON is the object as it stands in the file, as apps/v1.
	JSON []byte
}

// Policy is one of the policies.
type Policy struct {
	located
	Object v1alpha1.PlacementPolicy
	object *object // nil in a cluster
}

// object is one object of a document, before anybody knows what it is.
type object struct {
	located
	metav1.TypeMeta
	namespace, name string
	// generated is that the API server makes the name, of this one if there is any.
	generated bool
	// stored is that a cluster has printed it.
	stored bool
	raw    []byte
}

// add takes one document.
func (s *Set) add(d document) error {
	raw, root, err := d.parse()
	if err != nil || root == nil {
		return err
	}
	return s.object(located{&d, root}, raw)
}

// object takes one object, or the items of a list.
func (s *Set) object(at located, raw []byte) error {
	o := object{located: at, raw: raw}
	var head struct {
		APIVersion any               `json:"apiVersion"`
		Kind       any               `json:"kind"`
		Metadata   json.RawMessage   `json:"metadata"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("%s: not an object of the Kubernetes API: %w", at.Field(""), typeError(err, at.node))
	}
	o.APIVersion, _ = head.APIVersion.(string)
	o.Kind, _ = head.Kind.(string)
	if o.Kind == "" || o.APIVersion == "" {
		return fmt.Errorf("%s: not an object of the Kubernetes API: it has no apiVersion or no kind: leave the file out, or name the folders that have manifests", at.Field(""))
	}
	if _, items := child(at.node, "items"); items != nil && strings.HasSuffix(o.Kind, "List") {
		return s.items(at, o.TypeMeta, head.Items)
	}
	var metadata map[string]any
	if json.Unmarshal(head.Metadata, &metadata) == nil { // else decode says what is wrong, where berth knows the kind
		text := func(field string) string {
			value, _ := metadata[field].(string)
			return value
		}
		o.namespace, o.name, o.stored = text("namespace"), text("name"), text("uid") != ""
		if o.generated = o.name == ""; o.generated {
			o.name = text("generateName")
		}
	}
	s.known(&o)
	return nil
}

// items takes the members of a list. Those of a typed list need not say what they are.
func (s *Set) items(at located, list metav1.TypeMeta, items []json.RawMessage) error {
	_, sequence := child(at.node, "items")
	for i, item := range items {
		var node *yaml.Node
		if _, node = child(sequence, fmt.Sprint(i)); node == nil {
			node = at.node
		}
		var fields map[string]json.RawMessage
		if list.Kind != "List" && json.Unmarshal(item, &fields) == nil && fields != nil {
			for field, said := range map[string]string{"apiVersion": list.APIVersion, "kind": strings.TrimSuffix(list.Kind, "List")} {
				if _, has := fields[field]; !has {
					fields[field], _ = json.Marshal(said) // of a string
				}
			}
			item, _ = json.Marshal(fields) // of what was JSON
		}
		if err := s.object(located{at.document, node}, item); err != nil {
			return err
		}
	}
	return nil
}

// known takes an object of a kind that berth knows, and counts any other.
func (s *Set) known(o *object) {
	switch o.APIVersion + " " + o.Kind {
	case "apps/v1 DaemonSet":
		s.daemonSet(o)
	case "apps/v1beta2 DaemonSet", "extensions/v1beta1 DaemonSet":
		s.problem(o, "apiVersion", RuleOldAPIVersion, o.APIVersion+" is not served any more: use apps/v1, as which it is checked here")
		o.raw = []byte(strings.Replace(string(o.raw), `"apiVersion":"`+o.APIVersion+`"`, `"apiVersion":"apps/v1"`, 1))
		s.daemonSet(o)
	case v1alpha1.GroupVersion.String() + " PlacementPolicy":
		policy := Policy{located: o.located, object: o}
		if s.decode(o, &policy.Object) {
			s.policy(o, policy)
		}
	case "v1 Namespace":
		var namespace corev1.Namespace
		if s.decode(o, &namespace) {
			put(s, &s.Namespaces, o, namespace)
		}
	case "v1 Node":
		node := &corev1.Node{}
		if s.decode(o, node) {
			put(s, &s.Nodes, o, node)
		}
	case "v1 Pod", "v1 LimitRange", "node.k8s.io/v1 RuntimeClass":
		s.beside(o)
		s.Others++
	default:
		if meant := meant(o.TypeMeta); meant != "" {
			s.problem(o, "kind", RuleMalformed, "there is no "+o.APIVersion+" "+o.Kind+": write "+meant)
		}
		s.Others++
	}
}

// meant is the kind that somebody meant who wrote one that no API server has; empty where it is another kind.
func meant(kind metav1.TypeMeta) string {
	group := kind.GroupVersionKind().Group
	switch {
	case group == v1alpha1.GroupVersion.Group:
		return v1alpha1.GroupVersion.String() + " PlacementPolicy"
	case strings.EqualFold(kind.Kind, "DaemonSet") && (group == "" || group == appsv1.GroupName || group == "extensions"):
		return "apps/v1 DaemonSet"
	}
	return ""
}

// put takes an object in place of one of the same name, as kubectl apply would, and returns that.
func put[T any](s *Set, list *[]T, o *object, taken T) (earlier *T) {
	if o.generated {
		*list = append(*list, taken)
		return nil
	}
	key := o.Kind + "/" + o.name
	if i, found := s.named[key]; found {
		before := (*list)[i]
		(*list)[i] = taken
		return &before
	}
	if s.named == nil {
		s.named = map[string]int{}
	}
	s.named[key] = len(*list)
	*list = append(*list, taken)
	return nil
}

func (s *Set) policy(o *object, policy Policy) {
	if earlier := put(s, &s.Policies, o, policy); earlier != nil {
		s.problem(o, "metadata.name", RuleDuplicate, "there is another one of this name at "+earlier.Field("metadata.name").String()+": only this one counts")
	}
}

func (s *Set) daemonSet(o *object) {
	ds := DaemonSet{located: o.located, Object: &appsv1.DaemonSet{}, JSON: o.raw}
	if !s.decode(o, ds.Object) {
		return
	}
	s.DaemonSets = append(s.DaemonSets, ds)
	if o.stored {
		return
	}
	template := field.NewPath("spec", "template")
	errs := validateMetadata(field.NewPath("metadata"), &ds.Object.ObjectMeta)
	errs = append(errs, validateLabels(template.Child("metadata"), &ds.Object.Spec.Template.ObjectMeta)...)
	errs = append(errs, placement.Validate(template.Child("spec"), &ds.Object.Spec.Template.Spec)...)
	for _, err := range errs {
		s.problem(o, err.Field, RuleMalformed, err.Error())
	}
}

// beside takes what pods there are, where a cluster has printed them, and what adds to their requests. What is wrong with these is
// nobody's question.
func (s *Set) beside(o *object) {
	switch o.Kind {
	case "Pod":
		pod := &corev1.Pod{}
		if json.Unmarshal(o.raw, pod) == nil && o.stored {
			s.Pods = append(s.Pods, pod)
		}
	case "LimitRange":
		var limits corev1.LimitRange
		if json.Unmarshal(o.raw, &limits) == nil {
			s.LimitRanges = append(s.LimitRanges, limits)
		}
	default:
		var class nodev1.RuntimeClass
		if json.Unmarshal(o.raw, &class) == nil {
			s.RuntimeClasses = append(s.RuntimeClasses, class)
		}
	}
}

// decode tells whether the object can be decoded. Fields that it does not have are a problem, as kubectl says by default, but not
// in what a cluster has printed, which may be newer than berth.
func (s *Set) decode(o *object, into any) bool {
	unknown, err := sigsjson.UnmarshalStrict(o.raw, into)
	if err != nil {
		if typed := json.Unmarshal(o.raw, into); typed != nil {
			err = typed // the same, and says where
		}
		said := typeError(err, o.node)
		s.problem(o, said.field, RuleMalformed, said.Error())
		return false
	}
	if o.stored {
		return true
	}
	for _, err := range unknown {
		_, path, _ := strings.Cut(err.Error(), " field ")
		s.problem(o, strings.Trim(path, `"`), RuleUnknownField, err.Error()+": the API server would drop it, and kubectl refuses it")
	}
	return true
}
