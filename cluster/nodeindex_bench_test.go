package cluster_test

import (
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// fleet is n nodes with the labels that a cloud's nodes have. One in 50 has
// app=example.
func fleet(n int) []cluster.NodeChange {
	changes := make([]cluster.NodeChange, n)
	for i := range changes {
		name := fmt.Sprintf("node-%05d", i)
		labels := map[string]string{
			"kubernetes.io/hostname":           name,
			"kubernetes.io/os":                 "linux",
			"kubernetes.io/arch":               "amd64",
			"node.kubernetes.io/instance-type": fmt.Sprintf("m%d.large", i%7),
			"topology.kubernetes.io/region":    "eu-1",
			"topology.kubernetes.io/zone":      fmt.Sprintf("eu-1%c", 'a'+i%3),
			"example.com/pool":                 fmt.Sprintf("pool-%d", i%20),
			"example.com/rack":                 fmt.Sprintf("%d", i/40),
		}
		if i%50 == 0 {
			labels["app"] = "example"
		}
		changes[i] = cluster.NodeChange{Name: name, Labels: labels}
	}
	return changes
}

func BenchmarkNodeIndexSurvey(b *testing.B) {
	in := func(key string, values ...string) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}},
			}}},
		}}
	}
	specs := []struct {
		name     string
		template placement.Template
	}{
		{"label", placement.Template{NodeSelector: map[string]string{"app": "example"}}},
		{"labels", placement.Template{NodeSelector: map[string]string{"app": "example", "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "eu-1a"}}},
		{"affinity", placement.TemplateOf(nil, &corev1.PodSpec{
			NodeSelector: map[string]string{"app": "example"},
			Affinity:     in("topology.kubernetes.io/zone", "eu-1a", "eu-1b"),
		})},
	}
	for _, nodes := range []int{0, 1000, 15000} {
		index := (&cluster.NodeIndex{}).Apply(fleet(nodes))
		for _, s := range specs {
			b.Run(fmt.Sprintf("nodes=%d/%s", nodes, s.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					index.Survey(nil, &s.template)
				}
			})
		}
	}
}

func BenchmarkNodeIndexApply(b *testing.B) {
	const nodes = 15000
	all := fleet(nodes)
	index := (&cluster.NodeIndex{}).Apply(all)

	relabelled := map[string]string{"app": "example"}
	maps.Copy(relabelled, all[1].Labels)
	cases := []struct {
		name    string
		from    *cluster.NodeIndex
		changes []cluster.NodeChange
	}{
		{"one-label", index, []cluster.NodeChange{{Name: all[1].Name, Labels: relabelled}}},
		{"one-heartbeat", index, all[1:2]},
		{"one-node-more", index, []cluster.NodeChange{{Name: "new", Labels: map[string]string{"kubernetes.io/hostname": "new"}}}},
		{"first-list", &cluster.NodeIndex{}, all},
	}
	for _, c := range cases {
		b.Run(fmt.Sprintf("nodes=%d/%s", nodes, c.name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.from.Apply(c.changes)
			}
		})
	}
}
