package reliability_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// installCertManaged does what helm install does with certs.source=cert-manager, beside cert-manager's own controllers,
// and no more. It lasts until the test ends.
func installCertManaged(t *testing.T) (manifest string) {
	t.Helper()
	reinstallAtEnd(t)
	controllers, err := cp.StartCertManager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := controllers.Stop(); err != nil {
			t.Error(err)
		}
	})
	manifest = helm(t, "template", "berth", "deploy/chart", "--namespace=berth-system", "--include-crds", "--set=certs.source=cert-manager")
	reinstall(t, manifest)
	return manifest
}

func TestWithCertManagerApplyingTheChartIsAllThereIsToDo(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	manifest := installCertManaged(t)
	awaitPlacement(t, namespace)
	awaitRollout(t)
	kubectl(t, "wait", "-n", berthNamespace, "--for=condition=Ready", "--timeout=60s",
		"issuer/berth-self-signed", "certificate/berth-ca", "issuer/berth-ca", "certificate/berth")
	expectTrusted(t)

	t.Run("cainjector owns name and caBundle and nothing else", func(t *testing.T) {
		_, managed := caBundles(t)
		expectOwner(t, managed, "cert-manager-cainjector")
	})
	t.Run("applying the manifest again takes nothing away", func(t *testing.T) { expectApplyingKeepsBundles(t, manifest) })
	t.Run("renewal loses no write and needs no restart", func(t *testing.T) {
		renewals := full(5, 60)
		whileWriting(t, namespace, func() {
			for range renewals {
				renew(t, "berth", "berth-tls")
				expectTrusted(t)
			}
		})
		t.Logf("%d renewals", renewals)
	})
	t.Run("renewal of the CA loses no write, and what the old one signed the new one verifies", func(t *testing.T) {
		whileWriting(t, namespace, func() {
			renew(t, "berth-ca", "berth-issuer")
			expectPublished(t)
		})
		if err := certificateIn(t, "berth-tls").CheckSignatureFrom(certificateIn(t, "berth-issuer")); err != nil {
			t.Error(err)
		}
	})
	t.Run("the CA can be replaced without losing a write", func(t *testing.T) {
		whileWriting(t, namespace, func() { expectReplacement(t) })
	})
}

// expectReplacement does what docs/certificates.md says about a CA whose key has leaked.
func expectReplacement(t *testing.T) {
	t.Helper()
	leaked := certificateIn(t, "berth-issuer")
	kubectl(t, "delete", "secret", "-n", berthNamespace, "berth-issuer")
	eventually(t, "a new CA", func() (bool, string) {
		_, err := cp.Client.CoreV1().Secrets(berthNamespace).Get(t.Context(), "berth-issuer", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	expectPublished(t)
	renew(t, "berth", "berth-tls")
	expectTrusted(t)
	ca := base64.StdEncoding.EncodeToString(encoded(certificateIn(t, "berth-issuer")))
	for _, kind := range []string{"mutating", "validating"} {
		kubectl(t, patchBundle(kind, fmt.Sprintf(`{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}`, ca))...)
	}
	bundles, _ := caBundles(t)
	for _, bundle := range bundles {
		if bytes.Contains(bundle, encoded(leaked)) {
			t.Errorf("the CA whose key has leaked is still trusted:\n%s", bundle)
		}
	}
	expectTrusted(t)
	if err := certificateIn(t, "berth-tls").CheckSignatureFrom(leaked); err == nil {
		t.Error("the CA is still the one whose key has leaked")
	}
}

// renew asks for a new certificate as cmctl renew does, and waits until it is in the Secret.
func renew(t *testing.T, certificate, secret string) {
	t.Helper()
	before := certificateIn(t, secret)
	kubectl(t, "patch", "certificate", "-n", berthNamespace, certificate, "--subresource=status", "--type=json", `--patch=[{
		"op": "add", "path": "/status/conditions/-",
		"value": {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "a test asks for it"}
	}]`)
	eventually(t, "a new certificate in "+secret, func() (bool, string) {
		now := certificateIn(t, secret)
		return !now.Equal(before), "number " + now.SerialNumber.String()
	})
}

func certificateIn(t *testing.T, secret string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(secretOf(t, secret).Data[corev1.TLSCertKey])
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// expectTrusted expects every replica to serve the Secret's certificate, soon, and both configurations to trust it, under
// the name by which the API server calls.
func expectTrusted(t *testing.T) {
	t.Helper()
	for _, pod := range host.Pods() {
		var leaf *x509.Certificate
		eventually(t, "the Secret's certificate to be served", func() (bool, string) {
			leaf = served(t, pod)
			// Asked each time: under load cert-manager may find its cache behind, and issue twice.
			return leaf.Equal(certificateIn(t, "berth-tls")), "number " + leaf.SerialNumber.String()
		})
		bundles, _ := caBundles(t)
		for _, bundle := range bundles {
			if err := trusts(bundle, leaf); err != nil {
				t.Error(err)
			}
		}
	}
}

// expectPublished expects both configurations to hold the present CA, soon.
func expectPublished(t *testing.T) {
	t.Helper()
	eventually(t, "the CA in both configurations", func() (bool, string) {
		bundles, _ := caBundles(t)
		ca := encoded(certificateIn(t, "berth-issuer"))
		return bytes.Contains(bundles[0], ca) && bytes.Contains(bundles[1], ca), fmt.Sprintf("%s\n%s", bundles[0], bundles[1])
	})
}
