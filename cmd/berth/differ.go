package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/audit"
	"berth.dev/berth/coverage"
	"berth.dev/berth/manifests"
	"berth.dev/berth/placement"
	"berth.dev/berth/report"
)

// differ asks what becomes of DaemonSets, and of their pods, before and after a change.
type differ struct {
	// before and after ask the server's own code, each with its facts.
	before, after  *checker
	nodes          *coverage.Nodes
	podDefaults    *coverage.PodDefaults
	policiesChange bool

	moves   []report.DaemonSetMove
	assumed map[string]bool
}

func newDiffer(ctx context.Context, input *diffInput, excluded audit.Excluded, poolLabels []string) (*differ, error) {
	d := &differ{
		before: newChecker(input.before, excluded), after: newChecker(input.after, excluded),
		nodes:          coverage.NewNodes(input.before.Nodes, input.after.Nodes, poolLabels),
		podDefaults:    coverage.NewPodDefaults(input.after.LimitRanges, input.after.RuntimeClasses),
		policiesChange: input.policiesChange, assumed: map[string]bool{},
	}
	d.before.snapshot, d.after.snapshot = input.before.Snapshot(ctx), input.after.Snapshot(ctx)
	changed := map[string]bool{}
	for i := range input.changes.Policies {
		changed["PlacementPolicy/"+input.changes.Policies[i].Object.Name] = true
	}
	for _, problem := range input.after.Problems {
		if changed[problem.Object] { // What is stored already goes the way of its failurePolicy.
			return nil, problemError(&problem)
		}
	}
	return d, nil
}

// diff looks at all DaemonSets.
func (d *differ) diff(ctx context.Context, input *diffInput) (*report.DiffReport, error) {
	for i := range input.daemonSets {
		if err := d.daemonSet(ctx, &input.daemonSets[i]); err != nil {
			return nil, err
		}
	}
	assumed := slices.Clone(input.assumed)
	for text := range d.assumed {
		assumed = append(assumed, text)
	}
	slices.Sort(assumed)
	return report.NewDiff(d.moves, assumed, report.DiffSummary{Nodes: len(input.after.Nodes), DaemonSets: len(input.daemonSets)}), nil
}

// moving is a DaemonSet, and where its pods are, from one moment to the next.
type moving struct {
	*daemonSetVersion // nil: there is none
	pods              coverage.Pods
	// warned is what has been said already.
	warned []string
}

// daemonSet follows one through all that happens to it: nodes change, it is applied, anybody writes it, its template changes.
func (d *differ) daemonSet(ctx context.Context, from *diffed) error {
	m := &moving{daemonSetVersion: from.stored, pods: d.nodes.None()}
	if m.daemonSetVersion != nil {
		if m.object.DeletionTimestamp != nil {
			return nil // The controller leaves its pods to the garbage collector.
		}
		template := d.podDefaults.In(m.object.Namespace, &m.object.Spec.Template)
		pods, move := d.nodes.Sync(d.nodes.Running(template, from.alsoOn), template)
		m.pods = pods
		d.add(m.daemonSetVersion, report.DaemonSetMove{When: report.AtOnce, Move: move})
	}
	if from.applied != nil {
		if err := d.apply(ctx, m, from.applied); err != nil {
			return fmt.Errorf("%s: %w", from.applied.Field(""), err)
		}
	}
	if m.daemonSetVersion == nil || !d.policiesChange {
		return nil
	}
	if err := d.policies(ctx, m, report.AtNextWrite); err != nil {
		return fmt.Errorf("DaemonSet %s: %w", m.key(), err)
	}
	if err := d.policies(ctx, m, report.AtNextRollout); err != nil {
		return fmt.Errorf("DaemonSet %s: %w", m.key(), err)
	}
	return nil
}

// add keeps what moves.
func (d *differ) add(v *daemonSetVersion, move report.DaemonSetMove) {
	if move.Empty() && len(move.Denied)+len(move.Warned) == 0 {
		return
	}
	move.Namespace, move.Name = v.object.Namespace, v.object.Name+v.object.GenerateName
	d.moves = append(d.moves, move)
}

