package audit

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/cluster"
)

func versionsOf(n int) map[string]cluster.PolicyVersion {
	versions := make(map[string]cluster.PolicyVersion, n)
	for i := range n {
		versions[fmt.Sprintf("policy-%06d", i)] = cluster.PolicyVersion{UID: types.UID(fmt.Sprint("uid-", i)), Generation: 1}
	}
	return versions
}

func TestAStatementSaysWhichVersionsAreInUse(t *testing.T) {
	said := decodeStatement(newStatement(versionsOf(200)).encode())
	for name, version := range versionsOf(200) {
		if !said.uses(version) {
			t.Errorf("%s is in use, which the statement does not say", name)
		}
		version.Generation++
		if said.uses(version) {
			t.Errorf("the next generation of %s is not in use, but the statement says so", name)
		}
		version.UID += "-anew"
		version.Generation--
		if said.uses(version) {
			t.Errorf("%s made anew is not in use, but the statement says so", name)
		}
	}
}

func TestAStatementFitsIntoAnAnnotation(t *testing.T) {
	if size := len(newStatement(versionsOf(200)).encode()); size > 2200 {
		t.Errorf("a statement on 200 policies has %d bytes", size)
	}
	if size := len(newStatement(versionsOf(50_000)).encode()); size > 250<<10 {
		t.Errorf("a statement on 50,000 policies has %d bytes: the API server takes 256 KiB of annotations", size)
	}
}

func TestWhatIsNoStatementIsAboutNoPolicy(t *testing.T) {
	for _, text := range []string{"", "?", "AAAA", "AAAAAAAAAAA=\n"} {
		if said := decodeStatement(text); len(said) != 0 {
			t.Errorf("%q: %v", text, said)
		}
	}
}
