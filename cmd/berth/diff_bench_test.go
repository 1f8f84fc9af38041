package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"berth.dev/berth/audit"
	"berth.dev/berth/manifests"
	"berth.dev/berth/placement"
	"berth.dev/berth/report"
)

// BenchmarkDiff changes a policy and taints a node under 1,000 DaemonSets, no two with one placement, on 5,000 nodes.
func BenchmarkDiff(b *testing.B) {
	var input strings.Builder
	input.WriteString("{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: zone}, spec: {nodeSelector: {zone: z-1}}}\n")
	for i := range 5_000 {
		fmt.Fprintf(&input, "---\n{apiVersion: v1, kind: Node, metadata: {name: node-%d, labels: {kubernetes.io/hostname: node-%d, zone: z-%d, pool: p-%d}}, spec: {taints: [{key: t-%d, effect: NoSchedule}]}}\n",
			i, i, i%3, i%7, i%11)
	}
	for i := range 1_000 {
		input.WriteString(daemonSet(fmt.Sprintf("-%d, namespace: demo", i), fmt.Sprintf("tolerations: [{operator: Exists}, {key: k-%d, operator: Exists}], ", i)))
	}
	var set manifests.Set
	if err := set.ReadPath("-", strings.NewReader(input.String())); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		changes := diffChanges{edits: nodeFlags{taints: []string{"node-1:gpu:NoExecute"}}, deleted: []string{"zone"}}
		facts := set
		in := &diffInput{before: &facts, changes: &manifests.Set{}}
		if err := changes.edits.parse(); err != nil {
			b.Fatal(err)
		}
		if err := in.addStored("default"); err != nil {
			b.Fatal(err)
		}
		if err := in.change(&changes); err != nil {
			b.Fatal(err)
		}
		d, err := newDiffer(b.Context(), in, audit.Excluded{}, placement.PoolLabels())
		if err != nil {
			b.Fatal(err)
		}
		found, err := d.diff(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		if err := found.Write([]report.Output{{Format: "wide"}}, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
