package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/admission"
	"berth.dev/berth/audit"
	"berth.dev/berth/cluster"
	"berth.dev/berth/coverage"
	"berth.dev/berth/manifests"
	"berth.dev/berth/placement"
	"berth.dev/berth/report"
	"berth.dev/berth/webhook"
)

// checker asks the server's own code about DaemonSets from files: as if each were created, or applied where it is stored.
type checker struct {
	live *liveCluster // nil: none
	// user is who asks.
	user authenticationv1.UserInfo
	// namespace is that of DaemonSets that name none.
	namespace string
	excluded  audit.Excluded

	set       *manifests.Set
	snapshot  *cluster.Snapshot
	evaluator admission.Evaluator
	review    admission.Review
	// coverages has what is known already, by all of a template that decides on nodes.
	coverages map[string]*coverage.Coverage
}

func newChecker(set *manifests.Set, excluded audit.Excluded) *checker {
	return &checker{
		set: set, excluded: excluded, coverages: map[string]*coverage.Coverage{},
		evaluator: admission.Evaluator{
			Namespaces: emptyNamespaces{}, Memory: unshared{}, ExcludedPriorityClasses: excluded.PriorityClasses, Answer: admission.Mutation,
		},
	}
}

// emptyNamespaces takes every namespace that is not among the input for one without labels.
type emptyNamespaces struct{}

// Namespace implements admission.Namespaces.
func (emptyNamespaces) Namespace(_ context.Context, name string) (placement.Namespace, error) {
	return manifests.NewNamespace(name, nil, nil), nil
}

// unshared is the server's budget for what matchConditions look at, for one who asks alone.
type unshared struct{}

// Size implements admission.Budget.
func (unshared) Size() int64 { return webhook.MaxDecodedWhole }

// Take implements admission.Budget.
func (unshared) Take(bytes int64) bool { return bytes <= webhook.MaxDecodedWhole }

// Give implements admission.Budget.
func (unshared) Give(int64) {}

// check looks at all DaemonSets.
func (c *checker) check(ctx context.Context) (*report.Report, error) {
	c.snapshot = c.set.Snapshot(ctx)
	var daemonSets []report.DaemonSet
	problems, others := c.set.ProblemsByDaemonSet()
	for i := range c.set.DaemonSets {
		ds, err := c.daemonSet(ctx, &c.set.DaemonSets[i], problems[i])
		if err != nil {
			return nil, err
		}
		daemonSets = append(daemonSets, *ds)
	}
	var findings []report.Finding
	for i := range others {
		p := &others[i]
		if p.Kind == "DaemonSet" && p.Rule == manifests.RuleMalformed { // it has no row: it cannot be decoded, or there is no such kind
			ds := c.row(p.Namespace, p.Name, p.Place)
			ds.Verdict = report.Denied
			ds.addProblem(p)
			daemonSets = append(daemonSets, ds.DaemonSet)
			continue
		}
		findings = append(findings, report.Finding{
			Rule: string(p.Rule), Severity: report.Error, Object: p.Object, Field: p.Field, Message: p.Message, Place: report.Place(p.Place),
		})
	}
	return report.New(daemonSets, append(findings, c.unknown(daemonSets)...)), nil
}

// unknown is what nobody knows of the facts.
func (c *checker) unknown(daemonSets []report.DaemonSet) (findings []report.Finding) {
	if len(daemonSets) == 0 {
		return nil
	}
	note := func(rule, object, message string) {
		findings = append(findings, report.Finding{Rule: rule, Severity: report.Note, Object: object, Message: message, Place: daemonSets[0].Place})
	}
	if len(c.set.Policies) == 0 {
		note("unknown-policies", "policies", "no PlacementPolicy is among the input, so nothing is required of DaemonSets: add the policies with --policies")
	}
	if len(c.set.Nodes) == 0 {
		note("unknown-nodes", "nodes", "no nodes are among the input, so where pods run is not known: add kubectl get nodes -o yaml with --nodes")
	}
	return findings
}

// daemonSet looks at one, with what is wrong with its manifest.
func (c *checker) daemonSet(ctx context.Context, from *manifests.DaemonSet, problems []manifests.Problem) (*report.DaemonSet, error) {
	object := from.Object
	row := c.row(object.Namespace, object.Name+object.GenerateName, from.Field(""))
	ds := &row.DaemonSet
	object.Namespace = ds.Namespace
	find := func(rule string, severity report.Severity, path, message string) {
		row.add(report.Finding{Rule: rule, Severity: severity, Field: path, Message: message, Place: report.Place(from.Field(path))})
	}
	malformed := false
	for i := range problems {
		row.addProblem(&problems[i])
		malformed = malformed || problems[i].Rule == manifests.RuleMalformed
	}
	raw, old, err := c.written(ctx, object, from.JSON)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from.Field(""), err)
	}
	if hook := object.Annotations["helm.sh/hook"]; hook != "" {
		find("helm-hook", report.Note, "metadata.annotations[helm.sh/hook]", "a hook of Helm: it is created at "+hook+", and is no part of the release")
	}
	verdict := func(is report.Verdict) {
		if ds.Verdict = is; malformed {
			ds.Verdict = report.Denied
		}
	}
	if c.excludes(object) {
		verdict(report.Excluded)
		return ds, c.apply(ds, raw, &admission.Answer{})
	}
	if _, known := c.snapshot.Namespace(object.Namespace); !known && len(c.set.Policies) > 0 {
		find("assumed-namespace", report.Note, "metadata.namespace",
			"namespace "+object.Namespace+" is not among the input: it is taken to have no labels and annotations; add it with --namespaces")
	}
	answer, err := c.ask(ctx, object, raw, old)
	if refused, ok := errors.AsType[*field.Error](err); ok {
		ds.Verdict = report.Denied
		find("malformed", report.Error, strings.TrimPrefix(refused.Field, "request.object."), refused.Error())
		return ds, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", from.Field(""), err)
	}
	ds.Policies = slices.Clone(answer.Policies)
	for _, err := range answer.Denied {
		find("policy-violation", report.Error, err.Field, err.Error())
	}
	for _, warning := range answer.Warnings {
		find("policy-warning", report.Warning, "spec.template.spec", warning)
	}
	if answer.AuditedDenial {
		find("audited-violation", report.Note, "spec.template.spec", "a policy in mode Audit would deny this if it were enforced")
	}
	verdict(verdicts[answer.Result])
	return ds, c.apply(ds, raw, &answer)
}

