package admission

import (
	"slices"
	"strconv"
	"unicode/utf8"

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
	// evaluated is the question about them.
	evaluated cluster.Question
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
	r.evaluated = cluster.Question{}
	r.lastApplied = [2][]byte{}
	for i := range r.rests {
		if r.rests[i] = r.rests[i][:0]; cap(r.rests[i]) > maxKeptRest {
			r.rests[i] = nil
		}
	}
	r.maps.takeBack()
}

// invalidUTF8 returns the place of the first byte that is no UTF-8.
func invalidUTF8(body []byte) int {
	i := 0
	for i < len(body) {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		i += size
	}
	return i
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