// apply is kubectl apply of a manifest, as the policies are after the change.
func (d *differ) apply(ctx context.Context, m *moving, manifest *manifests.DaemonSet) error {
	raw, err := inNamespace(manifest.Object.Namespace, manifest.JSON)
	if err != nil {
		return err
	}
	var old []byte
	if m.daemonSetVersion != nil {
		old = m.raw
		if raw, err = appliedTo(old, raw); err != nil {
			return err
		}
	}
	written, err := newDaemonSetVersion(raw)
	if err != nil {
		return err
	}
	d.assume(written)
	is, err := d.after.becomes(ctx, written, old)
	if err != nil {
		return err
	}
	if len(is.denied) > 0 {
		d.add(written, report.DaemonSetMove{When: report.WhenApplied, Move: m.pods.Unmoved(), Denied: is.denied})
		return nil
	}
	d.rollOut(m, is.stored, report.DaemonSetMove{When: report.WhenApplied})
	return nil
}

// policies is a write that leaves to berth where the DaemonSet goes: of anything, or of the pod template's rest. What becomes of
// it without the change too is no news.
func (d *differ) policies(ctx context.Context, m *moving, when report.When) error {
	written := m.daemonSetVersion
	if when == report.AtNextRollout {
		raw, err := jsonpatch.MergePatch(m.raw, []byte(restarted))
		if err != nil {
			return err
		}
		if written, err = newDaemonSetVersion(raw); err != nil {
			return err
		}
	}
	d.assume(written)
	was, err := d.before.becomes(ctx, written, m.raw)
	if err != nil {
		return err
	}
	is, err := d.after.becomes(ctx, written, m.raw)
	if err != nil {
		return err
	}
	wasDenied, isDenied := len(was.denied) > 0, len(is.denied) > 0
	if wasDenied && isDenied {
		return nil
	}
	move := report.DaemonSetMove{When: when, Denied: is.denied, Warned: m.news(was.warned, is.warned)}
	if isDenied || !wasDenied && samePlacement(was.stored, is.stored) {
		move.Move = m.pods.Unmoved()
		d.add(written, move)
		return nil
	}
	d.rollOut(m, is.stored, move)
	return nil
}

// news is the warnings that were not given before, at this moment or an earlier one.
func (m *moving) news(before, now []string) (warned []string) {
	for _, warning := range now {
		if !slices.Contains(before, warning) && !slices.Contains(m.warned, warning) {
			warned = append(warned, warning)
		}
	}
	m.warned = append(m.warned, warned...)
	return warned
}

// restarted is what kubectl rollout restart writes, but for the time.
const restarted = `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"berth diff"}}}}}`

// rollOut adds to the move what the new version's pods move.
func (d *differ) rollOut(m *moving, next *daemonSetVersion, move report.DaemonSetMove) {
	roll := d.nodes.Rollout
	if next.object.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		roll = d.nodes.Sync
	}
	m.pods, move.Move = roll(m.pods, d.podDefaults.In(next.object.Namespace, &next.object.Spec.Template))
	m.daemonSetVersion = next
	d.add(next, move)
}

func samePlacement(a, b *daemonSetVersion) bool {
	of := func(v *daemonSetVersion) placement.Template {
		return placement.TemplateOf(nil, &v.object.Spec.Template.Spec)
	}
	one, other := of(a), of(b)
	return one.Equal(&other)
}

// assume notes what is not known of a DaemonSet that is written.
func (d *differ) assume(v *daemonSetVersion) {
	if _, known := d.after.snapshot.Namespace(v.object.Namespace); !known && len(d.after.set.Policies) > 0 && !d.after.excludes(v.object) {
		d.assumed["namespace "+v.object.Namespace+" is not among the input: it is taken to have no labels and annotations; add it with -f or --namespaces"] = true
	}
}

// outcome is what becomes of a write.
type outcome struct {
	// stored is nil where the write is denied.
	stored         *daemonSetVersion
	denied, warned []string
}

// becomes is what becomes of a DaemonSet that is written over an old one (nil: there is none).
func (c *checker) becomes(ctx context.Context, written *daemonSetVersion, old []byte) (*outcome, error) {
	if c.excludes(written.object) {
		return &outcome{stored: written}, nil
	}
	answer, err := c.ask(ctx, written.object, written.raw, old)
	if malformed, ok := errors.AsType[*field.Error](err); ok {
		return &outcome{denied: []string{malformed.Error()}}, nil
	} else if err != nil {
		return nil, err
	}
	o := &outcome{stored: written, warned: answer.Warnings}
	for _, err := range answer.Denied {
		o.denied = append(o.denied, err.Error())
	}
	switch {
	case len(o.denied) > 0:
		o.stored = nil
	case len(answer.Patch) > 0:
		raw, err := patchedBy(answer.Patch.AppendJSON(nil), written.raw)
		if err != nil {
			return nil, err
		}
		if o.stored, err = newDaemonSetVersion(raw); err != nil {
			return nil, err
		}
	}
	return o, nil
}
