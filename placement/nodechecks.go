package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// compileNodeChecks compiles nodeChecks; nil is the defaults.
func compileNodeChecks(path *field.Path, spec *v1alpha1.NodeChecks) (nodeChecks, field.ErrorList) {
	if spec == nil {
		spec = &v1alpha1.NodeChecks{}
	}
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

// nodesFound is what a template means on the cluster's nodes; zero when they are
// not known.
type nodesFound struct {
	survey     Survey
	violations []Violation
}

// checkNodes holds the template that is to be stored against the nodeChecks of
// the policies that act.
func checkNodes(r *reading, acting []applicable, final *hands) nodesFound {
	if r.Nodes == nil || len(acting) == 0 {
		return nodesFound{}
	}
	after := &final.template
	c := change{asked: r.asked, after: after}
	if r.Old != nil {
		c.before = &r.Old.Template
	}
	found := nodesFound{survey: r.survey(c.before, after)}
	s := &found.survey
	if !slices.ContainsFunc(acting, func(p applicable) bool { return p.tooFew(s) || p.tooManyLost(s) }) {
		return found
	}
	digest := c.digest()
	if r.New.Annotations[AcknowledgeAnnotation] == digest || r.Old != nil && r.Old.Annotations[AcknowledgeAnnotation] == digest {
		return found
	}
	meant := c.howToAcknowledge(digest)
	// A template that stays as it is stored deletes no pod: nobody is denied for it.
	stays := c.before != nil && c.before.Equal(after)
	for _, p := range acting {
		if p.tooFew(s) {
			few := cutTo(2*maxShown, describeFewNodes(s, final))
			found.violations = append(found.violations, p.violateNodeCheck(stays, few,
				fmt.Sprintf("%s; policy %q asks for at least %s; %s", few, p.name, p.nodeChecks.minMatching, meant)))
		}
		if p.tooManyLost(s) {
			lost := fmt.Sprintf("deletes the pods on %d of %d nodes at once, whatever maxUnavailable is", s.Lost, s.Before)
			found.violations = append(found.violations, p.violateNodeCheck(stays, lost,
				fmt.Sprintf("%s; policy %q allows %s; %s", lost, p.name, p.nodeChecks.maxLost, meant)))
		}
	}
	return found
}

func (p *applicable) tooFew(s *Survey) bool {
	return p.failed == nil && p.nodeChecks.minMatching.undercutBy(s.Eligible, s.Total)
}

func (p *applicable) tooManyLost(s *Survey) bool {
	return p.failed == nil && p.nodeChecks.maxLost.exceededBy(s.Lost, s.Before)
}

func (p *policy) violateNodeCheck(stays bool, warning, detail string) Violation {
	v := Violation{
		Error:   shownError(field.Forbidden(podSpecPath.field, detail)),
		Policy:  p.name,
		Actions: p.nodeChecks.actions,
		warning: warning,
		ofNodes: true,
	}
	if stays && slices.Contains(v.Actions, v1alpha1.Deny) {
		v.Actions = warnInPlaceOfDeny(v.Actions)
	}
	return v
}

// change is one change of one DaemonSet's placement.
type change struct {
	*asked
	before, after *Template // before is nil on creation
}

// howToAcknowledge is what to do when the change is meant.
func (c *change) howToAcknowledge(digest string) string {
	if c.Old == nil {
		return fmt.Sprintf("if that is meant, add the annotation %s: %s to the DaemonSet", AcknowledgeAnnotation, digest)
	}
	return fmt.Sprintf("if that is meant, run this and try again: kubectl annotate daemonset -n %s %s --overwrite %s=%s",
		shown(cmp.Or(c.New.Namespace, "default")), shown(c.New.Name), AcknowledgeAnnotation, digest)
}

// digest names the change. It is no secret: whoever may write the DaemonSet may
// acknowledge. All phases of one write have the same: the tolerations after the
// change are not in it, because other webhooks add some, and the name that the API
// server makes is not known to the first.
func (c *change) digest() string {
	b := append([]byte(nil), c.New.Namespace...)
	b = append(append(b, '/'), cmp.Or(c.New.GenerateName, c.New.Name)...)
	after := *c.after
	after.Tolerations = nil
	if c.before == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, c.storedPlacement()...)
	}
	return digestOf(after.appendNodes(b))
}

// appendNodes appends all that says on which nodes a template runs.
func (t *Template) appendNodes(b []byte) []byte {
	return strconv.AppendBool(strconv.AppendQuote(t.appendPlacement(b), t.NodeName), t.HostNetwork)
}
