package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// encode returns the annotation's value.
func (r *receipt) encode() string {
	if r.claims.empty() && len(r.past) == 0 {
		return emptyReceipt
	}
	b := append([]byte(`{"version":`), '0'+receiptVersion)
	if !r.claims.empty() {
		b = append(b, ',')
		b = r.claims.appendMembers(b)
	}
	if len(r.past) > 0 {
		b = append(b, `,"past":[`...)
		for i, p := range r.past {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"templates":`...)
			b = appendValue(b, p.Templates)
			b = append(b, `,"claims":`...)
			b = append(append(b, p.Claims...), '}')
		}
		b = append(b, ']')
	}
	return string(append(b, '}'))
}

// appendJSON appends the claims' JSON form.
func (c *claims) appendJSON(b []byte) []byte {
	b = append(b, '{')
	if !c.empty() {
		b = c.appendMembers(b)
	}
	return append(b, '}')
}

// appendMembers appends the members of the claims' JSON form: by hand, for
// every patch has one. Claims must not be empty.
func (c *claims) appendMembers(b []byte) []byte {
	b = append(b, `"policies":{`...)
	for i, policy := range c.policies() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, policy), ':')
		b = c.appendPolicy(b, policy)
	}
	b = append(b, '}')
	first := true
	for _, l := range c.labels {
		if !l.hasOverridden {
			continue
		}
		if first {
			b = append(b, `,"overridden":{`...)
		} else {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, l.key), ':')
		b = appendString(b, l.overridden)
	}
	if !first {
		b = append(b, '}')
	}
	if c.made != WithoutAffinity {
		b = append(b, `,"made":`...)
		b = appendString(b, madeNames[c.made])
	}
	return b
}

// policies returns the names of those that claim anything, sorted.
func (c *claims) policies() []string {
	var names []string
	for i := range c.labels {
		names = append(names, c.labels[i].policy)
	}
	for i := range c.requirements {
		names = append(names, c.requirements[i].policy)
	}
	for i := range c.tolerations {
		names = append(names, c.tolerations[i].policy)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *claims) appendPolicy(b []byte, policy string) []byte {
	b = append(b, '{')
	start := len(b)
	member := func(name string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), `":`...)
	}
	first := true
	for i := range c.labels {
		if c.labels[i].policy != policy {
			continue
		}
		if first {
			member("nodeSelector")
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, c.labels[i].key), ':')
		b = appendString(b, c.labels[i].value)
	}
	if !first {
		b = append(b, '}')
	}
	var requirements []requirementClaimJSON
	for _, r := range c.requirements {
		if r.policy == policy {
			requirements = append(requirements, requirementClaimJSON{r.NodeSelectorRequirement, r.except})
		}
	}
	if len(requirements) > 0 {
		member("nodeRequirements")
		b = appendValue(b, requirements)
	}
	var tolerations []corev1.Toleration
	for _, t := range c.tolerations {
		if t.policy == policy {
			tolerations = append(tolerations, t.Toleration)
		}
	}
	if len(tolerations) > 0 {
		member("tolerations")
		b = appendValue(b, tolerations)
	}
	return append(b, '}')
}
