package placement

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// patchOf returns what makes one template another, of what berth writes to. What
// both have stays untouched, with all that berth does not know of it.
func patchOf(from, to *Template) Patch {
	patch := patchLabels(nil, from.NodeSelector, to.NodeSelector)
	patch = patchAffinity(patch, &from.Affinity, &to.Affinity)
	return patchList(patch, tolerationsPath, listDiff(from.Tolerations, to.Tolerations, keyOfToleration))
}

func add(at path, value any) Operation {
	return Operation{Op: Add, Path: at.pointer, Value: value}
}

func remove(at path) Operation { return Operation{Op: Remove, Path: at.pointer} }

func patchLabels(patch Patch, from, to map[string]string) Patch {
	switch {
	case len(from) == 0 && len(to) == 0, maps.Equal(from, to):
		return patch
	case len(from) == 0:
		// One operation makes the parent too, be it missing, null or empty.
		return append(patch, add(nodeSelectorPath, to))
	case len(to) == 0:
		return append(patch, remove(nodeSelectorPath))
	}
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if _, stays := to[key]; !stays {
			patch = append(patch, remove(nodeSelectorPath.key(key)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(to)) {
		if have, ok := from[key]; !ok || have != to[key] {
			patch = append(patch, add(nodeSelectorPath.key(key), to[key]))
		}
	}
	return patch
}

// affinityPaths are those of the objects on the way to required node affinity.
var affinityPaths = [...]path{WithAffinity: affinityPath, WithNodeAffinity: nodeAffinityPath, WithRequired: requiredPath}

func patchAffinity(patch Patch, from, to *Affinity) Patch {
	switch {
	case to.Depth < from.Depth:
		return append(patch, remove(affinityPaths[to.Depth+1]))
	case to.Depth > from.Depth:
		return append(patch, add(affinityPaths[from.Depth+1], to.below(from.Depth+1)))
	case !to.Required():
		return patch
	case len(from.Terms) != len(to.Terms):
		return patchList(patch, termsPath, listDiff(from.Terms, to.Terms, func(t corev1.NodeSelectorTerm) string {
			return string(appendValue(nil, t))
		}))
	}
	for i := range to.Terms {
		was, is := &from.Terms[i], &to.Terms[i]
		if !slices.EqualFunc(was.MatchExpressions, is.MatchExpressions, equalRequirements) {
			var index requirementIndex
			patch = patchList(patch, termsPath.index(i).child("matchExpressions"),
				listDiff(was.MatchExpressions, is.MatchExpressions, func(r corev1.NodeSelectorRequirement) string { return string(index.key(r)) }))
		}
	}
	return patch
}

// below returns the object at a depth, with those inside it.
func (a *Affinity) below(depth AffinityDepth) any {
	whole := a.object()
	switch depth {
	case WithAffinity, WithoutAffinity:
		return whole
	case WithNodeAffinity:
		return whole.NodeAffinity
	case WithRequired:
	}
	return whole.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

// edits is how one list becomes another: what is removed first, by descending
// index, then what is added, by ascending index.
type edits[T any] struct {
	removed []int
	added   []insertion[T]
	// from and to are the lists.
	from, to []T
}

type insertion[T any] struct {
	at    int
	value T
}

// listDiff keeps what both lists have in one order, in time that grows with
// their lengths only.
func listDiff[T any, K comparable](from, to []T, key func(T) K) edits[T] {
	e := edits[T]{from: from, to: to}
	i := 0
	for i < len(from) && i < len(to) && key(from[i]) == key(to[i]) {
		i++
	}
	first := i                              // Most lists only grow at their end.
	ahead := make(map[K]int, len(to)-first) // how many of each are still to come
	for _, element := range to[first:] {
		ahead[key(element)]++
	}
	behind := make(map[K]int, len(from)-first)
	for _, element := range from[first:] {
		behind[key(element)]++
	}
	next := func() { // the next of from, which is kept or dropped
		behind[key(from[i])]--
		i++
	}
	drop := func() {
		e.removed = append(e.removed, i)
		next()
	}
	for j := first; j < len(to); j++ {
		element := to[j]
		k := key(element)
		ahead[k]--
		// What is not wanted any more goes, and so does what stands before one that is.
		for i < len(from) && key(from[i]) != k && (ahead[key(from[i])] <= 0 || behind[k] > 0) {
			drop()
		}
		if i < len(from) && key(from[i]) == k {
			next()
			continue
		}
		e.added = append(e.added, insertion[T]{j, element})
	}
	for i < len(from) {
		drop()
	}
	slices.Reverse(e.removed)
	return e
}

func patchList[T any](patch Patch, at path, e edits[T]) Patch {
	switch {
	case len(e.removed)+len(e.added) == 0:
		return patch
	case len(e.from) == 0:
		// One operation makes the parent too, be it missing, null or empty.
		return append(patch, add(at, e.to))
	case len(e.to) == 0:
		return append(patch, remove(at))
	}
	for _, i := range e.removed {
		patch = append(patch, remove(at.index(i)))
	}
	kept := len(e.from) - len(e.removed)
	for n, insert := range e.added {
		if insert.at == kept+n {
			patch = append(patch, add(at.end(), insert.value))
			continue
		}
		patch = append(patch, add(at.index(insert.at), insert.value))
	}
	return patch
}
