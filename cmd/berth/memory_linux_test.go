package main

import "testing"

func TestTheSoftMemoryLimitIsThreeQuartersOfTheContainers(t *testing.T) {
	for content, want := range map[string]int64{"268435456\n": 192 << 20, "max\n": 0, "": 0} {
		limit, found := softLimit(writeFile(t, "memory.max", content))
		if limit != want || found != (want > 0) {
			t.Errorf("%q: %d, found: %v", content, limit, found)
		}
	}
	if limit, found := softLimit("/no/such/file"); limit != 0 || found {
		t.Errorf("without a file: %d, found: %v", limit, found)
	}
}
