package placement

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// FindClosest returns the first label of a nodeSelector, by key, that no node
// has, and the label most similar to it that nodes do have: the same key with
// another value, or else a key with a similar name. Both are zero when each label
// is on some node, and the second when nothing is similar. What nodes have comes
// by key and value, and count says on how many of them one label is.
func FindClosest[V any](nodeSelector map[string]string, have map[string]map[string]V, count func(V) int) (missing string, closest LabelCount) {
	for _, key := range slices.Sorted(maps.Keys(nodeSelector)) {
		value := nodeSelector[key]
		if _, ok := have[key][value]; ok {
			continue
		}
		return key + "=" + value, mostSimilar(LabelCount{Key: key, Value: value}, have, count)
	}
	return "", LabelCount{}
}

func mostSimilar[V any](wanted LabelCount, have map[string]map[string]V, count func(V) int) LabelCount {
	best := candidate{distance: farAway}
	for key, values := range have {
		// The distance of a value of the same key, or else that of the key.
		distance := func(value string) int { return valueDistance(wanted.Value, value, len(values), best.distance) }
		if key != wanted.Key {
			ofKey := keyDistance(wanted.Key, key)
			if ofKey > best.distance || ofKey == farAway {
				continue
			}
			distance = func(string) int { return ofKey }
		}
		for value, nodes := range values {
			if d := distance(value); d <= best.distance && d < farAway {
				best.take(candidate{LabelCount{key, value, count(nodes)}, d})
			}
		}
	}
	return best.label
}

// candidate is a label and how far it is from the one that is missing.
type candidate struct {
	label    LabelCount
	distance int
}

// take replaces c by a closer candidate; of equals, by the one that more nodes
// have, then by the first by name.
func (c *candidate) take(other candidate) {
	if cmp.Or(
		cmp.Compare(other.distance, c.distance),
		-cmp.Compare(other.label.Nodes, c.label.Nodes),
		strings.Compare(other.label.Key, c.label.Key),
		strings.Compare(other.label.Value, c.label.Value)) < 0 {
		*c = other
	}
}

const (
	// farAway is the distance of labels that have nothing to do with each other.
	farAway = 1000
	// farthestValue is the greatest distance that is told apart, so that another
	// value of the same key is always closer than another key.
	farthestValue = 98
	// manyValues is more values than anybody chooses from: such a key tells nodes
	// apart (kubernetes.io/hostname). Of it only a value within a typingError is
	// close, which is also all that can be looked for in time.
	manyValues  = 1000
	typingError = 2
)

// valueDistance is how far another value of the same key is, or more than atMost
// where it is more. The key has so many values.
func valueDistance(value, other string, values, atMost int) int {
	if values <= manyValues {
		return editDistance(value, other, min(farthestValue, atMost))
	}
	if distance := editDistance(value, other, min(typingError, atMost)); distance <= typingError {
		return distance
	}
	return farAway
}

// keyDistance is smaller for a more similar key: first the same name under
// another prefix or a typing error, then a key that contains the name.
func keyDistance(key, other string) int {
	if other == "kubernetes.io/hostname" {
		return farAway // One node each: never what somebody meant.
	}
	wanted, found := strings.ToLower(labelName(key)), strings.ToLower(labelName(other))
	switch typos := editDistance(strings.ToLower(key), strings.ToLower(other), farthestValue); {
	case wanted == found || typos <= typingError && len(key) > 3:
		return 100 + typos
	case len(wanted) >= 3 && strings.Contains(found, wanted), len(found) >= 3 && strings.Contains(wanted, found):
		return 200
	}
	return farAway
}

// labelName is a label key without its prefix.
func labelName(key string) string {
	return key[strings.LastIndexByte(key, '/')+1:]
}

// editDistance is Levenshtein's, or atMost+1 where that is more. It computes only
// the diagonal band which a distance of atMost can reach (Ukkonen).
func editDistance(a, b string, atMost int) int {
	tooFar := atMost + 1
	if max(len(a)-len(b), len(b)-len(a)) > atMost {
		return tooFar
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	var short [64]int // Room for a label value, which is at most 63 bytes long.
	row := short[:]
	if len(b) >= len(row) {
		row = make([]int, len(b)+1)
	}
	for j := range len(b) + 1 {
		row[j] = min(j, tooFar)
	}
	for i := range len(a) {
		first, last := max(0, i-atMost), min(len(b), i+1+atMost)
		diagonal := row[first]
		row[first] = min(i+1, tooFar)
		least := row[first]
		for j := first; j < last; j++ {
			above, substituted := row[j+1], diagonal
			if a[i] != b[j] {
				substituted++
			}
			row[j+1] = min(substituted, above+1, row[j]+1, tooFar)
			least = min(least, row[j+1])
			diagonal = above
		}
		if least > atMost {
			return tooFar
		}
	}
	return row[len(b)]
}
