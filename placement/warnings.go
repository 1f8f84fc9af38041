package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"berth.dev/berth/api/v1alpha1"
)

// maxWarning is the length in bytes to which a warning is cut. The API server
// asks webhooks for at most 120 characters each
// (k8s.io/api/admission/v1 AdmissionResponse.warnings).
const maxWarning = 120

// warnings says what the user should know of an outcome that is let through.
func (d *draft) warnings(nodes Nodes) []string {
	var warnings []string
	for _, v := range d.violations {
		if slices.Contains(v.Actions, v1alpha1.Warn) {
			// The cure first: the path of a node affinity alone is longer than a warning.
			warnings = append(warnings, cut(v.Detail+" ("+v.Field+")"))
		}
	}
	if nodes == nil || len(d.violations) > 0 {
		return warnings
	}
	if matching, total := nodes.Count(&d.final); matching == 0 {
		warnings = append(warnings, d.noNode(total))
	}
	return warnings
}

// noNode warns of a placement that no node has. It is legitimate, for a pool
// that scales from zero, but most often it is a label that was forgotten.
func (d *draft) noNode(total int) string {
	found := fmt.Sprintf("matches 0 of %d nodes: ", total)
	if requiredNodeAffinity(d.final.Affinity) == nil {
		var labels strings.Builder
		for _, key := range slices.Sorted(maps.Keys(d.final.NodeSelector)) {
			labels.WriteString(" " + key + "=" + d.final.NodeSelector[key])
		}
		if hint := found + "label one with kubectl label nodes NODE" + labels.String(); len(hint) <= maxWarning {
			return hint
		}
	}
	return found + "label one to fit spec.template.spec.nodeSelector and affinity, or change them"
}

// cut shortens a warning to what the API server takes.
func cut(text string) string {
	if len(text) <= maxWarning {
		return text
	}
	const ellipsis = "..."
	return strings.ToValidUTF8(text[:maxWarning-len(ellipsis)], "") + ellipsis
}
