package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// What the API server refuses of placement, whatever policies there are, check refuses too, and nothing else.
func TestCheckRefusesThePlacementThatTheAPIServerRefuses(t *testing.T) {
	namespace := newNamespace(t, nil)
	preferred := func(term string) string {
		return "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{" + term + "}]}}"
	}
	byField := func(requirement string) string {
		return "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [" + requirement + "]}]}}}"
	}
	pods := []string{
		"nodeSelector: {a: b}", "nodeSelector: {a b: c}", "nodeSelector: {a: b c}", "nodeSelector: {a/b/c: d}", "nodeSelector: {a: ''}",
		"tolerations: [{}]", "tolerations: [{operator: Exists}]", "tolerations: [{key: a, operator: Exists, value: b}]", "tolerations: [{key: a, operator: Zip}]",
		"tolerations: [{key: a, effect: Foo}]", "tolerations: [{key: a, value: b c}]", "tolerations: [{key: a b}]", "tolerations: [{key: a, tolerationSeconds: 5}]",
		"tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 5}]",
		requiring("{key: a, operator: In}"), requiring("{key: a, operator: Near, values: [b]}"), requiring("{key: a, operator: Exists, values: [b]}"),
		requiring("{key: a, operator: Gt, values: [many]}"), requiring("{key: a, operator: Gt, values: ['1', '2']}"), requiring("{key: a b, operator: Exists}"),
		requiring("{key: a, operator: In, values: [b c]}"), "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}",
		"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{}]}}}",
		byField("{key: metadata.name, operator: In, values: [n-1]}"), byField("{key: metadata.name, operator: In, values: [n-1, n-2]}"),
		byField("{key: metadata.name, operator: Exists}"), byField("{key: metadata.uid, operator: In, values: [a]}"), byField("{key: metadata.name, operator: In, values: [N_1]}"),
		preferred("weight: 1, preference: {matchExpressions: [{key: a, operator: In, values: [b c]}]}"), preferred("weight: 0, preference: {}"),
		preferred("weight: 101, preference: {}"), preferred("weight: 1, preference: {matchExpressions: [{key: a, operator: Near}]}"),
		preferred("weight: 1, preference: {matchFields: [{key: a, operator: In, values: [b]}]}"),
	}
	var manifests []string
	refused := map[string]string{}
	for i, pod := range pods {
		name := fmt.Sprint("placed-", i)
		manifest := strings.Replace(withMetadata(agent(pod), "namespace: "+namespace), "name: agent", "name: "+name, 1)
		manifests = append(manifests, manifest)
		if _, stderr, err := cp.Kubectl(t.Context(), manifest, "create", "--dry-run=server", "-f", "-"); err != nil {
			refused[name] = stderr
		}
	}
	if len(refused) < 15 || len(refused) > len(pods)-5 {
		t.Fatalf("the API server refuses %d of %d", len(refused), len(pods))
	}
	for _, ds := range check(t, strings.Join(manifests, "\n---\n")) {
		malformed := ""
		for _, finding := range ds.Findings {
			if finding.Rule == "malformed" {
				malformed += finding.Message + "\n"
			}
		}
		var i int
		if _, err := fmt.Sscanf(ds.Name, "placed-%d", &i); err != nil {
			t.Fatal(err)
		}
		// 1.32 takes a value that no label can have, and that no node has.
		lenient := strings.Contains(pods[i], "requiredDuring") && strings.Contains(pods[i], "values: [b c]") && refused[ds.Name] == ""
		if (malformed != "") != (refused[ds.Name] != "") && !lenient {
			t.Errorf("%s: check says %q, the API server %q", pods[i], malformed, refused[ds.Name])
		}
	}
}
