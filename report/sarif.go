package report

import (
	"io"
	"net/url"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

// Rules describes each rule by name, for formats that have room for it.
var Rules = map[string]string{
	"policy-violation":  "The DaemonSet violates a policy, and would be refused.",
	"policy-warning":    "A policy warns of the DaemonSet.",
	"audited-violation": "A policy in mode Audit would refuse the DaemonSet if it were enforced.",
	"malformed":         "The API server, or berth, would refuse the object for what it is: a value of the wrong type, a name, a label, an expression or a toleration that there cannot be, a kind that there is not.",
	"unknown-field":     "The object has a field that its kind does not have.",
	"old-api-version":   "The object's apiVersion is not served any more.",
	"duplicate":         "Two policies have one name.",
	"invalid-policy":    "The policy does not compile, or the API server would refuse it.",
	"assumed-namespace": "The namespace is not among the input: it was taken to have no labels and annotations.",
	"helm-hook":         "The DaemonSet is a hook of Helm.",
	"unknown-policies":  "No PlacementPolicies are among the input: nothing is required.",
	"unknown-nodes":     "No nodes are among the input: where pods run is not known.",
}

// informationURI is where SARIF's readers are sent to.
const informationURI = "https://berth.dev/berth"

// asSARIF is for code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0.
func asSARIF(w io.Writer, r *Report) error {
	run := sarif.NewRunWithInformationURI("berth", informationURI)
	run.Results = []*sarif.Result{}
	for _, f := range r.All() {
		run.AddRule(f.Rule).WithDescription(Rules[f.Rule])
		place := f.Place.toOpen()
		uri := url.URL{Path: place.File}
		location := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(uri.String()))
		if place.Line > 0 {
			location.WithRegion(sarif.NewRegion().WithStartLine(place.Line).WithStartColumn(place.Column))
		}
		run.CreateResultForRule(f.Rule).WithLevel(string(f.Severity)).
			WithMessage(sarif.NewTextMessage(f.whole())).
			AddLocation(sarif.NewLocationWithPhysicalLocation(location))
	}
	return sarif.NewReport().AddRun(run).PrettyWrite(w)
}
