package admission

import (
	"bytes"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"berth.dev/berth/placement"
)

// lastApplied is the annotation in which kubectl apply keeps the manifest. Its value is not decoded with the others: no policy
// can mean anything by it. Its key counts, as it tells a patch that the map is there.
const lastApplied = corev1.LastAppliedConfigAnnotation

// object decodes the DaemonSet that is the part root, as far as placement reads it. A type that the API server could not have
// decoded is an error, and so is the lack of an object that a patch would stand in.
//
// Most parts of an old object are those of the new one, byte for byte. Given the new one, decoded, they are shared.
func (r *Review) object(root part, decoded *placement.Object) (*placement.Object, *field.Error) {
	d := partDecoder{review: r, root: root, hasDecoded: decoded != nil}
	if decoded == nil {
		decoded = &placement.Object{}
	}
	object := &r.objects[d.side()]
	d.mustObjects(partMetadata, partSpec, partTemplate, partPodSpec)
	d.limits()
	if d.err != nil {
		return nil, d.err
	}
	object.Name = d.text(partObjectName)
	object.GenerateName = d.text(partGenerateName)
	object.Namespace = d.text(partObjectNamespace)
	object.Labels = d.stringMap(partObjectLabels, decoded.Labels)
	if d.shares(partAnnotations) {
		r.lastApplied[d.side()] = r.lastApplied[0]
	}
	object.Annotations = d.stringMap(partAnnotations, decoded.Annotations)
	if d.shares(partSelector) {
		object.Selector = decoded.Selector
	} else if d.isObject(partSelector) {
		object.Selector = &metav1.LabelSelector{MatchLabels: d.stringMap(partMatchLabels, nil)}
		if requirements, plain := r.scanner.labelRequirements(d.value(partMatchExpressions)); plain {
			object.Selector.MatchExpressions = requirements
		} else {
			d.typed(partMatchExpressions, &object.Selector.MatchExpressions)
		}
	}
	d.template(&object.Template, &decoded.Template)
	if d.err != nil {
		return nil, d.err
	}
	return object, nil
}

// partDecoder decodes the parts below root. It keeps the first error.
type partDecoder struct {
	review     *Review
	root       part
	hasDecoded bool
	err        *field.Error
}

// shares tells whether the new object, which is decoded already, has the same part.
func (d *partDecoder) shares(p part) bool {
	return d.hasDecoded && bytes.Equal(d.review.values[partObject+p], d.review.values[d.root+p])
}

// side is 0 for the new object and 1 for the old one.
func (d *partDecoder) side() int { return min(int(d.root-partObject), 1) }

// template decodes exactly what placement.Template has.
func (d *partDecoder) template(t, decoded *placement.Template) {
	if d.isObject(partTemplateMetadata) {
		t.Labels = d.stringMap(partTemplateLabels, decoded.Labels)
	}
	t.NodeName = d.text(partNodeName)
	t.NodeSelector = d.stringMap(partNodeSelector, decoded.NodeSelector)
	t.HostNetwork = d.boolean(partHostNetwork)
	if d.shares(partTolerations) {
		t.Tolerations = decoded.Tolerations
	} else if !d.review.isAbsent(d.root + partTolerations) {
		d.tolerations(&t.Tolerations)
	}
	if d.shares(partAffinity) {
		t.Affinity = decoded.Affinity
	} else {
		t.Affinity = d.affinity()
	}
}

func (d *partDecoder) tolerations(into *[]corev1.Toleration) {
	tolerations, plain := d.review.scanner.tolerations(d.value(partTolerations))
	if !plain {
		tolerations = nil
		d.typed(partTolerations, &tolerations)
	}
	*into = tolerations
}

// affinity decodes what is required; what is only preferred does not limit where a DaemonSet runs.
func (d *partDecoder) affinity() (a placement.Affinity) {
	if !d.isObject(partAffinity) {
		return a
	}
	a.Depth = placement.WithAffinity
	a.SharedAffinity = d.hasBeside(partAffinity, partNodeAffinity)
	if !d.isObject(partNodeAffinity) {
		return a
	}
	a.Depth = placement.WithNodeAffinity
	a.SharedNodeAffinity = d.hasBeside(partNodeAffinity, partRequiredAffinity)
	if !d.isObject(partRequiredAffinity) {
		return a
	}
	a.Depth = placement.WithRequired
	terms, plain := d.review.scanner.nodeSelectorTerms(d.value(partNodeSelectorTerms))
	if !plain {
		terms = nil
		d.typed(partNodeSelectorTerms, &terms)
	}
	a.Terms = terms
	return a
}

