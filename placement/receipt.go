package placement

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// InjectedAnnotation is the annotation on a DaemonSet's metadata, never on its
// template, that holds the receipt: what of the template berth wrote. With it the
// template that the author wrote can be told from the one that is stored. Its
// value is canonical JSON.
const InjectedAnnotation = "berth.dev/injected"

// The limits of a receipt. All annotations of an object together end at 256 KiB.
const (
	maxReceipt      = 16 << 10
	maxPast         = 10 // templates: as many revisions as a DaemonSet keeps by default
	maxPastBytes    = 2 << 10
	receiptVersion  = 2
	emptyReceipt    = "{}"
	unknownPolicy   = "" // of the receipts of the first form
	overheadOfEntry = 64 // of a past entry, beside its claims
)

// receipt is the value of InjectedAnnotation.
type receipt struct {
	// text is the annotation's value, and present says that there is one.
	text    string
	present bool
	claims  claims
	// past are the receipts of earlier templates, the newest last: kubectl rollout
	// undo brings back the template of a revision, but not the annotations.
	past []pastReceipt
}

// pastReceipt is what berth wrote of some earlier templates, which are named by
// their digests, the newest last.
type pastReceipt struct {
	Templates []string        `json:"templates"`
	Claims    json.RawMessage `json:"claims"`
}

// claimsJSON is the form of claims in the annotation.
type claimsJSON struct {
	Policies   map[string]policyClaimsJSON `json:"policies,omitempty"`
	Overridden map[string]string           `json:"overridden,omitempty"`
	Made       string                      `json:"made,omitempty"`
}

type policyClaimsJSON struct {
	NodeSelector     map[string]string      `json:"nodeSelector,omitempty"`
	NodeRequirements []requirementClaimJSON `json:"nodeRequirements,omitempty"`
	Tolerations      []corev1.Toleration    `json:"tolerations,omitempty"`
}

type requirementClaimJSON struct {
	corev1.NodeSelectorRequirement `json:",inline"`
	Except                         []int `json:"except,omitempty"`
}

// receiptJSON is the form of a receipt in the annotation: what berth writes, and
// beside it the members of the first form, which had no policies.
type receiptJSON struct {
	Version int `json:"version,omitempty"`
	claimsJSON
	Past []pastReceipt `json:"past,omitempty"`
	policyClaimsJSON
}

var madeNames = map[AffinityDepth]string{WithAffinity: "affinity", WithNodeAffinity: "nodeAffinity", WithRequired: "required"}

// readReceipt reads the receipt of an object. One that berth cannot have written
// claims nothing: everything is the author's then.
func readReceipt(object *Object) receipt {
	if object == nil {
		return receipt{}
	}
	text, present := object.Annotations[InjectedAnnotation]
	r := receipt{text: text, present: present}
	if len(text) <= len(emptyReceipt) || len(text) > maxReceipt {
		return r
	}
	var read receiptJSON
	if json.Unmarshal([]byte(text), &read) != nil || read.Version > receiptVersion {
		return r
	}
	if read.Version < receiptVersion {
		r.claims = firstForm(read)
		return r
	}
	r.claims = read.claims()
	r.past = newest(read.Past)
	return r
}

// firstForm reads what berth wrote before it recorded for whom: no policy is
// known, the parents of an affinity that is berth's alone are taken for made.
func firstForm(read receiptJSON) claims {
	c := claimsJSON{
		Policies:   map[string]policyClaimsJSON{unknownPolicy: read.policyClaimsJSON},
		Overridden: read.Overridden,
		Made:       madeNames[WithAffinity],
	}
	return c.claims()
}

func (j *claimsJSON) claims() claims {
	var c claims
	for policy, of := range j.Policies {
		for key, value := range of.NodeSelector {
			claim := labelClaim{policy: policy, key: key, value: value}
			claim.overridden, claim.hasOverridden = j.Overridden[key]
			if claim.hasOverridden && !isLabel(key, claim.overridden) {
				continue // berth overrides none, and would write it back.
			}
			c.labels = append(c.labels, claim)
		}
		for _, r := range of.NodeRequirements {
			slices.Sort(r.Except)
			c.requirements = append(c.requirements, requirementClaim{r.NodeSelectorRequirement, policy, r.Except})
		}
		for _, t := range of.Tolerations {
			c.tolerations = append(c.tolerations, tolerationClaim{t, policy})
		}
	}
	for depth, name := range madeNames {
		if j.Made == name {
			c.made = depth
		}
	}
	c.normalize()
	return c
}

// pastClaims returns the claims of the past template with the digest.
func (r *receipt) pastClaims(digest string) (claims, bool) {
	i := slices.IndexFunc(r.past, func(p pastReceipt) bool { return slices.Contains(p.Templates, digest) })
	if i < 0 {
		return claims{}, false
	}
	return *r.past[i].read(), true
}

func (p *pastReceipt) read() *claims {
	var read claimsJSON
	if json.Unmarshal(p.Claims, &read) != nil {
		return &claims{}
	}
	c := read.claims()
	return &c
}

// withPast returns past with the template that was stored until now, without
// the one that is to be stored, within the limits: the oldest go first.
func withPast(past []pastReceipt, template, current string, wrote *claims) []pastReceipt {
	if template == current {
		return past
	}
	var next []pastReceipt
	for _, p := range past {
		p.Templates = filter(p.Templates, func(t string) bool { return t != template && t != current })
		if len(p.Templates) > 0 {
			next = append(next, p)
		}
	}
	encoded := wrote.appendJSON(nil)
	if n := len(next); n > 0 && string(next[n-1].Claims) == string(encoded) {
		next[n-1].Templates = append(next[n-1].Templates, template)
	} else {
		next = append(next, pastReceipt{[]string{template}, encoded})
	}
	return newest(next)
}

// newest returns as many of past as the limits allow.
func newest(past []pastReceipt) []pastReceipt {
	templates, size := 0, 0
	for i := len(past) - 1; i >= 0; i-- {
		room := maxPast - templates
		size += len(past[i].Claims) + overheadOfEntry
		if size > maxPastBytes || room == 0 {
			return past[i+1:]
		}
		past[i].Templates = past[i].Templates[max(0, len(past[i].Templates)-room):]
		templates += len(past[i].Templates)
	}
	return past
}

// ReceiptIsStale says whether an object's receipt claims what its template has not: it was written past berth.
func ReceiptIsStale(object *Object) bool {
	r := readReceipt(object)
	there := present(&r.claims, &object.Template)
	return len(there.labels) < len(r.claims.labels) || len(there.requirements) < len(r.claims.requirements) || len(there.tolerations) < len(r.claims.tolerations)
}
