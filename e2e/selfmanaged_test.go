package e2e_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/e2e/testbed"
)

const (
	berthNamespace = "berth-system"
	caSecret       = "berth-ca"
	repairWithin   = 5 * time.Second
)

// fleet is three replicas that manage their certificates themselves, on a control plane of their own.
type fleet struct {
	*testbed.ControlPlane
	*testbed.Fleet
}

// startControlPlane starts a control plane that is the test's own.
func startControlPlane(t *testing.T, apiServerFlags ...string) *testbed.ControlPlane {
	t.Helper()
	own, err := testbed.Start(t.Context(), testbed.Options{APIServerFlags: apiServerFlags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the logs are kept in", own.Dir())
			_ = own.StopProcesses()
		} else if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	return own
}

func startFleet(t *testing.T, args ...string) *fleet {
	t.Helper()
	f := &fleet{ControlPlane: startControlPlane(t)}
	var err error
	if f.Fleet, err = f.StartFleet(t.Context(), 3, testbed.BerthOptions{Binary: berth.Binary, Args: args}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := f.Client.CoreV1().Secrets(berthNamespace).Get(t.Context(), caSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// caBundles are those of both configurations, and who owns them.
func (f *fleet) caBundles(t *testing.T) (bundles [][]byte, managed [][]metav1.ManagedFieldsEntry) {
	t.Helper()
	mutating, err := f.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	validating, err := f.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bundles = [][]byte{mutating.Webhooks[0].ClientConfig.CABundle, validating.Webhooks[0].ClientConfig.CABundle}
	return bundles, [][]metav1.ManagedFieldsEntry{mutating.ManagedFields, validating.ManagedFields}
}

func TestCertificatesNeedNoHand(t *testing.T) {
	f := startFleet(t) // which waits until the API server calls berth
	secret := f.secret(t)
	t.Run("berth owns name and caBundle and nothing else", func(t *testing.T) {
		_, managed := f.caBundles(t)
		expectOwner(t, managed, "berth-certs")
	})
	t.Run("applying the manifest again takes nothing away", func(t *testing.T) {
		before, _ := f.caBundles(t)
		for _, args := range [][]string{{"apply", "-f", "-"}, {"apply", "--server-side", "--force-conflicts", "-f", "-"}} {
			if _, _, err := f.Kubectl(t.Context(), f.Webhooks, args...); err != nil {
				t.Fatal(err)
			}
			after, _ := f.caBundles(t)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("kubectl %v changed caBundle (-before +after):\n%s", args, diff)
			}
		}
		if diff := cmp.Diff(secret.Data, f.secret(t).Data); diff != "" {
			t.Errorf("the Secret changed (-before +after):\n%s", diff)
		}
	})
	t.Run("the certificate is valid since an hour ago, and its expiry is a metric", func(t *testing.T) {
		for _, replica := range f.Replicas {
			leaf := served(t, replica.Address)
			if age := time.Since(leaf.NotBefore); age < time.Hour {
				t.Errorf("valid since %s only", age)
			}
			want := fmt.Sprintf("berth_certificate_expiry_timestamp_seconds{certificate=\"serving\"} %s\n", metricValue(leaf.NotAfter))
			if metrics := fetch(t, "http://"+replica.MetricsAddress+"/metrics"); !strings.Contains(metrics, want) {
				t.Errorf("the metrics have no %s", want)
			}
		}
	})
	for _, spoil := range spoiled {
		t.Run("repaired: "+spoil.name, func(t *testing.T) { f.expectRepair(t, spoil.kubectl) })
	}
}

// expectOwner expects a field manager to own name and caBundle of the two configurations, and no other field.
func expectOwner(t *testing.T, managed [][]metav1.ManagedFieldsEntry, owner string) {
	t.Helper()
	for i, name := range []string{"mutate.berth.dev", "validate.berth.dev"} {
		want := fmt.Sprintf(`{"f:webhooks":{"k:{\"name\":\"%s\"}":{".":{},"f:clientConfig":{"f:caBundle":{}},"f:name":{}}}}`, name)
		var got []string
		for _, entry := range managed[i] {
			if entry.Manager == owner {
				got = append(got, string(entry.Operation)+" "+entry.FieldsV1.GetRawString())
			}
		}
		if diff := cmp.Diff([]string{"Apply " + want}, got); diff != "" {
			t.Errorf("fields of %s (-want +got):\n%s", name, diff)
		}
	}
}

// spoiled is what somebody may do to what berth keeps in the cluster.
var spoiled = []struct {
	name    string
	kubectl []string
}{
	{"the Secret deleted", []string{"delete", "secret", "-n", berthNamespace, caSecret}},
	{"the Secret emptied", patchSecret(`{"data":null}`)},
	{"the key lost", patchSecret(`{"data":{"tls.key":null}}`)},
	{"the bundle lost", patchSecret(`{"data":{"ca.crt":null}}`)},
	{"the Secret filled with something else", patchSecret(`{"data":{"tls.crt":"YmVydGg=","tls.key":"YmVydGg=","ca.crt":"YmVydGg="}}`)},
	{"caBundle of the mutating configuration deleted", patchBundle("mutating", `{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}`)},
	{"caBundle of the validating configuration deleted", patchBundle("validating", `{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}`)},
	{"caBundle of the mutating configuration replaced", patchBundle("mutating", foreignBundle())},
	{"caBundle of the validating configuration replaced", patchBundle("validating", foreignBundle())},
}

func patchSecret(patch string) []string {
	return []string{"patch", "secret", "-n", berthNamespace, caSecret, "--type=merge", "--patch=" + patch}
}

func patchBundle(kind, operation string) []string {
	return []string{"patch", kind + "webhookconfiguration", "berth", "--type=json", "--patch=[" + operation + "]"}
}

// foreignBundle replaces caBundle by a certificate of somebody else.
func foreignBundle() string {
	server := newForeignServer()
	defer server.Close()
	foreign := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	value, err := json.Marshal(foreign)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(`{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%s}`, value)
}

// expectRepair spoils something and expects to find it as it was soon after, without a restart and with the same
// certificate served.
func (f *fleet) expectRepair(t *testing.T, kubectl []string) {
	t.Helper()
	secret := f.secret(t).Data
	bundles, _ := f.caBundles(t)
	pids, leaves := f.state(t)
	if _, _, err := f.Kubectl(t.Context(), "", kubectl...); err != nil {
		t.Fatal(err)
	}
	spoiled := time.Now()
	waitFor(t, "the repair", func() (bool, string) {
		now, err := f.Client.CoreV1().Secrets(berthNamespace).Get(t.Context(), caSecret, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		published, _ := f.caBundles(t)
		if !maps.EqualFunc(secret, now.Data, bytes.Equal) || !cmp.Equal(bundles, published) {
			return false, cmp.Diff(secret, now.Data) + cmp.Diff(bundles, published)
		}
		_, err = f.Client.AppsV1().DaemonSets("default").Create(t.Context(), parse(t, tutorial(t)), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil, fmt.Sprint(err)
	})
	if took := time.Since(spoiled); took > repairWithin {
		t.Errorf("the repair took %s", took)
	}
	nowPids, nowLeaves := f.state(t)
	if diff := cmp.Diff(pids, nowPids); diff != "" {
		t.Errorf("a replica has ended (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(leaves, nowLeaves); diff != "" {
		t.Errorf("another certificate is served (-before +after):\n%s", diff)
	}
}

// state is the process and the certificate of each replica.
func (f *fleet) state(t *testing.T) (pids []int, serials []string) {
	t.Helper()
	for _, replica := range f.Replicas {
		pids = append(pids, replica.Pid())
		serials = append(serials, served(t, replica.Address).SerialNumber.String())
	}
	return pids, serials
}

// wipe makes the next start a first one.
func (f *fleet) wipe(t *testing.T) {
	t.Helper()
	if err := f.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Client.CoreV1().Secrets(berthNamespace).Patch(t.Context(), caSecret, types.MergePatchType, []byte(`{"data":null}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"mutating", "validating"} {
		if _, _, err := f.Kubectl(t.Context(), "", patchBundle(kind, `{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}`)...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSimultaneousFirstStartsMakeOneCA(t *testing.T) {
	f := startFleet(t)
	for range rounds(5, 50) {
		f.wipe(t)
		secrets, err := f.Client.CoreV1().Secrets(berthNamespace).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + caSecret, ResourceVersion: f.secret(t).ResourceVersion})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		bundles, _ := f.caBundles(t)
		last := f.secret(t)
		var stored []string
		for event := range secrets.ResultChan() {
			secret, ok := event.Object.(*corev1.Secret)
			if !ok {
				t.Fatalf("watching the Secret brought %v", event)
			}
			stored = append(stored, string(secret.Data["tls.crt"]))
			if secret.ResourceVersion == last.ResourceVersion {
				secrets.Stop()
				break
			}
		}
		if diff := cmp.Diff([]string{string(last.Data["ca.crt"])}, stored); diff != "" {
			t.Errorf("CAs that were stored (-want +got):\n%s", diff)
		}
		for i, bundle := range bundles {
			if diff := cmp.Diff(string(last.Data["ca.crt"]), string(bundle)); diff != "" {
				t.Errorf("caBundle %d (-the Secret's +got):\n%s", i, diff)
			}
			for _, replica := range f.Replicas {
				if err := trusts(bundle, served(t, replica.Address)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
