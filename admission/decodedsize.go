package admission

// What Go takes of memory for JSON that is decoded into maps and lists of any, rounded up.
const (
	sizeOfString = 64  // its header, its box, and what its bytes are rounded up to
	sizeOfMap    = 416 // with room for eight members
	sizeOfEmpty  = 96  // a map or a list
	sizeOfMember = 96  // beyond a map's first eight, while the map grows
	sizeOfItem   = 48  // of a list, while that grows, and a number's box
)

// decodedSize is not less than what a JSON text takes of memory when it is decoded whole. A text that is not well formed may
// take anything: its decoder stops early.
func decodedSize(text []byte) (size int64) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			end := stringEnd(text, i+1)
			if end < 0 {
				return size
			}
			size += sizeOfString + int64(end-i)
			i = end - 1
		case '{', '[':
			size += sizeOfEmpty
		case ':':
			size += sizeOfMember
		case ',':
			size += sizeOfItem
		case '}':
			if i > 0 && text[i-1] != '{' {
				size += sizeOfMap - sizeOfEmpty
			}
		}
	}
	return size
}
