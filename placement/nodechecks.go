package placement

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// AcknowledgeAnnotation lets one change of a DaemonSet's placement past the
// nodeChecks of all policies: the one whose digest is its value.
const AcknowledgeAnnotation = "berth.dev/acknowledge"

// nodeChecks is a policy's compiled nodeChecks.
type nodeChecks struct {
	minMatching, maxLost limit
	actions              []v1alpha1.ValidationAction
}

// limit is a number of nodes, or a percentage of some.
type limit struct {
	n       int
	percent bool
}

func (l limit) String() string {
	if l.percent {
		return strconv.Itoa(l.n) + "%"
	}
	return strconv.Itoa(l.n)
}

// exceededBy says whether n of total nodes are more than the limit.
func (l limit) exceededBy(n, total int) bool {
	if l.percent {
		return n*100 > l.n*total
	}
	return n > l.n
}

// undercutBy says whether n of total nodes are fewer than the limit.
func (l limit) undercutBy(n, total int) bool {
	if l.percent {
		return n*100 < l.n*total
	}
	return n < l.n
}

func compileNodeChecks(path *field.Path, spec v1alpha1.NodeChecks) (nodeChecks, field.ErrorList) {
	checks := nodeChecks{actions: spec.ValidationActions}
	if len(checks.actions) == 0 {
		checks.actions = []v1alpha1.ValidationAction{v1alpha1.Warn}
	}
	errs := validateActions(path.Child("validationActions"), checks.actions)
	var limitErrs field.ErrorList
	checks.minMatching, limitErrs = compileLimit(path.Child("minMatchingNodes"), spec.MinMatchingNodes, limit{n: 1})
	errs = append(errs, limitErrs...)
	checks.maxLost, limitErrs = compileLimit(path.Child("maxNodesLost"), spec.MaxNodesLost, limit{n: 10, percent: true})
	return checks, append(errs, limitErrs...)
}

func compileLimit(path *field.Path, value *intstr.IntOrString, byDefault limit) (limit, field.ErrorList) {
	if value == nil {
		return byDefault, nil
	}
	compiled := limit{n: value.IntValue()}
	var err error
	if value.Type == intstr.String {
		compiled.percent = true
		number, ok := strings.CutSuffix(value.StrVal, "%")
		if compiled.n, err = strconv.Atoi(number); err == nil && (!ok || compiled.n > 100) {
			err = strconv.ErrRange
		}
	}
	if err != nil || compiled.n < 0 {
		return limit{}, field.ErrorList{field.Invalid(path, value.String(), "must be a number of nodes, or a percentage such as 10%")}
	}
	return compiled, nil
}

// checkNodes holds the final placement against the policies' nodeChecks.
func (d *draft) checkNodes(in Input) {
	if in.Nodes == nil {
		return
	}
	var before *corev1.PodSpec
	if in.Old != nil {
		before = &in.Old.Spec.Template.Spec
	}
	d.survey = in.Nodes.Survey(before, &d.final)
	beyond := slices.ContainsFunc(d.policies, func(p *policy) bool { return p.tooFew(d.survey) || p.tooManyLost(d.survey) })
	if !beyond {
		return
	}
	digest := d.digest(before)
	if d.daemonSet.Annotations[AcknowledgeAnnotation] == digest ||
		in.Old != nil && in.Old.Annotations[AcknowledgeAnnotation] == digest {
		return
	}
	meant := d.howToAcknowledge(digest, in)
	for _, p := range d.policies {
		if p.tooFew(d.survey) {
			found := d.describeFewNodes()
			d.violateNodeCheck(p, found, fmt.Sprintf("%s; policy %q asks for at least %s; %s", found, p.name, p.nodeChecks.minMatching, meant))
		}
		if p.tooManyLost(d.survey) {
			found := fmt.Sprintf("deletes the pods on %d of %d nodes at once, whatever maxUnavailable is", d.survey.Lost, d.survey.Before)
			d.violateNodeCheck(p, found, fmt.Sprintf("%s; policy %q allows %s; %s", found, p.name, p.nodeChecks.maxLost, meant))
		}
	}
}

