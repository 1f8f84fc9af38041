package audit

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"berth.dev/berth/cluster"
)

// maxStated is how many policies a statement is about: an object's annotations
// have at most 256 KiB. Further policies are never Ready.
const maxStated = 20_000

// statement is the versions of policies that a replica uses, each as a number of
// eight bytes.
type statement map[uint64]bool

// newStatement states the first policies by name.
func newStatement(versions map[string]cluster.PolicyVersion) statement {
	names := slices.Sorted(maps.Keys(versions))
	stated := make(statement, len(names))
	for _, name := range names[:min(len(names), maxStated)] {
		stated[numberOf(versions[name])] = true
	}
	return stated
}

// numberOf is another one for each version of each policy, as far as eight bytes
// can be.
func numberOf(version cluster.PolicyVersion) uint64 {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%s/%d", version.UID, version.Generation)
	return sum.Sum64()
}

func (s statement) uses(version cluster.PolicyVersion) bool { return s[numberOf(version)] }

// encode is equal for equal statements.
func (s statement) encode() string {
	var numbers []byte
	for _, number := range slices.Sorted(maps.Keys(s)) {
		numbers = binary.BigEndian.AppendUint64(numbers, number)
	}
	return base64.RawStdEncoding.EncodeToString(numbers)
}

// decodeStatement takes what is not a statement for one about no policy.
func decodeStatement(text string) statement {
	numbers, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	stated := make(statement, len(numbers)/8)
	for ; len(numbers) >= 8; numbers = numbers[8:] {
		stated[binary.BigEndian.Uint64(numbers)] = true
	}
	return stated
}
