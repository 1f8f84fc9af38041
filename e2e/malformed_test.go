package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// malformed is a DaemonSet that is rejected, as a change to the tutorial's, and what kubectl then prints.
var malformed = []struct {
	name   string
	change func(spec, template, pod map[string]any)
	want   []string // a field and a cure each
}{
	{
		name:   "no selector",
		change: func(spec, _, _ map[string]any) { delete(spec, "selector") },
		want:   []string{`spec.selector: Required value: it must select the DaemonSet's own pods: copy spec.template.metadata.labels into spec.selector.matchLabels`},
	},
	{
		name:   "an empty selector",
		change: func(spec, _, _ map[string]any) { spec["selector"] = map[string]any{} },
		want:   []string{`spec.selector: Required value: it must select the DaemonSet's own pods: copy spec.template.metadata.labels into spec.selector.matchLabels`},
	},
	{
		name: "a selector that does not match the template's labels",
		change: func(_, template, _ map[string]any) {
			template["metadata"] = map[string]any{"labels": map[string]any{"app": "another"}}
		},
		want: []string{`spec.template.metadata.labels: Invalid value: "app=another": must match spec.selector (app=example): add what is missing to the template's labels`},
	},
	{
		name:   "a template without labels",
		change: func(_, template, _ map[string]any) { delete(template, "metadata") },
		want:   []string{`spec.template.metadata.labels: Invalid value: "": must match spec.selector (app=example): add what is missing to the template's labels`},
	},
	{
		name: "a label key that no node can have",
		change: func(spec, template, _ map[string]any) {
			spec["selector"] = map[string]any{"matchLabels": map[string]any{"not a key": "example"}}
			template["metadata"] = map[string]any{"labels": map[string]any{"not a key": "example"}}
		},
		want: []string{`spec.selector.matchLabels: Invalid value: "not a key": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`},
	},
	{
		name: "a label value that no node can have",
		change: func(spec, template, _ map[string]any) {
			spec["selector"] = map[string]any{"matchLabels": map[string]any{"app": "not/a/value"}}
			template["metadata"] = map[string]any{"labels": map[string]any{"app": "not/a/value"}}
		},
		want: []string{`spec.selector.matchLabels: Invalid value: "not/a/value": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
	},
	{
		name:   "a nodeSelector with another value for a required key",
		change: func(_, _, pod map[string]any) { pod["nodeSelector"] = map[string]any{"app": "another"} },
		want:   []string{`spec.template.spec.nodeSelector[app]: Invalid value: "another": policy "own-label" requires "example": remove the key or set it to "example"`},
	},
	{
		name: "matchExpressions with a bad operator",
		change: func(spec, _, _ map[string]any) {
			spec["selector"] = map[string]any{"matchExpressions": []any{
				map[string]any{"key": "app", "operator": "Equals", "values": []any{"example"}},
			}}
		},
		want: []string{`spec.selector.matchExpressions[0].operator: Unsupported value: "Equals": supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
	},
	{
		name: "matchExpressions without the values that the operator needs",
		change: func(spec, _, _ map[string]any) {
			spec["selector"] = map[string]any{"matchExpressions": []any{map[string]any{"key": "app", "operator": "In"}}}
		},
		want: []string{"spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"},
	},
	{
		name: "an affinity that contradicts the required label",
		change: func(_, _, pod map[string]any) {
			pod["nodeSelector"] = map[string]any{"app": "example"}
			pod["affinity"] = requiredAffinity(map[string]any{"key": "app", "operator": "NotIn", "values": []any{"example"}})
		},
		want: []string{`spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]: Invalid value: "app NotIn [example]": remove this expression, which contradicts app=example: no node can match both; policy "own-label" requires it (from the DaemonSet's spec.selector)`},
	},
	{
		name: "an affinity that contradicts a matchExpression",
		change: func(spec, _, pod map[string]any) {
			spec["selector"] = map[string]any{"matchExpressions": []any{map[string]any{"key": "app", "operator": "Exists"}}}
			pod["affinity"] = requiredAffinity(map[string]any{"key": "app", "operator": "DoesNotExist"})
		},
		want: []string{`spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]: Invalid value: "app DoesNotExist": remove this expression, which contradicts app Exists: no node can match both; policy "own-label" requires it (from the DaemonSet's spec.selector)`},
	},
	{
		name:   "a nodeName",
		change: func(_, _, pod map[string]any) { pod["nodeName"] = "n-1" },
		want:   []string{`spec.template.spec.nodeName: Forbidden: it binds every pod to one node, past all node labels: remove it, and label the node instead`},
	},
	{
		name: "two labels in conflict",
		change: func(spec, template, pod map[string]any) {
			both := map[string]any{"app": "example", "tier": "edge"}
			spec["selector"] = map[string]any{"matchLabels": both}
			template["metadata"] = map[string]any{"labels": both}
			pod["nodeSelector"] = map[string]any{"app": "another", "tier": "core"}
		},
		want: []string{
			`spec.template.spec.nodeSelector[app]: Invalid value: "another": policy "own-label" requires "example": remove the key or set it to "example"`,
			`spec.template.spec.nodeSelector[tier]: Invalid value: "core": policy "own-label" requires "edge": remove the key or set it to "edge"`,
		},
	},
}

func requiredAffinity(expression map[string]any) map[string]any {
	return map[string]any{"nodeAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{
		"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{expression}}},
	}}}
}

func TestMalformedDaemonSetIsRejectedWithTheFieldAndTheCure(t *testing.T) {
	namespace := newNamespace(t, enabled)
	for _, test := range malformed {
		t.Run(test.name, func(t *testing.T) {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(tutorial(t)), &object); err != nil {
				t.Fatal(err)
			}
			spec := dig(t, object, "spec")
			template := dig(t, spec, "template")
			test.change(spec, template, dig(t, template, "spec"))
			manifest, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			got := kubectlRejected(t, string(manifest), "create", "-n", namespace, "-f", "-")
			if diff := cmp.Diff(printed(test.want), strings.Split(got, "\n")); diff != "" {
				t.Errorf("kubectl (-want +got):\n%s", diff)
			}

			raw, err := yaml.YAMLToJSON(manifest)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{mutatePath, validatePath} {
				response := review(t, path, namespace, raw)
				if response.Allowed || response.Result == nil || response.Result.Details == nil {
					t.Errorf("posted to %s it is not denied with causes: %+v", path, response)
					continue
				}
				var causes []string
				for _, cause := range response.Result.Details.Causes {
					causes = append(causes, fmt.Sprintf("%s: %s", cause.Field, cause.Message))
				}
				if diff := cmp.Diff(test.want, causes); diff != "" {
					t.Errorf("causes from %s (-want +got):\n%s", path, diff)
				}
			}
		})
	}
}

// printed is how kubectl prints the causes of a 422: one on the line, more below it.
func printed(causes []string) (lines []string) {
	const head = `The DaemonSet "example-daemonset" is invalid: `
	if len(causes) == 1 {
		return []string{head + causes[0], ""}
	}
	lines = append(lines, head)
	for _, cause := range causes {
		lines = append(lines, "* "+cause)
	}
	return append(lines, "")
}
