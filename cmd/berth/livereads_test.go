package main

import (
	"slices"
	"strings"
	"testing"
)

func TestDaemonSetsAreNamedAsKubectlNamesThem(t *testing.T) {
	tests := map[string][]string{
		"ds/a": {"a"}, "daemonset/a": {"a"}, "daemonsets.apps/a": {"a"}, "DS/a": {"a"}, "daemonset.v1.apps/a": {"a"}, "ds a": {"a"}, "daemonsets a b": {"a", "b"},
		"ds/a daemonset/b": {"a", "b"}, "ds/ds": {"ds"}, "ds ds": {"ds"},
		"": nil, "a": nil, "ds": nil, "ds/": nil, "pod/a": nil, "ds/a/b": nil, "ds a ds/b": nil, "ds/a b": nil,
	}
	for args, want := range tests {
		got, err := daemonSetNames(strings.Fields(args))
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q names %q, not %q: %v", args, got, want, err)
		}
	}
}

func TestTheErrorOfACreationNamesNoPod(t *testing.T) {
	for message, want := range map[string]string{
		`Error creating: pods "a-x1" is forbidden: exceeded quota: q`:                                        "exceeded quota: q",
		`(combined from similar events): Error creating: pods "a-x2" is forbidden: violates PodSecurity "r"`: `violates PodSecurity "r"`,
		"Error creating: Internal error occurred: no":                                                        "Internal error occurred: no",
	} {
		if got := createError.ReplaceAllString(message, ""); got != want {
			t.Errorf("%q becomes %q, not %q", message, got, want)
		}
	}
}
