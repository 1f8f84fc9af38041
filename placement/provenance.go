package placement

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Written is one thing of a stored template that decides on nodes, and who wrote it.
type Written struct {
	// Field is where it stands, and What it is: app=example, arch NotIn [arm].
	Field, What string
	// Author says that the DaemonSet's author wrote it; otherwise berth did.
	Author bool
	// Policy is the one for which berth wrote it, empty where the receipt does not say.
	// Of what the author wrote it is one that requires the same, empty: none does.
	Policy string
	// Source is where the policy takes it from now; empty: it does not require it any more.
	Source string
	// Overridden is what the author wrote, in whose place berth wrote this.
	Overridden string
}

// Provenance returns everything that decides on the nodes of a stored DaemonSet, with who wrote it, as the receipt
// says. The verdicts are those of today's policies, which say what they take from where.
func Provenance(object *Object, verdicts []Verdict) []Written {
	read := readReceipt(object)
	of := provenance{template: &object.Template, claims: present(&read.claims, &object.Template)}
	if name := object.Template.NodeName; name != "" {
		of.add(nodeNamePath.field, name, nil)
	}
	of.labels()
	of.requirements()
	of.tolerations()
	for i := range of.written {
		of.written[i].explain(verdicts)
	}
	return of.written
}

// FormatRequirement writes an expression as people do: app NotIn [a, b].
func FormatRequirement(r corev1.NodeSelectorRequirement) string { return format(r) }

// provenance is a template and what of it berth claims, on the way to who wrote what.
type provenance struct {
	template *Template
	claims   claims
	written  []Written
}

// add adds one thing; by is the policy that it is for, and nil where the author wrote it.
func (p *provenance) add(at *field.Path, what string, by *string) {
	w := Written{Field: at.String(), What: what, Author: by == nil}
	if by != nil {
		w.Policy = *by
	}
	p.written = append(p.written, w)
}

func (p *provenance) labels() {
	for _, key := range slices.Sorted(maps.Keys(p.template.NodeSelector)) {
		claim := p.claims.label(key)
		what := key + "=" + p.template.NodeSelector[key]
		if claim == nil {
			p.add(nodeSelectorPath.key(key).field, what, nil)
			continue
		}
		p.add(nodeSelectorPath.key(key).field, what, &claim.policy)
		if claim.hasOverridden {
			p.written[len(p.written)-1].Overridden = key + "=" + claim.overridden
		}
	}
}

// requirements tells expressions apart as authored does: the last of equal ones in a term is berth's.
func (p *provenance) requirements() {
	index := newRequirementIndex(len(p.claims.requirements))
	for i := range p.claims.requirements {
		index.put(p.claims.requirements[i].NodeSelectorRequirement, i)
	}
	for k := range p.template.Affinity.Terms {
		term := &p.template.Affinity.Terms[k]
		by, seen := make([]*string, len(term.MatchExpressions)), map[int]bool{}
		for i, expression := range slices.Backward(term.MatchExpressions) {
			claim, found := index.find(expression)
			if found && !seen[claim] && !p.claims.requirements[claim].excepts(k) {
				seen[claim], by[i] = true, &p.claims.requirements[claim].policy
			}
		}
		at := termsPath.field.Index(k)
		for i := range term.MatchExpressions {
			p.add(at.Child("matchExpressions").Index(i), format(term.MatchExpressions[i]), by[i])
		}
		for i := range term.MatchFields {
			p.add(at.Child("matchFields").Index(i), format(term.MatchFields[i]), nil)
		}
	}
}

// tolerations tells them apart as authored does: the last of equal ones is berth's.
func (p *provenance) tolerations() {
	claimed := make(map[tolerationKey]*string, len(p.claims.tolerations))
	for i := range p.claims.tolerations {
		claimed[keyOfToleration(p.claims.tolerations[i].Toleration)] = &p.claims.tolerations[i].policy
	}
	by := make([]*string, len(p.template.Tolerations))
	for i, toleration := range slices.Backward(p.template.Tolerations) {
		key := keyOfToleration(toleration)
		by[i] = claimed[key]
		delete(claimed, key)
	}
	for i := range p.template.Tolerations {
		p.add(tolerationsPath.field.Index(i), formatToleration(p.template.Tolerations[i]), by[i])
	}
}

// explain adds what the policies say of it now.
func (w *Written) explain(verdicts []Verdict) {
	for i := range verdicts {
		v := &verdicts[i]
		if !w.Author && v.Policy != w.Policy {
			continue
		}
		for _, item := range v.Items {
			// What berth wrote the policy requires also where it came into conflict with others.
			if (item.Outcome == Present || !w.Author) && item.What == w.What && sameUnit(item.Field, w.Field) {
				w.Policy, w.Source = v.Policy, item.Source
				return
			}
		}
	}
}

// sameUnit says whether a field is what an item is about, or stands in it: an item names the list, not the entry.
func sameUnit(item, at string) bool { return at == item || strings.HasPrefix(at, item+"[") }
