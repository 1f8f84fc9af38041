package doctor

import "testing"

func TestKubernetesIsAsOldAsItMayBe(t *testing.T) {
	for is, want := range map[string]Outcome{
		"v1.31.14":          Bad,
		"v1.31.9-eks-abc":   Bad,
		"v1.32.0":           Good,
		"v1.37.2":           Good,
		"v1.100.0+k3s1":     Good,
		"v2.0.0":            Good,
		"what nobody reads": Good, // a version that cannot be read is no reason to alarm anybody
	} {
		if found := serverVersion(is); found.Outcome != want {
			t.Errorf("%s: %+v, not %s", is, found, want)
		}
	}
}
