package deploy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatCannotWorkIsRefusedWithASentence(t *testing.T) {
	tests := map[string][]string{
		"--namespace=kube-system":     {"berth cannot be in kube-system", "-n berth-system --create-namespace"},
		"--namespace=kube-public":     {"berth cannot be in kube-public"},
		"--namespace=kube-node-lease": {"berth cannot be in kube-node-lease"},

		"--set=ports.metrics=9443":                          {"ports.webhook, ports.metrics and ports.health must differ: they are 9443, 9443 and 8081"},
		"--set=ports.health=10250,ports.webhook=10250":      {"they are 10250, 8080 and 10250"},
		"--set=hostNetwork=true,networkPolicy.enabled=true": {"networkPolicy.enabled cannot be relied on with hostNetwork"},
		"--set=webhook=null,certs=null,image=null,log=null,networkPolicy=null,ownLabelPolicy=null,replicas=null": {
			"missing properties 'certs', 'image', 'log', 'networkPolicy', 'ownLabelPolicy', 'replicas', 'webhook'",
		},
		"--set=webhook.failurePolicy=null,webhook.timeoutSeconds=null,certs.minVersion=null,image.pullPolicy=null,log.level=null,log.format=null," +
			"networkPolicy.enabled=null,networkPolicy.apiServerPorts=null,ownLabelPolicy.enabled=null": {
			"at '/webhook': missing properties 'failurePolicy', 'timeoutSeconds'", "at '/certs': missing property 'minVersion'",
			"at '/image': missing property 'pullPolicy'", "at '/log': missing properties 'format', 'level'",
			"at '/networkPolicy': missing properties 'enabled', 'apiServerPorts'", "at '/ownLabelPolicy': missing property 'enabled'",
		},
	}
	for flag, want := range tests {
		t.Run(flag, func(t *testing.T) {
			_, err := helm(t, "chart", "template", "--namespace=berth-system", flag)
			for _, want := range want {
				if got := fmt.Sprint(err); !strings.Contains(got, want) {
					t.Errorf("helm says\n%s\nwithout %q", got, want)
				}
			}
		})
	}
}

// Where a value may be empty, null is what empty is.
func TestNullIsEmptyWhereAValueMayBeEmpty(t *testing.T) {
	for name, empty := range map[string]string{
		"priorityClassName": `""`, "webhook.excludedNamespaces": `[]`, "webhook.excludedPriorityClasses": `[]`,
		"tolerations": `[]`, "imagePullSecrets": `[]`, "webhook.clientAllowedNames": `[]`, "image.tag": `""`,
	} {
		want, err := helm(t, "chart", "template", "--namespace=berth-system", "--set-json="+name+"="+empty)
		if err != nil {
			t.Fatal(err)
		}
		got, err := helm(t, "chart", "template", "--namespace=berth-system", "--set="+name+"=null")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-empty +null):\n%s", name, diff)
		}
	}
}
