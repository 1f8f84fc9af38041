package manifests

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"

	"berth.dev/berth/api/v1alpha1"
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
}

// Problem is what the API server would refuse, or kubectl.
type Problem struct {
	Place
	// Object is what it is about, as KIND/NAME.
	Object string
	// Rule is its name, one of the Rules.
	Rule    Rule
	Message string
}

// Rule is the name of a kind of problem.
type Rule string

// The rules of what manifests themselves can have wrong.
const (
	RuleUnknownField  Rule = "unknown-field"
	RuleOldAPIVersion Rule = "old-api-version"
	RuleMalformed     Rule = "malformed"
	RuleDuplicate     Rule = "duplicate"
)

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
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct{ Name, GenerateName string }
		Items           []json.RawMessage
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("%s: not an object of the Kubernetes API: %w", at.Field(""), err)
	}
	if head.Kind == "" || head.APIVersion == "" {
		return fmt.Errorf("%s: not an object of the Kubernetes API: it has no apiVersion or no kind", at.Field(""))
	}
	if strings.HasSuffix(head.Kind, "List") && at.Field("items") != at.Field("") {
		return s.items(at, head.TypeMeta, head.Items)
	}
	s.known(at, head.APIVersion+" "+head.Kind, head.Kind+"/"+head.Metadata.Name+head.Metadata.GenerateName, raw)
	return nil
}

// known takes an object of a kind that berth knows, and counts any other.
func (s *Set) known(at located, kind, name string, raw []byte) {
	switch kind {
	case "apps/v1 DaemonSet":
		s.daemonSet(at, name, raw)
	case "apps/v1beta2 DaemonSet", "extensions/v1beta1 DaemonSet":
		version, _, _ := strings.Cut(kind, " ")
		s.problem(at.Field("apiVersion"), name, RuleOldAPIVersion, version+" is not served any more: use apps/v1, as which it is checked here")
		s.daemonSet(at, name, []byte(strings.Replace(string(raw), `"apiVersion":"`+version+`"`, `"apiVersion":"apps/v1"`, 1)))
	case v1alpha1.GroupVersion.String() + " PlacementPolicy":
		policy := Policy{located: at}
		if s.decode(at, name, raw, &policy.Object) {
			s.policy(policy)
		}
	case "v1 Namespace":
		var namespace corev1.Namespace
		if s.decode(at, name, raw, &namespace) {
			s.Namespaces = append(s.Namespaces, namespace)
		}
	case "v1 Node":
		node := &corev1.Node{}
		if s.decode(at, name, raw, node) {
			s.Nodes = append(s.Nodes, node)
		}
	case "v1 Pod":
		s.pod(raw)
		s.Others++
	default:
		s.Others++
	}
}

// pod takes a pod for what it says of where it runs. What is wrong with pods is nobody's question.
func (s *Set) pod(raw []byte) {
	pod := &corev1.Pod{}
	if json.Unmarshal(raw, pod) == nil && pod.UID != "" { // of a cluster, not a manifest
		s.Pods = append(s.Pods, pod)
	}
}

// items takes the members of a list. Those of a typed list need not say what they are.
func (s *Set) items(at located, list metav1.TypeMeta, items []json.RawMessage) error {
	_, sequence := child(at.node, "items")
	for i, item := range items {
		var node *yaml.Node
		if _, node = child(sequence, fmt.Sprint(i)); node == nil {
			node = at.node
		}
		var head metav1.TypeMeta
		if json.Unmarshal(item, &head) == nil && head.Kind == "" && list.Kind != "List" {
			said, _ := json.Marshal(metav1.TypeMeta{APIVersion: list.APIVersion, Kind: strings.TrimSuffix(list.Kind, "List")}) // two strings
			item = append(append(said[:len(said)-1:len(said)-1], ','), item[1:]...)
		}
		if err := s.object(located{at.document, node}, item); err != nil {
			return err
		}
	}
	return nil
}

// policy takes a policy in place of one of the same name, as kubectl apply would.
func (s *Set) policy(policy Policy) {
	for i := range s.Policies {
		if earlier := &s.Policies[i]; earlier.Object.Name == policy.Object.Name {
			s.problem(policy.Field("metadata.name"), "PlacementPolicy/"+policy.Object.Name, RuleDuplicate,
				"there is another one of this name at "+earlier.Field("metadata.name").String()+": only this one counts")
			*earlier = policy
			return
		}
	}
	s.Policies = append(s.Policies, policy)
}

func (s *Set) daemonSet(at located, name string, raw []byte) {
	ds := DaemonSet{located: at, Object: &appsv1.DaemonSet{}, JSON: raw}
	if s.decode(at, name, raw, ds.Object) {
		s.DaemonSets = append(s.DaemonSets, ds)
	}
}

// decode tells whether the object can be decoded. Fields that it does not have are a problem, as kubectl says by default.
func (s *Set) decode(at located, name string, raw []byte, into any) bool {
	unknown, err := sigsjson.UnmarshalStrict(raw, into)
	if err != nil {
		s.problem(at.Field(""), name, RuleMalformed, strings.TrimPrefix(err.Error(), "json: "))
		return false
	}
	for _, err := range unknown {
		path := strings.Trim(strings.TrimPrefix(err.Error(), "unknown field "), `"`)
		s.problem(at.Field(path), name, RuleUnknownField, err.Error()+": the API server would drop it, and kubectl refuses it")
	}
	return true
}

func (s *Set) problem(at Place, object string, rule Rule, message string) {
	s.Problems = append(s.Problems, Problem{at, object, rule, message})
}
