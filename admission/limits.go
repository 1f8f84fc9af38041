package admission

import (
	"bytes"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/placement"
)

// What is a few bytes in a body is a hundred times as much in memory, and more where berth has to complain about each, and
// anybody can send a body. So what is decoded has limits, far beyond what a DaemonSet has.
const (
	// maxEntries is for each map.
	maxEntries = 1000
	// maxListed is for the members of tolerations and of required node affinity, which may well list a cluster's nodes.
	maxListed = 10_000
	// maxOldFactor is how much more there may be of the stored object: what was stored before a policy came can be brought
	// within the limits.
	maxOldFactor = 10
)

// What berth itself adds stands in the receipt, and what is there with its receipt may have so much more: what the mutating
// webhook writes, the validating one reads.
const (
	// maxClaimed is more than a receipt of 16 KiB has commas.
	maxClaimed = 16 << 10
	// maxAddedExpressions is what placement adds to all terms together, each with 64 values at most.
	maxAddedExpressions = 2000
	maxAddedMembers     = maxAddedExpressions * (64 + 3)
)

// limits demands of the parts that berth decodes that they are not larger than they may be.
func (d *partDecoder) limits() {
	d.mustHaveAtMost(maxEntries, 0, partObjectLabels, partSelector, partTemplateLabels)
	d.mustHaveAtMost(maxEntries, maxClaimed, partNodeSelector)
	d.mustHaveAtMost(maxListed, maxClaimed, partTolerations)
	d.templateLists()
}

func (d *partDecoder) templateLists() {
	d.mustHaveAtMost(maxListed, maxAddedMembers, partRequiredAffinity)
	// A term or an expression is more in memory than a value.
	if most := d.most(maxListed, maxAddedExpressions); bytes.Count(d.value(partRequiredAffinity), []byte{'{'}) > most {
		d.fail(tooMany(d.root+partRequiredAffinity, bytes.Count(d.value(partRequiredAffinity), []byte{'{'}), most))
	}
}

// mustHaveAtMost counts commas: there is one before every entry but the first.
func (d *partDecoder) mustHaveAtMost(authored, added int, parts ...part) {
	most := d.most(authored, added)
	for _, p := range parts {
		if commas := bytes.Count(d.value(p), []byte{','}); commas >= most {
			d.fail(tooMany(d.root+p, commas+1, most))
		}
	}
}

// most is the limit of an object that may have so much of its author's, and so much that berth has added.
func (d *partDecoder) most(authored, added int) int {
	if d.root == partOldObject {
		authored *= maxOldFactor
	}
	if bytes.Contains(d.value(partAnnotations), []byte(placement.InjectedAnnotation)) {
		authored += added
	}
	return authored
}

func (d *partDecoder) maxAnnotations() int { return d.most(maxEntries, 1) }

// tooMany says of a part what its limit is.
func tooMany(p part, have, most int) *field.Error { return field.TooMany(paths[p], have, most) }

// exceedsLimit tells whether it is not that the object is malformed, but that there is too much of it.
func exceedsLimit(err *field.Error) bool { return err.Type == field.ErrorTypeTooMany }

// tooLarge decides on an object that is beyond the limits, by its labels where these are not.
func (r *Review) tooLarge(policies placement.InNamespace, err *field.Error) placement.Decision {
	inObject := *err
	inObject.Field = strings.TrimPrefix(err.Field, paths[partObject].String()+".")
	return policies.TooLarge(r.labels(partObject), r.labels(partOldObject), &inObject)
}

// labels returns those of an object, or nil where they cannot be read.
func (r *Review) labels(root part) labels.Set {
	d := partDecoder{review: r, root: root}
	d.mustHaveAtMost(maxEntries, 0, partObjectLabels)
	if d.err != nil {
		return nil
	}
	if found := d.stringMap(partObjectLabels, nil); d.err == nil && found != nil {
		return found
	}
	if d.err != nil {
		return nil
	}
	return labels.Set{}
}
