package reliability_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/e2e/testbed"
)

// previous is the commit of the version before this one, until there is a tag.
const previous = "d7127c2"

// previousImage is an image name by which the host runs the previous version.
const previousImage = "berth.dev/berth:previous"

// previousChart is the chart of the previous version, with a CRD that lacks one field of what this version's knows.
func previousChart(t *testing.T) (chart string) {
	t.Helper()
	folder := t.TempDir()
	binary, err := testbed.Checkout(t.Context(), previous, folder)
	if errors.Is(err, testbed.ErrNoCommit) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	host.Binaries = map[string]string{previousImage: binary}
	chart = filepath.Join(folder, "deploy", "chart")
	crd := filepath.Join(chart, "crds", "berth.dev_placementpolicies.yaml")
	content, err := os.ReadFile(crd)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
	version := object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	schema := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	spec := schema["properties"].(map[string]any)["spec"].(map[string]any)["properties"].(map[string]any)
	if spec[laterField] == nil {
		t.Fatalf("the CRD of %s does not have the field %s either", previous, laterField)
	}
	delete(spec, laterField)
	if content, err = yaml.Marshal(object); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(crd, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return chart
}

// laterField is the field of a policy's spec that the older CRD lacks.
const laterField = "updatePolicy"

func TestUpgradeFromThePreviousVersionAndBackLosesNothing(t *testing.T) {
	withoutBerth(t)
	chart := previousChart(t)
	helm(t, "install", "berth", chart, "-n", berthNamespace, "--create-namespace", "--set=image.tag=previous", "--set=log.level=debug")
	awaitRollout(t)
	namespace := enabledNamespace(t)
	awaitPlacement(t, namespace)
	expectRuns(t, true)

	load := startLoad(t, namespace)
	upgrade := []string{"upgrade", "berth", "deploy/chart", "-n", berthNamespace, "--set=image.tag="}
	refused := helmRefused(t, append(upgrade, "--reset-then-reuse-values")...)
	for _, want := range []string{
		"the CRD placementpolicies.berth.dev in this cluster is older than this chart (it lacks v1alpha1.spec." + laterField,
		"helm show crds CHART | kubectl apply --server-side --force-conflicts -f -",
	} {
		if !strings.Contains(refused, want) {
			t.Errorf("helm said %q, not %q", refused, want)
		}
	}
	applyCRDs(t)
	knowsLaterField(t)

	helm(t, append(upgrade, "--reset-then-reuse-values")...)
	awaitRollout(t)
	expectRuns(t, false)

	helm(t, "rollback", "berth", "-n", berthNamespace)
	awaitRollout(t)
	expectRuns(t, true)
	knowsLaterField(t)

	// The values of the previous chart and none of this one's, which it has to bear.
	helm(t, append(upgrade, "--reuse-values")...)
	awaitRollout(t)
	expectRuns(t, false)
	counts := load.stop(t)
	counts.expectNothingLost(t)
}

func TestAnInstallationThatFailsRefusesNothingAndAnUpgradeMendsIt(t *testing.T) {
	withoutBerth(t)
	// No more of a program than an image that cannot be pulled.
	host.Binaries = map[string]string{"berth.dev/berth:missing": os.DevNull}
	args := []string{"berth", "deploy/chart", "-n", berthNamespace}
	whileNothingFails(t, func() {
		got := helmRefused(t, append([]string{"install", "--create-namespace", "--set=image.tag=missing", "--timeout=3s"}, args...)...)
		if want := "failed post-install"; !strings.Contains(got, want) {
			t.Errorf("helm said %q, not %q", got, want)
		}
	})
	whileNothingFails(t, func() { helm(t, append([]string{"upgrade", "--set=image.tag="}, args...)...) })
	set := &valueSet{}
	set.expectFailurePolicies(t, false)
	awaitRollout(t)
	expectNothingLost(t, enabledNamespace(t), time.Second)
}

func applyCRDs(t *testing.T) {
	t.Helper()
	crds := helm(t, "show", "crds", "deploy/chart")
	apply(t, crds, "--server-side", "--force-conflicts")
}

// knowsLaterField fails when the CRD of the cluster does not have the field.
func knowsLaterField(t *testing.T) {
	t.Helper()
	at := "{.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties." + laterField + ".default}"
	if got := kubectl(t, "get", "crd", "placementpolicies.berth.dev", "-o", "jsonpath="+at); got != "OnTemplateChange" {
		t.Errorf("the default of %s is %q", laterField, got)
	}
}

// expectRuns fails unless the ready pods, all of them, are of the previous version or of this one, with the values of the
// first installation.
func expectRuns(t *testing.T, isPrevious bool) {
	t.Helper()
	for line := range strings.Lines(kubectl(t, "-n", berthNamespace, "get", "replicasets",
		"-o", "jsonpath={range .items[?(@.status.readyReplicas>0)]}{.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].args}{'\\n'}{end}")) {
		if strings.Contains(line, previousImage) != isPrevious || !strings.Contains(line, "--log-level=debug") {
			t.Errorf("pods run %s, want the previous version: %v", line, isPrevious)
		}
	}
}
