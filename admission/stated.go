package admission

import (
	"bytes"
	"encoding/json"

	"berth.dev/berth/placement"
)

// stated returns what the manifest states that kubectl apply keeps in its annotation, or nil where it is no manifest. One
// that does not speak of placement, as most do not, is not even unquoted.
func stated(lastApplied []byte) *placement.Template {
	says := func(member string) bool { return bytes.Contains(lastApplied, []byte(member)) }
	if !says("nodeSelector") && !says("tolerations") && !says("affinity") {
		return &placement.Template{}
	}
	var manifest Review
	manifest.scanner.reset([]byte(unquote(lastApplied[1 : len(lastApplied)-1])))
	manifest.walk(daemonSetMembers(partObject))
	if manifest.scanner.finish(); manifest.scanner.err != nil || manifest.duplicate != nil {
		return nil
	}
	d := partDecoder{review: &manifest, root: partObject}
	var t placement.Template
	if d.limits(); d.err != nil {
		return nil
	}
	if d.template(&t, &placement.Template{}); d.err != nil {
		return nil
	}
	return &t
}

// managedFields is what berth reads of an entry of an object's managedFields: the units that are owned.
type managedFields struct {
	Manager   string `json:"manager"`
	Operation string `json:"operation"`
	Fields    struct {
		Spec struct {
			Template struct {
				Spec struct {
					NodeSelector json.RawMessage `json:"f:nodeSelector"`
					Tolerations  json.RawMessage `json:"f:tolerations"`
					Affinity     struct {
						NodeAffinity struct {
							Required json.RawMessage `json:"f:requiredDuringSchedulingIgnoredDuringExecution"`
						} `json:"f:nodeAffinity"`
					} `json:"f:affinity"`
				} `json:"f:spec"`
			} `json:"f:template"`
		} `json:"f:spec"`
	} `json:"fieldsV1"`
}

// applied returns the units that the request's own field manager owns by server-side apply.
func (r *Review) applied() map[placement.Unit]bool {
	manager, _ := r.text(partFieldManager)
	raw := r.values[partObject+partManagedFields]
	if manager == "" || !bytes.Contains(raw, []byte("Apply")) {
		return nil
	}
	var entries []managedFields
	if json.Unmarshal(raw, &entries) != nil {
		return nil
	}
	units := map[placement.Unit]bool{}
	for i := range entries {
		if entries[i].Manager != manager || entries[i].Operation != "Apply" {
			continue
		}
		spec := &entries[i].Fields.Spec.Template.Spec
		units[placement.UnitNodeSelector] = units[placement.UnitNodeSelector] || spec.NodeSelector != nil
		units[placement.UnitTolerations] = units[placement.UnitTolerations] || spec.Tolerations != nil
		units[placement.UnitRequired] = units[placement.UnitRequired] || spec.Affinity.NodeAffinity.Required != nil
	}
	return units
}
