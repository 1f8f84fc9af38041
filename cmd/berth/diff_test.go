package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/coverage"
	"berth.dev/berth/report"
)

// diffFacts has a policy, a namespace that it is for, and two nodes.
const diffFacts = `
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: zone}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {team: a}}}
  nodeSelector: {zone: a}
---
{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {team: a}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: free}}
---
{apiVersion: v1, kind: Node, metadata: {name: n-1, labels: {zone: a, pool: x}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n-2, labels: {zone: b, pool: x}, annotations: {}}, spec: {taints: [{key: old, effect: NoSchedule}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n-3, labels: {zone: b}}}
`

// injected is the agent as berth has stored it, for policy zone.
var injected = strings.Replace(daemonSet(", namespace: demo", "nodeSelector: {zone: a}, "), "namespace: demo",
	`namespace: demo, annotations: {berth.dev/injected: '{"version":2,"policies":{"zone":{"nodeSelector":{"zone":"a"}}}}'}`, 1)

// tooLarge is more than berth reads where a policy applies.
func tooLarge(namespace string) string {
	labels := "l-0: x"
	for i := range 1000 {
		labels += fmt.Sprintf(", l-%d: x", i+1)
	}
	return daemonSet(", namespace: "+namespace+", labels: {"+labels+"}", "")
}

// policyOf is a file with a policy for team a.
func policyOf(t *testing.T, name, spec string) string {
	t.Helper()
	return writeFile(t, "policy.yaml", "apiVersion: berth.dev/v1alpha1\nkind: PlacementPolicy\nmetadata: {name: "+name+"}\nspec: {matchConstraints: {namespaceSelector: {matchLabels: {team: a}}}, "+spec+"}\n")
}

// diffOf runs berth diff on files that are the cluster.
func diffOf(t *testing.T, facts string, args ...string) (stdout string, err error) {
	t.Helper()
	return run(t, append([]string{"diff", "-f", writeFile(t, "cluster.yaml", facts)}, args...)...)
}