// excludes tells whether the webhook configurations leave the DaemonSet out.
func (c *checker) excludes(ds *appsv1.DaemonSet) bool {
	namespace, known := c.snapshot.Namespace(ds.Namespace)
	if !known {
		namespace = manifests.NewNamespace(ds.Namespace, nil, nil)
	}
	return c.excluded.Has(ds, namespace)
}

var verdicts = map[admission.Result]report.Verdict{
	admission.AllowedNoPolicy:   report.NoPolicy,
	admission.AllowedOutOfScope: report.Excluded, // it is being deleted
	admission.AllowedCompliant:  report.Unchanged,
	admission.Patched:           report.Changed,
	admission.DeniedViolation:   report.Denied,
	admission.DeniedLimit:       report.Denied,
	admission.AllowedLimit:      report.Unchanged,
}

// written is the object that the API server would get to store, and the one that is stored; nil where none is.
func (c *checker) written(ctx context.Context, ds *appsv1.DaemonSet, manifest []byte) (raw, old []byte, err error) {
	if raw, err = inNamespace(ds.Namespace, manifest); err != nil {
		return nil, nil, err
	}
	if old, err = c.live.stored(ctx, ds.Namespace, ds.Name); err != nil || old == nil {
		return raw, nil, err
	}
	raw, err = appliedTo(old, raw)
	return raw, old, err
}

// inNamespace is a manifest with what every stored DaemonSet says: its namespace.
func inNamespace(namespace string, manifest []byte) ([]byte, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]string{"namespace": namespace}})
	if err != nil {
		return nil, err
	}
	return jsonpatch.MergePatch(manifest, patch)
}

// ask puts the object before the server's code, in the review that the API server would send.
func (c *checker) ask(ctx context.Context, ds *appsv1.DaemonSet, raw, old []byte) (admission.Answer, error) {
	operation := admissionv1.Create
	if old != nil {
		operation = admissionv1.Update
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       "check",
			Kind:      metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"},
			Resource:  metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"},
			Namespace: ds.Namespace, Name: ds.Name, Operation: operation,
			UserInfo: c.user,
			Object:   runtime.RawExtension{Raw: raw}, OldObject: runtime.RawExtension{Raw: old},
		},
	})
	if err != nil {
		return admission.Answer{}, err
	}
	if err := c.review.Locate(body); err != nil {
		return admission.Answer{}, err
	}
	asked, invalid := c.review.Request()
	if invalid != nil {
		return admission.Answer{}, invalid
	}
	return c.evaluator.Evaluate(ctx, &c.review, asked, c.snapshot)
}

// apply adds what the patch changes, and where the pods run then.
func (c *checker) apply(ds *report.DaemonSet, raw []byte, answer *admission.Answer) error {
	if len(answer.Patch) > 0 {
		ds.Patch = answer.Patch.AppendJSON(nil)
		patched, err := patchedBy(ds.Patch, raw)
		if err != nil {
			return err
		}
		if ds.Diff, err = unifiedDiff(ds.Place.File, raw, patched); err != nil {
			return err
		}
		raw = patched
	}
	object := &appsv1.DaemonSet{}
	if err := json.Unmarshal(raw, object); err != nil {
		return fmt.Errorf("decode what would be stored: %w", err)
	}
	if ds.Verdict != report.Denied {
		pod := &object.Spec.Template.Spec
		ds.Placement = &report.Placement{NodeSelector: pod.NodeSelector, Affinity: pod.Affinity, Tolerations: pod.Tolerations}
		ds.Nodes = c.coverage(object)
	}
	return nil
}

func (c *checker) coverage(ds *appsv1.DaemonSet) *coverage.Coverage {
	if len(c.set.Nodes) == 0 {
		return nil
	}
	digest := coverage.DigestOf(&ds.Spec.Template)
	if c.coverages[digest] == nil {
		nodes := coverage.Of(&ds.Spec.Template, c.set.Nodes)
		c.coverages[digest] = &nodes
	}
	return c.coverages[digest]
}