func (p *policy) tooFew(s Survey) bool {
	return p.nodeChecks.minMatching.undercutBy(s.Eligible, s.Total)
}

func (p *policy) tooManyLost(s Survey) bool { return p.nodeChecks.maxLost.exceededBy(s.Lost, s.Before) }

func (d *draft) violateNodeCheck(by *policy, warning, detail string) {
	d.violations = append(d.violations, Violation{
		Error:   field.Forbidden(podSpecPath.field, detail),
		Policy:  by.name,
		Actions: by.nodeChecks.actions,
		warning: warning,
	})
}

// howToAcknowledge is what to do when the change is meant.
func (d *draft) howToAcknowledge(digest string, in Input) string {
	if in.Old == nil {
		return fmt.Sprintf("if that is meant, add the annotation %s: %s to the DaemonSet", AcknowledgeAnnotation, digest)
	}
	return fmt.Sprintf("if that is meant, run this and try again: kubectl annotate daemonset -n %s %s --overwrite %s=%s",
		cmp.Or(d.daemonSet.Namespace, "default"), d.daemonSet.Name, AcknowledgeAnnotation, digest)
}

// lifecycleTaints is the prefix of the taints by which Kubernetes itself takes
// nodes out of service for a while.
const lifecycleTaints = "node.kubernetes.io/"

// describeFewNodes says how many nodes match, and what to do about it, in the
// length of a warning.
func (d *draft) describeFewNodes() string {
	found := fmt.Sprintf("matches %d of %d nodes: ", d.survey.Eligible, d.survey.Total)
	if d.survey.Total == 0 {
		return found + "the cluster has none yet"
	}
	if d.survey.Eligible == 0 && d.survey.Blocked > 0 {
		if strings.HasPrefix(d.survey.Taint, lifecycleTaints) {
			return fmt.Sprintf("%s%d more are out of service for now, by the taint %s", found, d.survey.Blocked, d.survey.Taint)
		}
		return fmt.Sprintf("%s%d more have the untolerated taint %s: add a toleration", found, d.survey.Blocked, d.survey.Taint)
	}
	if closest := d.survey.Closest; closest.Nodes > 0 {
		return fmt.Sprintf("%sno node has %s; %d have %s=%s", found, d.survey.Missing, closest.Nodes, closest.Key, closest.Value)
	}
	if requiredNodeAffinity(d.final.Affinity) == nil && len(d.final.NodeSelector) > 0 {
		var labels strings.Builder
		for _, key := range slices.Sorted(maps.Keys(d.final.NodeSelector)) {
			labels.WriteString(" " + key + "=" + d.final.NodeSelector[key])
		}
		if hint := found + "label one with kubectl label nodes NODE" + labels.String(); len(hint) <= maxWarning {
			return hint
		}
	}
	if d.survey.Missing != "" {
		return found + "no node has " + d.survey.Missing
	}
	return found + "label one to fit spec.template.spec.nodeSelector and affinity, or change them"
}

// digestLength is the length of a digest in hexadecimal digits: long enough not
// to be met by accident, short enough to read out. It is no secret: whoever may
// write the DaemonSet may acknowledge.
const digestLength = 12

// digest names one exact change of one DaemonSet's placement.
func (d *draft) digest(before *corev1.PodSpec) string {
	type placement struct {
		NodeSelector map[string]string    `json:"nodeSelector,omitempty"`
		Required     *corev1.NodeSelector `json:"required,omitempty"`
		Tolerations  []corev1.Toleration  `json:"tolerations,omitempty"`
		HostNetwork  bool                 `json:"hostNetwork,omitempty"`
	}
	of := func(pod *corev1.PodSpec) placement {
		return placement{pod.NodeSelector, requiredNodeAffinity(pod.Affinity), pod.Tolerations, pod.HostNetwork}
	}
	change := struct {
		Namespace, Name string
		Before          *placement `json:",omitempty"`
		After           placement
	}{Namespace: d.daemonSet.Namespace, Name: d.daemonSet.Name, After: of(&d.final)}
	if before != nil {
		was := of(before)
		change.Before = &was
	}
	encoded, _ := json.Marshal(change) // Strings all the way down: cannot fail.
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])[:digestLength]
}
