package admission

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// Review is an AdmissionReview, found in its bytes but decoded only where somebody asks. It is memory to be used again for
// the next one. Its values are slices of the body, which must outlive them, and what is decoded of the objects lives until
// Forget. The zero value is ready for Locate.
type Review struct {
	values [partCount][]byte
	// members are where the parts are in the body, from the quote of the key to the end of the value.
	members   [partCount]span
	duplicate *field.Error
	scanner   scanner
	// objects are the new one and the old one, where they are decoded, and maps is what is in them.
	objects [2]placement.Object
	maps    mapPool
	// asked is the question about them.
	asked cluster.Question
	// lastApplied is the value of kubectl's annotation of each, as it stands in the body.
	lastApplied [2][]byte
	// rests are what placement does not decide on of each one's template, where the templates differ.
	rests [2][]byte
}

// span is a part of the body.
type span struct{ from, to int }

// Locate walks the body once and notes where every part is. What it returns is about the bytes; what the parts are is
// for the methods below. After an error, the parts before its place are still known.
func (r *Review) Locate(body []byte) error {
	r.Forget()
	r.scanner.reset(body)
	r.walk(reviewMembers)
	r.scanner.finish()
	if r.scanner.err != nil {
		return r.scanner.err
	}
	if !utf8.Valid(body) {
		return &syntaxError{offset: invalidUTF8(body), reason: "a string is not UTF-8"}
	}
	if r.duplicate != nil {
		return r.duplicate
	}
	return nil
}

// maxKeptRest is the size up to which a buffer is kept for the next review.
const maxKeptRest = 64 << 10

// Forget lets go of the last body.
func (r *Review) Forget() {
	r.values = [partCount][]byte{}
	r.duplicate = nil
	r.scanner.reset(nil)
	r.objects = [2]placement.Object{}
	r.asked = cluster.Question{}
	r.lastApplied = [2][]byte{}
	for i := range r.rests {
		if r.rests[i] = r.rests[i][:0]; cap(r.rests[i]) > maxKeptRest {
			r.rests[i] = nil
		}
	}
	r.maps.takeBack()
}

// walk consumes an object, notes the members that it is told of, and skips the others.
func (r *Review) walk(members []member) {
	s := &r.scanner
	for key := range s.keys {
		m := find(members, key)
		if m == nil {
			s.skip()
			continue
		}
		from := s.keyAt
		s.next()
		start := s.pos
		if m.members != nil && at(s.data, start) == '{' {
			r.walk(m.members)
		} else {
			s.skip()
		}
		switch {
		case s.err != nil:
		case r.values[m.part] == nil:
			r.values[m.part] = s.data[start:s.pos]
			r.members[m.part] = span{from, s.pos}
		case r.duplicate == nil:
			r.duplicate = field.Invalid(paths[m.part], field.OmitValueType{}, "the key is there twice")
		}
	}
}

// find compares as the API server does: with case, and with the key's escapes resolved.
func find(members []member, key []byte) *member {
	for i := range members {
		if string(key) == members[i].key {
			return &members[i]
		}
	}
	if slices.Contains(key, '\\') {
		return find(members, []byte(unquote(key)))
	}
	return nil
}

// text decodes a string; absent and null are "".
func (r *Review) text(p part) (string, *field.Error) {
	raw := r.values[p]
	switch at(raw, 0) {
	case 0, 'n':
		return "", nil
	case '"':
		return unquote(raw[1 : len(raw)-1]), nil
	}
	return "", typeError(p, "a string")
}

// isObject tells whether the part is an object.
func (r *Review) isObject(p part) bool { return at(r.values[p], 0) == '{' }

// isAbsent tells whether the part is not there, or null, which in Kubernetes means the same.
func (r *Review) isAbsent(p part) bool {
	c := at(r.values[p], 0)
	return c == 0 || c == 'n'
}

func typeError(p part, want string) *field.Error {
	return field.TypeInvalid(paths[p], field.OmitValueType{}, "must be "+want)
}

func (r *Review) mustObject(p part) *field.Error {
	switch {
	case r.isObject(p):
		return nil
	case r.isAbsent(p):
		return field.Required(paths[p], "must be an object")
	}
	return typeError(p, "an object")
}

// LocateHead is Locate for the head of a body that is too large: what stands before the objects is known, and nothing of these.
func (r *Review) LocateHead(head []byte) (Request, error) {
	if err := r.Locate(head); err != nil && !r.scanner.cutShort() {
		return Request{}, err
	}
	if r.values[partRequest] == nil {
		r.values[partRequest] = []byte("{}") // it is open still
	}
	asked, err := r.around()
	if err != nil {
		return Request{}, err
	}
	return asked, nil
}

// Request is what a review asks, apart from its objects.
type Request struct {
	Operation   admissionv1.Operation
	SubResource string
	Namespace   string
}

