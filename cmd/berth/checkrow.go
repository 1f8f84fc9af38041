package main

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/manifests"
	"berth.dev/berth/report"
)

// row is what is said of one DaemonSet, so far.
type row struct {
	report.DaemonSet
}

func (c *checker) row(namespace, name string, place manifests.Place) *row {
	return &row{report.DaemonSet{Namespace: cmp.Or(namespace, c.namespace, metav1.NamespaceDefault), Name: name, Place: report.Place(place)}}
}

func (r *row) add(f report.Finding) {
	f.Object = "DaemonSet/" + r.Namespace + "/" + r.Name
	r.Findings = append(r.Findings, f)
}

func (r *row) addProblem(p *manifests.Problem) {
	r.add(report.Finding{Rule: string(p.Rule), Severity: report.Error, Field: p.Field, Message: p.Message, Place: report.Place(p.Place)})
}