// hasBeside tells whether an object has other members than one.
func (d *partDecoder) hasBeside(object, member part) bool {
	rest := d.review.appendWithout(nil, d.root+object, d.root+member)
	return len(bytes.TrimSpace(rest)) > len("{}")
}

func (d *partDecoder) value(p part) []byte { return d.review.values[d.root+p] }

func (d *partDecoder) fail(err *field.Error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *partDecoder) mustObjects(parts ...part) {
	for _, p := range parts {
		d.fail(d.review.mustObject(d.root + p))
	}
}

// isObject tells whether there is an object to look into.
func (d *partDecoder) isObject(p part) bool {
	if d.review.isAbsent(d.root + p) {
		return false
	}
	d.fail(d.review.mustObject(d.root + p))
	return d.review.isObject(d.root + p)
}

// boolean decodes true and false; absent and null are false.
func (d *partDecoder) boolean(p part) bool {
	switch raw := d.value(p); {
	case d.review.isAbsent(d.root + p), string(raw) == "false":
		return false
	case string(raw) == "true":
		return true
	}
	d.fail(typeError(d.root+p, "true or false"))
	return false
}

func (d *partDecoder) text(p part) string {
	text, err := d.review.text(d.root + p)
	d.fail(err)
	return text
}

// stringMap decodes an object of strings. As in Kubernetes, null is "", and {} is not null.
func (d *partDecoder) stringMap(p part, shared map[string]string) map[string]string {
	if d.shares(p) {
		return shared
	}
	if !d.isObject(p) {
		return nil
	}
	decoded := d.review.maps.give()
	s := &d.review.scanner
	s.reset(d.review.values[d.root+p])
	for key := range s.keys {
		raw := s.value()
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(unquote(key))
		}
		text := string(key)
		if _, twice := decoded[text]; twice {
			d.fail(field.Invalid(paths[d.root+p].Key(text), field.OmitValueType{}, "the key is there twice"))
		}
		decoded[text] = d.entry(p, text, raw)
		// Values of annotations are full of commas.
		if p == partAnnotations && len(decoded) > d.maxAnnotations() {
			d.fail(tooMany(d.root+p, len(decoded), d.maxAnnotations()))
			break
		}
	}
	return decoded
}

// entry decodes the value of a map's key.
func (d *partDecoder) entry(p part, key string, raw []byte) string {
	switch {
	case raw[0] != '"' && raw[0] != 'n':
		d.fail(field.TypeInvalid(paths[d.root+p].Key(key), field.OmitValueType{}, "must be a string"))
	case raw[0] == 'n':
	case p == partAnnotations && key == lastApplied:
		d.review.lastApplied[d.side()] = raw
	default:
		return unquote(raw[1 : len(raw)-1])
	}
	return ""
}

// typed leaves the rare and deep parts to the API server's own decoder.
func (d *partDecoder) typed(p part, into any) {
	if d.review.isAbsent(d.root + p) {
		return
	}
	twice, err := json.UnmarshalStrict(d.review.values[d.root+p], into, json.DisallowDuplicateFields)
	if err != nil {
		d.fail(field.TypeInvalid(paths[d.root+p], field.OmitValueType{}, err.Error()))
	}
	if len(twice) > 0 {
		d.fail(field.Invalid(paths[d.root+p], field.OmitValueType{}, twice[0].Error()))
	}
}

// mapPool hands out maps that live as long as a review, and are then used again.
type mapPool struct {
	maps  []map[string]string
	given int
}

// maxPooledMap is the size up to which a map is worth keeping.
const maxPooledMap = 32

func (p *mapPool) give() map[string]string {
	if p.given == len(p.maps) {
		p.maps = append(p.maps, map[string]string{})
	}
	p.given++
	return p.maps[p.given-1]
}

func (p *mapPool) takeBack() {
	for i, m := range p.maps[:p.given] {
		if len(m) > maxPooledMap {
			p.maps[i] = map[string]string{}
		}
		clear(m)
	}
	p.given = 0
}
