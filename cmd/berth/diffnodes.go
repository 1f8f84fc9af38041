package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// nodeFlags say what happens to nodes.
type nodeFlags struct {
	labels, unlabels, taints, removes []string

	all []nodeEdit
}

func (f *nodeFlags) addTo(group flagGroup) {
	group.flags.StringArrayVar(&f.labels, "label", nil, "`NODE:key=value`, or NODE:key- to take the label away")
	group.flags.StringArrayVar(&f.unlabels, "unlabel", nil, "`NODE:key`: the label is taken away")
	group.flags.StringArrayVar(&f.taints, "taint", nil, "`NODE:key=value:Effect`, or NODE:key:Effect- or NODE:key- to take taints away")
	group.flags.StringArrayVar(&f.removes, "remove", nil, "`NODE` that is removed from the cluster")
}

// nodeEdit is one flag's change of nodes.
type nodeEdit struct {
	flag  string // as given
	nodes labels.Selector
	name  string // of the one node, where it is not nodes
	// do changes one node, and says whether it did anything. It is nil where the node is removed.
	do func(*corev1.Node) bool
}

// parse reads the flags.
func (f *nodeFlags) parse() error {
	for _, group := range []struct {
		flag, form string
		texts      []string
		parse      func(what string) (func(*corev1.Node) bool, error)
	}{
		{"label", "key=value or NODE:key-", f.labels, parseLabel},
		{"unlabel", "key", f.unlabels, func(key string) (func(*corev1.Node) bool, error) { return parseLabel(key + "-") }},
		{"taint", "key=value:Effect or NODE:key:Effect-", f.taints, parseTaint},
		{"remove", "", f.removes, nil},
	} {
		for _, text := range group.texts {
			edit := nodeEdit{flag: "--" + group.flag + "=" + text}
			which, what, found := strings.Cut(text, ":")
			err := edit.choose(which)
			switch {
			case err != nil:
			case group.parse != nil && !found:
				err = fmt.Errorf("must be NODE:%s", group.form)
			case group.parse != nil:
				edit.do, err = group.parse(what)
			case found:
				err = fmt.Errorf("must be a node's name or a label selector")
			}
			if err != nil {
				return fmt.Errorf("%s: %w", edit.flag, err)
			}
			f.all = append(f.all, edit)
		}
	}
	return nil
}

// choose reads which nodes are meant.
func (e *nodeEdit) choose(which string) (err error) {
	switch {
	case which == "":
		return fmt.Errorf("no node is named before the colon")
	case strings.ContainsAny(which, "=!, ()"):
		e.nodes, err = labels.Parse(which)
		return err
	}
	e.name = which
	return nil
}

func (e *nodeEdit) means(node *corev1.Node) bool {
	if e.nodes != nil {
		return e.nodes.Matches(labels.Set(node.Labels))
	}
	return node.Name == e.name
}

// parseLabel reads key=value or key-, as kubectl label does.
func parseLabel(what string) (func(*corev1.Node) bool, error) {
	if key, removed := strings.CutSuffix(what, "-"); removed && !strings.Contains(what, "=") {
		if errs := validation.IsQualifiedName(key); len(errs) > 0 {
			return nil, fmt.Errorf("%q is no label key: %s", key, errs[0])
		}
		return func(node *corev1.Node) bool {
			_, labelled := node.Labels[key]
			delete(node.Labels, key)
			return labelled
		}, nil
	}
	key, value, found := strings.Cut(what, "=")
	if !found {
		return nil, fmt.Errorf("must be NODE:key=value or NODE:key-")
	}
	if errs := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(errs) > 0 {
		return nil, fmt.Errorf("%q is no label: %s", what, errs[0])
	}
	return func(node *corev1.Node) bool {
		if node.Labels == nil {
			node.Labels = map[string]string{}
		}
		node.Labels[key] = value
		return true
	}, nil
}

var taintEffects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}

// parseTaint reads key=value:Effect, key:Effect, key:Effect- or key-, as kubectl taint does.
func parseTaint(what string) (func(*corev1.Node) bool, error) {
	what, removed := strings.CutSuffix(what, "-")
	label, effect, hasEffect := strings.Cut(what, ":")
	key, value, _ := strings.Cut(label, "=")
	taint := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
	if errs := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(errs) > 0 {
		return nil, fmt.Errorf("%q is no taint: %s", label, errs[0])
	}
	switch {
	case hasEffect && !slices.Contains(taintEffects, taint.Effect):
		return nil, fmt.Errorf("%q is no effect of a taint: must be NoSchedule, PreferNoSchedule or NoExecute", effect)
	case removed:
		return func(node *corev1.Node) bool {
			before := len(node.Spec.Taints)
			node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool {
				return t.Key == key && (!hasEffect || t.Effect == taint.Effect)
			})
			return len(node.Spec.Taints) < before
		}, nil
	case !hasEffect:
		return nil, fmt.Errorf("must be NODE:key=value:Effect, or NODE:key:Effect- to take it away")
	}
	return func(node *corev1.Node) bool {
		node.Spec.Taints = append(slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }), taint)
		return true
	}, nil
}

// apply returns the nodes as they are then. All selectors see the nodes as they were.
func (f *nodeFlags) apply(nodes []*corev1.Node) ([]*corev1.Node, error) {
	edited := map[string]*corev1.Node{}
	removed := map[string]bool{}
	for i := range f.all {
		edit := &f.all[i]
		found, done := 0, false
		for _, node := range nodes {
			if !edit.means(node) {
				continue
			}
			found++
			if edit.do == nil {
				removed[node.Name] = true
				continue
			}
			if edited[node.Name] == nil {
				edited[node.Name] = copyOf(node)
			}
			done = edit.do(edited[node.Name]) || done
		}
		if found == 0 {
			as := "a node's name"
			if edit.nodes != nil {
				as = "the label selector " + edit.nodes.String()
			}
			return nil, fmt.Errorf("%s: there is no such node among %d; it was read as %s: kubectl get nodes --show-labels lists them", edit.flag, len(nodes), as)
		}
		if edit.do != nil && !done {
			return nil, fmt.Errorf("%s: no such node has that: kubectl describe node says what they have", edit.flag)
		}
	}
	var after []*corev1.Node
	for _, node := range nodes {
		if removed[node.Name] {
			continue
		}
		if changed := edited[node.Name]; changed != nil {
			node = changed
		}
		after = append(after, node)
	}
	return after, nil
}

// copyOf is a copy of which labels and taints may be changed.
func copyOf(node *corev1.Node) *corev1.Node {
	changed := *node
	changed.Labels, changed.Spec.Taints = maps.Clone(node.Labels), slices.Clone(node.Spec.Taints)
	return &changed
}