// placeable tells whether the request can change where a DaemonSet runs. A DELETE must never be denied, and a
// subresource leaves the template as it is.
func (q Request) placeable() bool {
	return (q.Operation == admissionv1.Create || q.Operation == admissionv1.Update) && q.SubResource == ""
}

// Request decodes the review around the objects, and demands that it is one that berth can answer.
func (r *Review) Request() (Request, *field.Error) {
	q, err := r.around()
	if err != nil || !q.placeable() {
		return q, err
	}
	if err := r.mustObject(partObject); err != nil {
		return q, err
	}
	if q.Operation == admissionv1.Update {
		return q, r.mustObject(partOldObject)
	}
	return q, nil
}

// around decodes what stands around the objects.
func (r *Review) around() (Request, *field.Error) {
	if err := r.checkKinds(); err != nil {
		return Request{}, err
	}
	var q Request
	op, err := r.text(partOperation)
	if err != nil {
		return q, err
	}
	q.Operation = admissionv1.Operation(op)
	if !slices.Contains(operations, q.Operation) {
		return q, field.NotSupported(paths[partOperation], admissionv1.Operation(shorten(op, maxShown)), operations)
	}
	if q.SubResource, err = r.text(partSubResource); err != nil {
		return q, err
	}
	if q.Namespace, err = r.text(partNamespace); err != nil {
		return q, err
	}
	if q.Namespace == "" {
		return q, field.Required(paths[partNamespace], "a DaemonSet lives in a namespace")
	}
	return q, nil
}

var operations = []admissionv1.Operation{
	admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect,
}

// checkKinds demands an admission.k8s.io/v1 AdmissionReview with a request, which has a UID, about an apps/v1 DaemonSet.
func (r *Review) checkKinds() *field.Error {
	for _, want := range reviewKinds {
		if err := r.mustBe(want.part, want.text); err != nil {
			return err
		}
	}
	if err := r.mustObject(partRequest); err != nil {
		return err
	}
	if id, err := r.text(partUID); err != nil {
		return err
	} else if id == "" {
		return field.Required(paths[partUID], "the answer must repeat it")
	} else if len(id) > maxShown {
		return field.TooLong(paths[partUID], "", maxShown)
	}
	if err := r.mustObject(partKind); err != nil {
		return err
	}
	for _, want := range daemonSetKinds {
		if err := r.mustBe(want.part, want.text); err != nil {
			return err
		}
	}
	return nil
}

type expected struct {
	part part
	text string
}

var (
	reviewKinds    = []expected{{partAPIVersion, admissionv1.SchemeGroupVersion.String()}, {partReviewKind, "AdmissionReview"}}
	daemonSetKinds = []expected{{partKindGroup, "apps"}, {partKindVersion, "v1"}, {partKindKind, "DaemonSet"}}
)

func (r *Review) mustBe(p part, want string) *field.Error {
	if raw := r.values[p]; len(raw) == len(want)+2 && string(raw[1:len(raw)-1]) == want {
		return nil
	}
	got, err := r.text(p)
	if err != nil {
		return err
	}
	if got == want {
		return nil
	}
	return field.Invalid(paths[p], shorten(got, maxShown), fmt.Sprintf("must be %q: berth reads admission.k8s.io/v1 AdmissionReviews of apps/v1 DaemonSets only", want))
}

// maxShown is how much of a client's string is shown, in an answer as in the log: as long as a name may be.
const maxShown = 253

// shown is a string of the client's for whoever reads it. What is far longer is not even unquoted.
func (r *Review) shown(p part) string {
	raw := r.values[p]
	if at(raw, 0) != '"' {
		return ""
	}
	text := raw[1 : len(raw)-1]
	if len(text) <= 6*maxShown {
		return shorten(unquote(text), maxShown)
	}
	return "(a text of " + strconv.Itoa(len(text)) + " bytes)"
}

// UID is the request's, or "" where it is not known.
func (r *Review) UID() string { return r.shown(partUID) }

// Username is who made the request, or "" where it is not known.
func (r *Review) Username() string { return r.shown(partUsername) }

// Namespace is the request's, or "" where it is not known.
func (r *Review) Namespace() string { return r.shown(partNamespace) }

// DisplayName is the DaemonSet's name, as far as it has one yet.
func (r *Review) DisplayName() string {
	if text := r.shown(partObject + partObjectName); text != "" {
		return text
	}
	return r.shown(partName)
}

// IsProbe says whether berth doctor asks who answers.
func (r *Review) IsProbe() bool {
	return string(r.values[partObject+partObjectName]) == `"`+v1alpha1.ProbeName+`"`
}

// rawUID is the request's UID as it stands in the body, quotes included, or nil where it is not known. It can be written
// into JSON as it is.
func (r *Review) rawUID() []byte {
	if raw := r.values[partUID]; at(raw, 0) == '"' && utf8.Valid(raw) {
		return raw
	}
	return nil
}