// movesOf is a line for each move.
func movesOf(t *testing.T, stdout string) (lines []string) {
	t.Helper()
	var r report.DiffReport
	if err := yaml.UnmarshalStrict([]byte(stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	names := func(groups []coverage.Group) (all []string) {
		for _, group := range groups {
			all = append(all, group.Nodes...)
		}
		return all
	}
	for _, m := range r.Moves {
		line := fmt.Sprintf("%s %s %d->%d +%v -%v ~%v", m.Namespace, m.When, m.Before, m.After, m.Gained, names(m.Lost), names(m.Stays))
		if len(m.Denied) > 0 {
			line += " denied"
		}
		if m.Empty() { // docs/diff.md shows the warnings of those that move
			line += strings.Join(append([]string{""}, m.Warned...), "; ")
		}
		lines = append(lines, line)
	}
	return append(lines, r.Assumed...)
}

func TestDiffSaysWhatAChangeMoves(t *testing.T) {
	anywhere := daemonSet(", namespace: free", "")
	stored := injected + anywhere
	const tainted = "1 of the nodes that change had a taint before, the first is n-2: without a cluster it is not known which pods have stayed there, and they are not shown"
	requesting := strings.Replace(injected, "image: agent", "image: agent, resources: {requests: {cpu: 1}}", 1)
	freeIntoScope := writeFile(t, "namespaces.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: free, labels: {team: a}}}")
	tests := map[string]struct {
		facts string // in place of stored
		args  []string
		want  []string
	}{
		"a taint that evicts": {args: []string{"--taint", "n-1:gpu=x:NoExecute"}, want: []string{"demo at once 1->0 +[] -[n-1] ~[]", "free at once 2->1 +[] -[n-1] ~[]"}},
		"a taint that does not": {
			args: []string{"--taint=n-1:gpu:NoSchedule"}, want: []string{"demo at once 1->1 +[] -[] ~[n-1]", "free at once 2->2 +[] -[] ~[n-1]"},
		},
		"a taint that is no more":           {args: []string{"--taint=n-2:old:NoSchedule-"}, want: []string{"free at once 2->3 +[n-2] -[] ~[]", tainted}},
		"all taints of a key are no more":   {args: []string{"--taint=pool=x,zone=b:old-"}, want: []string{"free at once 2->3 +[n-2] -[] ~[]", tainted}},
		"a taint in place of another":       {args: []string{"--taint=n-2:old=v:NoSchedule"}, want: []string{tainted}},
		"a label":                           {args: []string{"--label=n-3:zone=a"}, want: []string{"demo at once 1->2 +[n-3] -[] ~[]"}},
		"a label that is no more":           {args: []string{"--label=n-1:zone-"}, want: []string{"demo at once 1->0 +[] -[n-1] ~[]"}},
		"the same in other words":           {args: []string{"--unlabel=n-1:zone"}, want: []string{"demo at once 1->0 +[] -[n-1] ~[]"}},
		"a label nobody looks at":           {args: []string{"--label=n-1:other=x"}},
		"a selector sees the nodes as they": {args: []string{"--label=n-3:new=x", "--remove=!new"}, want: []string{"demo at once 1->0 +[] -[n-1] ~[]", "free at once 2->0 +[] -[n-1 n-3] ~[]", tainted}},
		"a node goes":                       {args: []string{"--remove=n-3"}, want: []string{"free at once 2->1 +[] -[n-3] ~[]"}},
		"a node comes, and one changes": {
			args: []string{"--nodes", writeFile(t, "nodes.yaml", "{apiVersion: v1, kind: Node, metadata: {name: n-4, labels: {zone: a}}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: n-1}}")},
			want: []string{"demo at once 1->1 +[n-4] -[n-1] ~[]", "free at once 2->3 +[n-4] -[] ~[]"},
		},
		"a changed policy":             {args: []string{"--policies", policyOf(t, "zone", "nodeSelector: {zone: b}")}, want: []string{"demo next rollout 1->1 +[n-3] -[n-1] ~[]"}},
		"a changed policy, after that": {args: []string{"--policies", policyOf(t, "zone", "nodeSelector: {zone: b}"), "--taint=n-3:x:NoSchedule"}, want: []string{"demo next rollout 1->0 +[] -[n-1] ~[]", "free at once 2->2 +[] -[] ~[n-3]"}},
		"a policy that acts always": {
			args: []string{"--policies", policyOf(t, "zone", "updatePolicy: Always, nodeSelector: {zone: b}")}, want: []string{"demo next write 1->1 +[n-3] -[n-1] ~[]"},
		},
		"a policy that waits for creation": {args: []string{"--policies", policyOf(t, "other", "updatePolicy: CreateOnly, nodeSelector: {pool: x}")}},
		"a deleted policy":                 {args: []string{"--delete=zone"}, want: []string{"demo next rollout 1->2 +[n-3] -[] ~[]"}},
		"a policy that contradicts another": {
			args: []string{"--policies", policyOf(t, "other", "nodeSelector: {zone: b}")}, want: []string{"demo next rollout 1->1 +[] -[] ~[]; " +
				`not applied: policy "zone" requires zone=a (from its nodeSelector), policy "other" requires zone=b (from its nodeSele...`},
		},
		"a policy that guards its nodes": {
			args: []string{"--policies", policyOf(t, "zone", "nodeSelector: {zone: b}, nodeChecks: {validationActions: [Deny]}")},
			want: []string{"demo next rollout 1->1 +[] -[] ~[]; not applied: deletes the pods on 1 of 1 nodes at once, whatever maxUnavailable is; " +
				"1 more node has the labels, and the untolerated taint old:NoSchedule: add a toleration if it is to run there"},
		},
		"a policy comes to what is too large": {
			facts: diffFacts + tooLarge("free"), args: []string{"--namespaces", freeIntoScope}, want: []string{"free next rollout 2->2 +[] -[] ~[] denied"},
		},
		"what is denied already is no news": {facts: diffFacts + tooLarge("demo"), args: []string{"--policies", policyOf(t, "other", "nodeSelector: {pool: x}")}},
		"what is denied no more":            {facts: diffFacts + tooLarge("demo"), args: []string{"--delete", "zone"}},
		"what is missing already is no news": {
			facts: diffFacts + daemonSet(", namespace: demo", ""), args: []string{"--policies", policyOf(t, "zone", "nodeSelector: {zone: a}")},
		},
		"by the user of --as": {
			args: []string{"--as=eve", "--policies", policyOf(t, "other", "nodeSelector: {pool: x}, matchConditions: [{name: c, expression: \"request.userInfo.username != 'eve'\"}]")},
		},
		"by a group of --as-group": {
			args: []string{"--as-group=ops", "--policies", policyOf(t, "other", "nodeSelector: {pool: x}, matchConditions: [{name: c, expression: \"!('ops' in request.userInfo.groups)\"}]")},
		},
		"by the group that everybody is in": {
			args: []string{"--policies", policyOf(t, "other", "nodeSelector: {pool: x}, matchConditions: [{name: c, expression: \"!('system:authenticated' in request.userInfo.groups)\"}]")},
		},
		"a namespace comes into scope": {
			args: []string{"--namespaces", freeIntoScope}, want: []string{"free next rollout 2->1 +[] -[n-3] ~[]"},
		},
		"a namespace that nobody knows": {
			facts: diffFacts + daemonSet(", namespace: other", ""), args: []string{"--delete=zone", "--policies", policyOf(t, "more", "nodeSelector: {pool: x}")},
			want: []string{"namespace other is not among the input: it is taken to have no labels and annotations; add it with -f or --namespaces"},
		},
		"the webhooks leave it out, and nodes do not": {
			facts: diffFacts + strings.Replace(injected, "spec: {nodeSelector", "spec: {priorityClassName: system-node-critical, nodeSelector", 1),
			args:  []string{"--delete=zone", "--label=n-3:zone=a"}, want: []string{"demo at once 1->2 +[n-3] -[] ~[]"},
		},
		"a pod that has stayed is replaced by none": {
			facts: diffFacts + requesting, args: []string{"--taint=n-1:gpu:NoSchedule", "--policies", policyOf(t, "other", "nodeSelector: {pool: x}")},
			want: []string{"demo at once 1->1 +[] -[] ~[n-1]", "demo next rollout 1->0 +[] -[n-1] ~[]"},
		},
		"it stays where somebody has to delete it": {
			facts: diffFacts + strings.Replace(requesting, "spec:\n", "spec:\n  updateStrategy: {type: OnDelete}\n", 1),
			args:  []string{"--taint=n-1:gpu:NoSchedule", "--policies", policyOf(t, "other", "nodeSelector: {pool: x}")},
			want: []string{"demo at once 1->1 +[] -[] ~[n-1]",
				"demo next rollout 1->1 +[] -[] ~[]; matches 0 of 3 nodes: 1 more has the untolerated taint gpu:NoSchedule: add a toleration"},
		},
		"it is being deleted": {
			facts: diffFacts + strings.Replace(injected, "namespace: demo", "namespace: demo, deletionTimestamp: '2026-01-01T00:00:00Z'", 1), args: []string{"--remove=n-1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			facts := test.facts
			if facts == "" {
				facts = diffFacts + stored
			}
			stdout, err := diffOf(t, facts, append(test.args, "-o", "yaml")...)
			got := movesOf(t, stdout)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("moves (-want +got):\n%s", diff)
			}
			moves := strings.Contains(strings.Join(got, "\n"), "->")
			if (err != nil) != moves || err != nil && exitCode(err) != 1 {
				t.Errorf("ends with %v", err)
			}
		})
	}
}

func TestWhatDiffCannotRunOnIsOneClearError(t *testing.T) {
	facts := diffFacts + injected
	kubeconfig := writeFile(t, "kubeconfig", localKubeconfig)
	brokenPolicy := policyOf(t, "broken", "nodeSelector: {a: b}, matchConditions: [{name: c, expression: 'object.'}]")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no change":                   {nil, "nothing is to change: say what with --policies, --delete,"},
		"no such format":              {[]string{"--remove=n-1", "-o", "sarif"}, "--output=sarif: must be FORMAT or FORMAT=FILE, with one of the formats json, markdown, table, wide, yaml"},
		"no such file":                {[]string{"--policies=nothing.yaml"}, "stat nothing.yaml: no such file or directory"},
		"broken YAML":                 {[]string{"--nodes", writeFile(t, "n.yaml", "a: b\nc: [")}, "n.yaml: yaml: line 2: did not find expected node content"},
		"a policy that does not work": {[]string{"--policies", brokenPolicy}, brokenPolicy + ":4:123: PlacementPolicy/broken: spec.matchConditions[0].expression: Invalid value:"},
		"a policy's unknown field":    {[]string{"--policies", policyOf(t, "p", "nodeSelectr: {a: b}")}, `PlacementPolicy/p: unknown field "spec.nodeSelectr": the API server would drop it`},
		"nothing that changes":        {[]string{"--policies", writeFile(t, "pod.yaml", "{apiVersion: v1, kind: Pod}")}, "pod.yaml: no PlacementPolicy is in it"},
		"a DaemonSet that changes":    {[]string{"--policies", policyOf(t, "zone", "nodeSelector: {zone: b}"), "--nodes", writeFile(t, "ds.yaml", "{apiVersion: v1, kind: Node, metadata: {name: n-1}}\n"+daemonSet("", ""))}, "ds.yaml:3:1: without a cluster nothing is applied"},
		"no such policy":              {[]string{"--delete=nope"}, "--delete=nope: there is no PlacementPolicy of this name: kubectl get placementpolicies lists them"},
		"no such node":                {[]string{"--label=n-9:a=b"}, "--label=n-9:a=b: there is no such node among 3; it was read as a node's name: kubectl get nodes --show-labels lists them"},
		"no node has the labels":      {[]string{"--remove=zone=c"}, "--remove=zone=c: there is no such node among 3; it was read as the label selector zone=c: "},
		"two nodes at once":           {[]string{"--remove=n-1,n-2"}, "it was read as the label selector n-1,n-2: "},
		"no node has the label":       {[]string{"--unlabel=n-1:nope"}, "--unlabel=n-1:nope: no such node has that: kubectl describe node says what they have"},
		"no node has the taint":       {[]string{"--taint=n-1:nope-"}, "--taint=n-1:nope-: no such node has that"},
		"no node named":               {[]string{"--taint=:a=b:NoExecute"}, "--taint=:a=b:NoExecute: no node is named before the colon"},
		"no colon":                    {[]string{"--label=n-1"}, "--label=n-1: must be NODE:key=value or NODE:key-"},
		"no selector":                 {[]string{"--label=n-1=a=b:c=d"}, "--label=n-1=a=b:c=d: found '='"},
		"a label without a value":     {[]string{"--label=n-1:a"}, "--label=n-1:a: must be NODE:key=value or NODE:key-"},
		"a label that is none":        {[]string{"--label=n-1:a b=c"}, `--label=n-1:a b=c: "a b=c" is no label:`},
		"a key that is none":          {[]string{"--unlabel=n-1:a b"}, `--unlabel=n-1:a b: "a b" is no label key:`},
		"a taint without an effect":   {[]string{"--taint=n-1:a=b"}, "--taint=n-1:a=b: must be NODE:key=value:Effect, or NODE:key:Effect- to take it away"},
		"no such effect":              {[]string{"--taint=n-1:a=b:NoRun"}, `--taint=n-1:a=b:NoRun: "NoRun" is no effect of a taint: must be NoSchedule, PreferNoSchedule or NoExecute`},
		"a taint that is none":        {[]string{"--taint=n-1:a b:NoExecute"}, `--taint=n-1:a b:NoExecute: "a b" is no taint:`},
		"a node and more":             {[]string{"--remove=n-1:a"}, "--remove=n-1:a: must be a node's name or a label selector"},
		"no cluster":                  {[]string{"--remove=n-1", "--kubeconfig", kubeconfig}, "read the cluster's "},
		"no kubeconfig":               {[]string{"--remove=n-1", "--kubeconfig=nothing"}, "find the API server: "},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, err := diffOf(t, facts, test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) || exitCode(err) != 2 || stdout != "" {
				t.Errorf("%v, want %s; printed %q", err, test.want, stdout)
			}
		})
	}
	if _, err := diffOf(t, diffFacts, "--remove=n-1"); err == nil || !strings.HasPrefix(err.Error(), "no DaemonSet is among -f, which has Nodes and so is the cluster") {
		t.Errorf("without DaemonSets: %v", err)
	}
	if _, err := diffOf(t, diffFacts+daemonSet("", "tolerations: {}, "), "--remove=n-1"); err == nil || !strings.Contains(err.Error(), "DaemonSet/agent: ") || exitCode(err) != 2 {
		t.Errorf("with a malformed DaemonSet: %v", err)
	}
}

func TestDiffWritesAFilePerFormatAndGroupsByTheLabelsThatItIsTold(t *testing.T) {
	facts := diffFacts + strings.Replace(injected, "image: agent", "image: agent, resources: {limits: {cpu: 100m}}", 1)
	out := filepath.Join(t.TempDir(), "diff.md")
	stdout, err := diffOf(t, facts, "--remove=n-1", "--pool-label=other,pool", "-o", "json", "-o", "markdown="+out)
	if exitCode(err) != 1 || !strings.HasPrefix(stdout, "{\n") || !strings.Contains(stdout, `"pool": "pool=x"`) {
		t.Errorf("%v:\n%s", err, stdout)
	}
	if content, err := os.ReadFile(out); err != nil || !strings.Contains(string(content), "| pool=x | at once | -100m | 0 |") {
		t.Errorf("Markdown: %s, %v", content, err)
	}
}
