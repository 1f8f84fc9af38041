package reliability_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestRotationLosesNoWrite(t *testing.T) {
	cluster(t)
	reinstallAtEnd(t) // The CAs of short rotations are short-lived.
	namespace := enabledNamespace(t)
	// The least that the CA's four steps need: 40 s to the next one, 10 s to settle, 30 s to retire the old one.
	serving, authority, length := full(3*time.Second, 10*time.Second), full(40*time.Second, time.Minute), full(95*time.Second, 10*time.Minute)
	redeploy(t, manyReplicas, fmt.Sprintf("--serving-certificate-rotation=%s", serving), fmt.Sprintf("--ca-rotation=%s", authority))
	var seen samples
	whileWriting(t, namespace, func() { seen = sample(t, time.Now().Add(length)) })

	t.Logf("%d samples, %d certificates of %d CAs, at most %d CAs trusted at a time, %d retired",
		seen.taken, len(seen.leaves), len(seen.issuers), seen.trusted, seen.retired)
	rotations := int(length / authority)
	if got := len(seen.issuers); got < rotations {
		t.Errorf("certificates of %d CAs were served, not of %d", got, rotations)
	}
	if got, want := len(seen.leaves), manyReplicas*int(length/serving)*3/4; got < want {
		t.Errorf("%d certificates were served, not %d", got, want)
	}
	if seen.trusted != 2 {
		t.Errorf("%d CAs were trusted at a time, not 2", seen.trusted)
	}
	if seen.retired < rotations-1 {
		t.Errorf("%d CAs were retired, not %d", seen.retired, rotations-1)
	}
}

// redeploy runs n replicas with more arguments than those of deploy/berth.yaml.
func redeploy(t *testing.T, n int, args ...string) {
	t.Helper()
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	operations := []operation{{"replace", "/spec/replicas", n}}
	for _, arg := range args {
		operations = append(operations, operation{"add", "/spec/template/spec/containers/0/args/-", arg})
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "-n", berthNamespace, "patch", "deployment/berth", "--type=json", "--patch="+string(patch))
	awaitRollout(t)
	eventually(t, "the end of the old pods", func() (bool, string) { return settledAt(n), podNames() })
}

// samples is what a sampler saw.
type samples struct {
	taken           int
	leaves, issuers map[string]bool
	trusted         int // CAs in a bundle, at most
	retired         int // how often a bundle lost one
}

// sample looks ten times a second, until the end, whether what each replica serves is trusted by what is published,
// before and after.
func sample(t *testing.T, end time.Time) samples {
	t.Helper()
	s := samples{leaves: map[string]bool{}, issuers: map[string]bool{}}
	pods := host.Pods()
	before, _ := caBundles(t)
	for ticker := time.NewTicker(100 * time.Millisecond); time.Now().Before(end); <-ticker.C {
		var leaves []*x509.Certificate
		for _, pod := range pods {
			leaves = append(leaves, served(t, pod))
		}
		after, _ := caBundles(t)
		for _, leaf := range leaves {
			s.leaves[leaf.SerialNumber.String()] = true
			s.issuers[leaf.Issuer.CommonName] = true
			for _, bundles := range [][][]byte{before, after} {
				for _, bundle := range bundles {
					if err := trusts(bundle, leaf); err != nil {
						t.Error(err)
					}
				}
			}
		}
		if countPEM(after[0]) < countPEM(before[0]) {
			s.retired++
		}
		s.trusted = max(s.trusted, countPEM(after[0]))
		before = after
		s.taken++
	}
	return s
}

func countPEM(bundle []byte) int { return bytes.Count(bundle, []byte("-----BEGIN CERTIFICATE-----")) }
