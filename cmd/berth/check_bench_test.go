package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"berth.dev/berth/audit"
	"berth.dev/berth/manifests"
	"berth.dev/berth/report"
)

// BenchmarkCheck checks 1,000 DaemonSets by 200 policies, each for 5 of 40 namespaces, on 5,000 nodes.
func BenchmarkCheck(b *testing.B) {
	var input strings.Builder
	for i := range 200 {
		fmt.Fprintf(&input, "---\n{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: policy-%d}, spec: {matchConstraints: "+
			"{namespaceSelector: {matchLabels: {group: g-%d}}}, nodeSelector: {label-%d: value}}}\n", i, i%8, i%20)
	}
	for i := range 40 {
		fmt.Fprintf(&input, "---\n{apiVersion: v1, kind: Namespace, metadata: {name: namespace-%d, labels: {group: g-%d}}}\n", i, i%8)
	}
	for i := range 5_000 {
		fmt.Fprintf(&input, "---\n{apiVersion: v1, kind: Node, metadata: {name: node-%d, labels: {kubernetes.io/hostname: node-%d, label-%d: value, other-%d: value, zone: z-%d}}}\n",
			i, i, i%20, i%7, i%3)
	}
	for i := range 1_000 {
		input.WriteString(strings.Replace(daemonSet(fmt.Sprintf("-%d, namespace: namespace-%d", i, i%40), fmt.Sprintf("nodeSelector: {zone: z-%d}, ", i%3)), "image: agent", fmt.Sprint("image: agent-", i), 1))
	}
	text := input.String()
	b.ReportAllocs()
	for b.Loop() {
		var set manifests.Set
		if err := set.ReadPath("-", strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
		found, err := newChecker(&set, audit.Excluded{}).check(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := found.Write([]report.Output{{Format: "wide"}}, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
