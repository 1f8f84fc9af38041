package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// maxAnnotations is how many annotations of each kind GitHub shows of one step.
const maxAnnotations = 10

var githubCommands = map[Severity]string{Error: "error", Warning: "warning", Note: "notice"}

var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// github is workflow commands, which GitHub Actions shows beside the lines of a pull request; errors come first, for it does not
// show many.
func github(w io.Writer, r *Report) error {
	written := map[Severity]int{}
	for _, f := range r.All() {
		written[f.Severity]++
		place := f.Place.toOpen()
		at := "file=" + githubProperty.Replace(place.File)
		if place.Line > 0 {
			at += fmt.Sprintf(",line=%d,col=%d", place.Line, place.Column)
		}
		_, err := fmt.Fprintf(w, "::%s %s,title=%s::%s\n", githubCommands[f.Severity], at, githubProperty.Replace("berth: "+f.Rule), githubText.Replace(f.whole()))
		if err != nil {
			return err
		}
	}
	beyond := 0
	for _, n := range written {
		beyond += max(0, n-maxAnnotations)
	}
	if beyond > 0 {
		_, err := fmt.Fprintf(w, "GitHub shows %d annotations of each kind for a step: it does not show %s of these, which are in this log.\n",
			maxAnnotations, count(beyond, "annotation"))
		return err
	}
	return nil
}

type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Failure *junitFailure `xml:"failure,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// junit is a test for each DaemonSet, and one for all that is not about one: an error is a failure.
func junit(w io.Writer, r *Report) error {
	cases := []junitCase{newJUnitCase("berth", "policies and files", Place{}, r.Findings)}
	for i := range r.DaemonSets {
		ds := &r.DaemonSets[i]
		cases = append(cases, newJUnitCase(ds.Namespace, ds.Name, ds.Place, ds.Findings))
	}
	failures := 0
	for i := range cases {
		if cases[i].Failure != nil {
			failures++
		}
	}
	suite := junitSuite{Name: "berth check", Tests: len(cases), Failures: failures, Cases: cases}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(junitSuites{Name: suite.Name, Tests: suite.Tests, Failures: failures, Suite: suite}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func newJUnitCase(class, name string, place Place, findings []Finding) junitCase {
	test := junitCase{Class: class, Name: name, File: place.File}
	var errs, others []string
	for _, f := range findings {
		line := fmt.Sprintf("%s: %s: %s [%s]", f.Place, f.Severity, f.Message, f.Rule)
		if f.Severity != Error {
			others = append(others, line)
			continue
		}
		if test.Failure == nil {
			test.Failure = &junitFailure{Message: f.Message, Type: f.Rule}
		}
		errs = append(errs, line)
	}
	if test.Failure != nil {
		test.Failure.Text = strings.Join(errs, "\n")
	}
	test.Output = strings.Join(others, "\n")
	return test
}
