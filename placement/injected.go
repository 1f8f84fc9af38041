package placement

import (
	"encoding/json"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// InjectedAnnotation is the annotation on a DaemonSet's metadata, never on its
// template, that records what berth wrote into the template. Without it a value
// that berth injected under an earlier version of a policy would look like the
// user's own. Its value is canonical JSON.
const InjectedAnnotation = "berth.dev/injected"

// record is the value of InjectedAnnotation.
type record struct {
	NodeSelector     map[string]string                `json:"nodeSelector,omitempty"`
	NodeRequirements []corev1.NodeSelectorRequirement `json:"nodeRequirements,omitempty"`
}

// readRecord reads what berth injected earlier. A value that berth cannot have
// written is as good as none: everything is the user's then.
func readRecord(ds *appsv1.DaemonSet) record {
	var r record
	if value := ds.Annotations[InjectedAnnotation]; value != "" {
		if err := json.Unmarshal([]byte(value), &r); err != nil {
			r = record{}
		}
	}
	if r.NodeSelector == nil {
		r.NodeSelector = map[string]string{}
	}
	return r
}

// encode returns the annotation's value, without the labels that the final
// nodeSelector no longer has: those are the user's.
func (r record) encode(final map[string]string) string {
	maps.DeleteFunc(r.NodeSelector, func(key, value string) bool { have, ok := final[key]; return !ok || have != value })
	slices.SortFunc(r.NodeRequirements, compareRequirements)
	encoded, _ := json.Marshal(r) // Strings all the way down: cannot fail.
	return string(encoded)
}
