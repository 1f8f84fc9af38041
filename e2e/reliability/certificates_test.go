package reliability_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/e2e/testbed"
)

const (
	caSecret     = "berth-ca"
	repairWithin = 5 * time.Second
	manyReplicas = 3
)

func secretOf(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	secret, err := cp.Client.CoreV1().Secrets(berthNamespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// caBundles are those of both configurations, and who owns them.
func caBundles(t *testing.T) (bundles [][]byte, managed [][]metav1.ManagedFieldsEntry) {
	t.Helper()
	mutating, err := cp.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	validating, err := cp.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bundles = [][]byte{mutating.Webhooks[0].ClientConfig.CABundle, validating.Webhooks[0].ClientConfig.CABundle}
	return bundles, [][]metav1.ManagedFieldsEntry{mutating.ManagedFields, validating.ManagedFields}
}

// served is the certificate that a replica shows its clients.
func served(t *testing.T, pod *testbed.Pod) *x509.Certificate {
	t.Helper()
	connection, err := tls.Dial("tcp", pod.Address("webhook"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0]
}

// trusts does what kube-apiserver does with a certificate.
func trusts(bundle []byte, leaf *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "berth.berth-system.svc"}); err != nil {
		return fmt.Errorf("certificate %s of %s: %w", leaf.SerialNumber, leaf.Issuer.CommonName, err)
	}
	return nil
}

func TestCertificatesNeedNoHand(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	secret := secretOf(t, caSecret)
	t.Run("berth owns name and caBundle and nothing else", func(t *testing.T) {
		_, managed := caBundles(t)
		expectOwner(t, managed, "berth-certs/berth-system/berth-ca")
	})
	t.Run("applying the manifest again takes nothing away", func(t *testing.T) {
		expectApplyingKeepsBundles(t, shippedManifest(t))
		if diff := cmp.Diff(secret.Data, secretOf(t, caSecret).Data); diff != "" {
			t.Errorf("the Secret changed (-before +after):\n%s", diff)
		}
	})
	scaleTo(t, manyReplicas)
	t.Run("the certificate is valid since an hour ago, and its expiry is a metric", func(t *testing.T) {
		for _, pod := range host.Pods() {
			leaf := served(t, pod)
			if age := time.Since(leaf.NotBefore); age < time.Hour {
				t.Errorf("valid since %s only", age)
			}
			// As Prometheus writes it.
			expiry := strconv.FormatFloat(float64(leaf.NotAfter.Unix()), 'g', -1, 64)
			want := fmt.Sprintf("berth_certificate_expiry_timestamp_seconds{certificate=\"serving\"} %s\n", expiry)
			if metrics := fetch(t, "http://"+pod.Address("metrics")+"/metrics"); !strings.Contains(metrics, want) {
				t.Errorf("the metrics have no %s", want)
			}
		}
	})
	for _, spoil := range spoiled {
		t.Run("repaired: "+spoil.name, func(t *testing.T) { expectRepair(t, namespace, spoil.kubectl) })
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
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

// expectApplyingKeepsBundles applies what is installed once more, in both ways.
func expectApplyingKeepsBundles(t *testing.T, manifest string) {
	t.Helper()
	before, _ := caBundles(t)
	for _, flags := range [][]string{nil, {"--server-side", "--force-conflicts"}} {
		apply(t, manifest, flags...)
		after, _ := caBundles(t)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("kubectl apply %v changed caBundle (-before +after):\n%s", flags, diff)
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
	{"caBundle of the mutating configuration deleted", patchBundle("mutating", bundleRemoved)},
	{"caBundle of the validating configuration deleted", patchBundle("validating", bundleRemoved)},
	{"caBundle of the mutating configuration replaced", patchBundle("mutating", foreignBundle())},
	{"caBundle of the validating configuration replaced", patchBundle("validating", foreignBundle())},
}

const bundleRemoved = `{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}`

func patchSecret(patch string) []string {
	return []string{"patch", "secret", "-n", berthNamespace, caSecret, "--type=merge", "--patch=" + patch}
}

func patchBundle(kind, operation string) []string {
	return []string{"patch", kind + "webhookconfiguration", "berth", "--type=json", "--patch=[" + operation + "]"}
}

// foreignBundle replaces caBundle by a certificate of somebody else.
func foreignBundle() string {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	value, err := json.Marshal(encoded(server.Certificate()))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(`{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%s}`, value)
}

func encoded(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// expectRepair spoils something and expects to find it as it was soon after, without a restart and with the same
// certificates served.
func expectRepair(t *testing.T, namespace string, spoil []string) {
	t.Helper()
	secret := secretOf(t, caSecret).Data
	bundles, _ := caBundles(t)
	running, leaves := containers(), serials(t)
	kubectl(t, spoil...)
	spoiled := time.Now()
	eventually(t, "the repair", func() (bool, string) {
		now, err := cp.Client.CoreV1().Secrets(berthNamespace).Get(t.Context(), caSecret, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		published, _ := caBundles(t)
		if !maps.EqualFunc(secret, now.Data, bytes.Equal) || !cmp.Equal(bundles, published) {
			return false, cmp.Diff(secret, now.Data) + cmp.Diff(bundles, published)
		}
		return places(t.Context(), t, namespace)
	})
	if took := time.Since(spoiled); took > repairWithin {
		t.Errorf("the repair took %s", took)
	}
	expectSameContainers(t, running)
	if diff := cmp.Diff(leaves, serials(t)); diff != "" {
		t.Errorf("another certificate is served (-before +after):\n%s", diff)
	}
}

// places says whether a DaemonSet in scope would be stored, and placed.
func places(ctx context.Context, t *testing.T, namespace string) (yes bool, seen string) {
	t.Helper()
	stored, err := cp.Client.AppsV1().DaemonSets(namespace).Create(ctx, daemonSet(t), dryRun)
	return err == nil && placed(stored), fmt.Sprint(err)
}

// serials are the numbers of the certificates that the replicas serve.
func serials(t *testing.T) (numbers []string) {
	t.Helper()
	for _, pod := range host.Pods() {
		numbers = append(numbers, served(t, pod).SerialNumber.String())
	}
	return numbers
}

func TestSimultaneousFirstStartsMakeOneCA(t *testing.T) {
	cluster(t)
	scaleTo(t, manyReplicas)
	t.Cleanup(host.Up)
	for range full(5, 50) {
		wiped := wipe(t)
		secrets, err := cp.Client.CoreV1().Secrets(berthNamespace).Watch(t.Context(), metav1.ListOptions{
			FieldSelector: "metadata.name=" + caSecret, ResourceVersion: wiped.ResourceVersion,
		})
		if err != nil {
			t.Fatal(err)
		}
		host.Up()
		eventually(t, "all replicas", func() (bool, string) { return settledAt(manyReplicas), podNames() })
		bundles, _ := caBundles(t)
		last := secretOf(t, caSecret)
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
			for _, pod := range host.Pods() {
				if err := trusts(bundle, served(t, pod)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// wipe makes the next start a first one, and returns the Secret of which nothing is left.
func wipe(t *testing.T) *corev1.Secret {
	t.Helper()
	host.Down()
	eventually(t, "the end of all replicas", func() (bool, string) {
		for _, pod := range host.Pods() {
			if pod.Ready() || pod.Pid() != 0 {
				return false, pod.Name
			}
		}
		return true, ""
	})
	kubectl(t, patchSecret(`{"data":null}`)...)
	for _, kind := range []string{"mutating", "validating"} {
		kubectl(t, patchBundle(kind, bundleRemoved)...)
	}
	return secretOf(t, caSecret)
}
