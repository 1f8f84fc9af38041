package manifests_test

import (
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/manifests"
)

func TestWhatIsNotWhatItSaysIsAProblemAtItsPlace(t *testing.T) {
	daemonSet := func(spec string) string {
		return "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec:\n  template:\n    spec:\n" + spec
	}
	for content, want := range map[string]string{
		daemonSet("      nodeSelector: [a]"):                                               "7:7 malformed: spec.template.spec.nodeSelector: must be an object, and is a list",
		daemonSet("      nodeSelector:\n        a: b\n        gpu: true"):                  "9:9 malformed: spec.template.spec.nodeSelector[gpu]: must be text, and is true or false: put it in quotes",
		daemonSet("      nodeSelector: {a: b, gpu: yes}"):                                  "7:28 malformed: spec.template.spec.nodeSelector[gpu]: must be text, and is true or false: put it in quotes",
		daemonSet("      containers: [{name: a}, {name: 1}]"):                              "7:32 malformed: spec.template.spec.containers[1].name: must be text, and is a number: put it in quotes",
		daemonSet("      hostNetwork: \"true\""):                                           "7:7 malformed: spec.template.spec.hostNetwork: must be true or false, and is text",
		daemonSet("      priority: 2147483648"):                                            "7:7 malformed: spec.template.spec.priority: 2147483648 does not fit",
		daemonSet("      priority: a"):                                                     "7:7 malformed: spec.template.spec.priority: must be a number, and is text",
		daemonSet("      containers: {}"):                                                  "7:7 malformed: spec.template.spec.containers: must be a list, and is an object",
		daemonSet("      nodeSelector: {a b: c}"):                                          `7:22 malformed: spec.template.spec.nodeSelector[a b]: Invalid value: "a b": name part must consist of`,
		daemonSet("      tolerations: [{operator: Zip}]"):                                  "7:21 malformed: spec.template.spec.tolerations[0]: Invalid value: \"Zip\": a toleration without a key|7:22 malformed: spec.template.spec.tolerations[0].operator: Unsupported value",
		"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: A_b}":                      `3:12 malformed: metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain`,
		"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a, annotations: {a b: c}}": `3:21 malformed: metadata.annotations: Invalid value: "a b": `,
		"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {}":                               "3:1 malformed: metadata.name: Required value: give the object a name",
		"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: 1}":                        "3:12 malformed: metadata.name: must be text, and is a number: put it in quotes",
		"apiVersion: v1\nkind: DaemonSet\nmetadata: {name: a}":                             "2:1 malformed: there is no v1 DaemonSet: write apps/v1 DaemonSet",
		"apiVersion: apps/v1\nkind: Daemonset\nmetadata: {name: a}":                        "2:1 malformed: there is no apps/v1 Daemonset: write apps/v1 DaemonSet",
		"apiVersion: berth.dev/v1\nkind: PlacementPolicy":                                  "2:1 malformed: there is no berth.dev/v1 PlacementPolicy: write berth.dev/v1alpha1 PlacementPolicy",
		"apiVersion: apps.kruise.io/v1alpha1\nkind: DaemonSet":                             "",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 1}":                             "",
		"apiVersion: v1\nkind: Node\nmetadata: {name: a}\nspec: {future: 1}":               `4:8 unknown-field: unknown field "spec.future"`,
		"apiVersion: v1\nkind: Node\nmetadata: {name: a, uid: x}\nspec: {future: 1}":       "",
	} {
		set := read(t, content)
		var got []string
		for _, p := range set.Problems {
			got = append(got, strings.TrimPrefix(p.String(), "(stdin):")+" "+string(p.Rule)+": "+p.Message)
		}
		wanted := strings.FieldsFunc(want, func(r rune) bool { return r == '|' })
		if len(got) != len(wanted) || !slices.EqualFunc(got, wanted, strings.HasPrefix) {
			t.Errorf("%s:\ngot  %q\nwant %q", content, got, wanted)
		}
	}
}

func TestWhatTheAPIServerRefusesInAPolicyIsAProblem(t *testing.T) {
	for spec, want := range map[string]string{
		"nodeSelector: {a: b}": "",
		"nodeChecks: {minMatchingNodes: 1, maxNodesLost: 0, validationActions: [Deny]}":                         "",
		"nodeChecks: {minMatchingNodes: 2147483647}":                                                            "",
		"tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 2147483647}]":                             "",
		"tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 2147483648}]":                             "4:50 spec.tolerations[0].tolerationSeconds: Invalid value",
		"nodeSelector: {a: b}, validationActions: [Warn, Warn]":                                                 "4:56 spec.validationActions[1]: Duplicate value",
		"nodeSelector: {a: b}, validationActions: []":                                                           "4:30 spec.validationActions: Invalid value",
		"nodeSelectorFrom: [{type: WorkloadAnnotation, namespaceAnnotation: {key: x}}]":                         "4:27 spec.nodeSelectorFrom[0]: Invalid value",
		"nodeSelector: {a: b}, matchConditions: [{name: c, expression: 'true'}, {name: c, expression: 'true'}]": "4:79 spec.matchConditions[1]: Duplicate value",
		"nodeSelector: {a: b}, matchConditions: [{name: '', expression: 'true'}]":                               "4:49 spec.matchConditions[0].name: ",
	} {
		set := read(t, "apiVersion: berth.dev/v1alpha1\nkind: PlacementPolicy\nmetadata: {name: pool}\nspec: {"+spec+"}")
		set.Snapshot(t.Context())
		var got string
		for _, p := range set.Problems {
			got += strings.TrimPrefix(p.String(), "(stdin):") + " " + p.Message
		}
		if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s:\ngot  %s\nwant %s", spec, got, want)
		}
	}
	for metadata, want := range map[string]string{"{name: Bad_Name}": "metadata.name: Invalid value", "{name: a, labels: {a b: c}}": "metadata.labels: Invalid value", "{}": "metadata.name: Required value", "{generateName: Gen-}": "metadata.generateName: Invalid value"} {
		set := read(t, "apiVersion: berth.dev/v1alpha1\nkind: PlacementPolicy\nmetadata: "+metadata+"\nspec: {nodeSelector: {a: b}}")
		if set.Snapshot(t.Context()); len(set.Problems) != 1 || !strings.HasPrefix(set.Problems[0].Message, want) {
			t.Errorf("%s: problems %v", metadata, set.Problems)
		}
	}
}

// The shipped policies are what people begin with.
func TestTheShippedPoliciesAreNoProblem(t *testing.T) {
	var set manifests.Set
	if err := set.ReadPath("../deploy/policies", nil); err != nil {
		t.Fatal(err)
	}
	if set.Snapshot(t.Context()); len(set.Policies) < 3 || len(set.Problems) > 0 {
		t.Errorf("%d policies, problems %v", len(set.Policies), set.Problems)
	}
}

func TestTwoOfOneGeneratedNameAreTwo(t *testing.T) {
	const policy = "apiVersion: berth.dev/v1alpha1\nkind: PlacementPolicy\nmetadata: {generateName: pool-}\nspec: {nodeSelector: {pool: a}}\n---\n"
	named := strings.Replace(policy, "generateName: pool-", "name: pool-", 1)
	if set := read(t, policy+named); len(set.Policies) != 2 || set.Policies[0].Object.GenerateName == "" {
		t.Errorf("a name that is like a generated one takes its place: %v", set.Policies)
	}
	if set := read(t, policy+policy); len(set.Policies) != 2 || len(set.Problems) > 0 {
		t.Errorf("%d policies, problems %v", len(set.Policies), set.Problems)
	}
}
