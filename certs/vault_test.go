package certs

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

const testRotation = 240 * 24 * time.Hour

// history is a vault with a clock that the test sets.
type history struct {
	*vault
	clock time.Time
}

func newHistory() *history {
	h := &history{clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	h.vault = &vault{name: "berth-ca", rotation: testRotation, now: func() time.Time { return h.clock }, log: logr.Discard()}
	return h
}

// look does what ensure does, with a Secret that is but a variable.
func (h *history) look(t *testing.T, data map[string][]byte, published bool) (after map[string][]byte, reason string) {
	t.Helper()
	stored, broken := readTrust(data, h.clock)
	wanted, reason, err := h.want(stored, broken, published)
	if err != nil {
		t.Fatal(err)
	}
	h.known = wanted
	after, err = wanted.data()
	if err != nil {
		t.Fatal(err)
	}
	return after, reason
}

func TestACALivesThroughFourSteps(t *testing.T) {
	h := newHistory()
	first, _ := h.look(t, nil, false)
	steps := []struct {
		after   time.Duration
		reason  string
		trusted []int // generations, the signer first
	}{
		{0, "", []int{0}},
		{testRotation - time.Second, "", []int{0}},
		{time.Second, "rotation: a new CA, trusted beside the old one", []int{1, 0}},
		{0, "", []int{1, 0}},
		{testRotation/2 - time.Second, "", []int{1, 0}},
		{time.Second, "the old CA is retired", []int{1}},
		{testRotation / 2, "rotation: a new CA, trusted beside the old one", []int{2, 1}},
	}
	generations := map[string]int{string(first["tls.crt"]): 0}
	data := first
	for _, step := range steps {
		h.clock = h.clock.Add(step.after)
		var reason string
		data, reason = h.look(t, data, true)
		if _, ok := generations[string(data["tls.crt"])]; !ok {
			generations[string(data["tls.crt"])] = len(generations)
		}
		trusted, err := parseBundle(data["ca.crt"])
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, cert := range trusted {
			got = append(got, generations[string(bundle{cert}.pem())])
		}
		if diff := cmp.Diff(step.reason, reason); diff != "" {
			t.Errorf("reason (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(step.trusted, got); diff != "" {
			t.Errorf("generations that are trusted (-want +got):\n%s", diff)
		}
	}
}

func TestACAIsRotatedBeforeItExpiresAlsoWhenRotationsHaveBecomeRarer(t *testing.T) {
	short := newHistory()
	short.rotation = time.Hour
	data, _ := short.look(t, nil, false)

	h := newHistory() // of the same cluster, with the longer rotation
	h.clock = short.clock.Add(time.Hour - time.Second)
	if _, reason := h.look(t, data, true); reason != "" {
		t.Errorf("too early: %s", reason)
	}
	h.clock = short.clock.Add(time.Hour)
	if _, reason := h.look(t, data, true); reason != "rotation: a new CA, trusted beside the old one" {
		t.Errorf("when it is due: %q", reason)
	}
}

func TestACAThatIsNotValidYetIsReplacedAtAFirstStartAndWaitedForByWhoeverHasAnother(t *testing.T) {
	ahead, h := newHistory(), newHistory()
	ahead.clock = h.clock.Add(24 * time.Hour)
	future, _ := ahead.look(t, nil, false)
	own, reason := h.look(t, future, false)
	want := "a new CA: tls.crt and tls.key: the certificate is not valid yet by the clock of this machine: set the clocks of the nodes right: " +
		"it is valid from 2026-11-24T11:00:00Z on"
	if diff := cmp.Diff(want, reason); diff != "" {
		t.Errorf("reason (-want +got):\n%s", diff)
	}
	if _, reason := ahead.look(t, own, true); reason != "another CA has been stored: the one before stays trusted for a while" {
		t.Errorf("the replica that made the first does not take over the other: %q", reason)
	}

	stored, broken := readTrust(future, h.clock)
	if _, reason, err := h.want(stored, broken, true); !errors.Is(err, errNotValidYet) || reason != "" {
		t.Errorf("a replica that has a CA does not wait: it writes for %q, error %v", reason, err)
	}
}

func TestAnOldCAIsNotRetiredByAReplicaThatHasJustStarted(t *testing.T) {
	h := newHistory()
	data, _ := h.look(t, nil, false)
	h.clock = h.clock.Add(testRotation)
	data, _ = h.look(t, data, true)

	started := newHistory()
	started.clock = h.clock.Add(testRotation / 2)
	if _, reason := started.look(t, data, true); reason != "" {
		t.Errorf("at its first look it wrote: %s", reason)
	}
	started.clock = started.clock.Add(3 * settle)
	if _, reason := started.look(t, data, true); reason != "the old CA is retired" {
		t.Errorf("later it wrote: %q", reason)
	}
}

func TestARepairBringsBackWhatIsKnown(t *testing.T) {
	h := newHistory()
	good, _ := h.look(t, nil, false)
	without := func(key string) map[string][]byte {
		data := maps.Clone(good)
		delete(data, key)
		return data
	}
	with := func(key string, value []byte) map[string][]byte {
		data := maps.Clone(good)
		data[key] = value
		return data
	}
	foreign, err := newCA(h.clock, testRotation)
	if err != nil {
		t.Fatal(err)
	}
	key, err := foreign.keyPEM()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		data   map[string][]byte
		reason string
	}{
		"nothing in it":             {nil, "repair: there is no CA in it"},
		"no key":                    {without("tls.key"), "repair: tls.crt and tls.key: tls: failed to find any PEM data in key input"},
		"another key":               {with("tls.key", key), "repair: tls.crt and tls.key: tls: private key does not match public key"},
		"no bundle":                 {without("ca.crt"), "repair: ca.crt does not begin with tls.crt"},
		"a bundle with junk at end": {with("ca.crt", append(good["ca.crt"], "junk"...)), "repair: ca.crt: not PEM"},
		"another CA's bundle":       {with("ca.crt", bundle{foreign.cert}.pem()), "repair: ca.crt does not begin with tls.crt"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data, reason := h.look(t, test.data, true)
			if diff := cmp.Diff(test.reason, reason); diff != "" {
				t.Errorf("reason (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(good, data); diff != "" {
				t.Errorf("Secret (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAReplicaThatKnowsNoCAWaitsForOneThatMay(t *testing.T) {
	h := newHistory()
	_, broken := readTrust(nil, h.clock)
	if _, _, err := h.want(nil, broken, true); !errors.Is(err, errLater) {
		t.Errorf("at its first look: %v", err)
	}
	h.clock = h.clock.Add(patience)
	if _, reason := h.look(t, nil, true); reason != "a new CA: there is no CA in it" {
		t.Errorf("when nobody has repaired it: %q", reason)
	}
}

func TestAnExpiredCAIsReplaced(t *testing.T) {
	h := newHistory()
	data, _ := h.look(t, nil, false)
	started := newHistory()
	started.clock = h.clock.Add(2 * testRotation)
	after, _ := started.look(t, data, false)
	if cmp.Equal(data, after) {
		t.Error("the expired CA is kept")
	}
}

func TestNoRotationIsTooShortForDynamicSource(t *testing.T) {
	// It renews when a third of the life is left, and would spin were that past.
	now := time.Now()
	for _, rotation := range []time.Duration{time.Second, time.Minute, time.Hour, testRotation} {
		notBefore, notAfter := validity(now, rotation)
		renew := notAfter.Add(-notAfter.Sub(notBefore) / 3)
		if got := renew.Sub(now).Round(time.Millisecond); got != rotation {
			t.Errorf("a rotation of %s is one of %s", rotation, got)
		}
		if left := notAfter.Sub(renew); left < 20*time.Minute {
			t.Errorf("with a rotation of %s only %s are left to renew", rotation, left)
		}
	}
}
