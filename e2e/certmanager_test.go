package e2e_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/e2e/testbed"
)

// certManaged is berth as the chart installs it with certs.source=cert-manager, beside cert-manager's own controllers.
type certManaged struct {
	*fleet

	manifest string
	berth    *testbed.Berth
}

// startCertManaged does what helm install and a kubelet do, and no more.
func startCertManaged(t *testing.T) *certManaged {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth-e2e-") // short: the path of a socket may have 107 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	egress, err := testbed.StartEgress(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &certManaged{fleet: &fleet{ControlPlane: startControlPlane(t, egress.APIServerFlag)}}
	if _, err := c.StartCertManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.manifest, err = c.RenderChart(t.Context(), "certs.source=cert-manager"); err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "", "apply", "-f", "deploy/chart/crds")
	c.kubectl(t, "", "wait", "--for=condition=Established", "crd/placementpolicies.berth.dev")
	c.kubectl(t, "", "create", "namespace", berthNamespace)
	c.kubectl(t, c.manifest, "apply", "-f", "-")
	if c.berth, err = c.StartBerthWithSecret(t.Context(), "berth-tls", testbed.BerthOptions{Binary: berth.Binary}); err != nil {
		t.Fatal(err)
	}
	egress.To(c.berth.Address)
	return c
}

func (c *certManaged) kubectl(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if _, _, err := c.Kubectl(t.Context(), stdin, args...); err != nil {
		t.Fatal(err)
	}
}

// write writes a DaemonSet in scope, and says what is wrong with what the API server made of it.
func (c *certManaged) write(t *testing.T) error {
	t.Helper()
	stored, err := c.Client.AppsV1().DaemonSets("placed").Create(t.Context(), parse(t, tutorial(t)), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	if diff := cmp.Diff(map[string]string{"app": "example"}, stored.Spec.Template.Spec.NodeSelector); diff != "" {
		return fmt.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
	return nil
}

// renew asks for a new certificate as cmctl renew does, and waits until it is in the Secret.
func (c *certManaged) renew(t *testing.T, certificate, secret string) {
	t.Helper()
	before := c.certificate(t, secret)
	c.kubectl(t, "", "patch", "certificate", "-n", berthNamespace, certificate, "--subresource=status", "--type=json", `--patch=[{
		"op": "add", "path": "/status/conditions/-",
		"value": {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "a test asks for it"}
	}]`)
	waitFor(t, "a new certificate in "+secret, func() (bool, string) {
		now := c.certificate(t, secret)
		return !now.Equal(before), "number " + now.SerialNumber.String()
	})
}

func (c *certManaged) certificate(t *testing.T, secret string) *x509.Certificate {
	t.Helper()
	stored, err := c.Client.CoreV1().Secrets(berthNamespace).Get(t.Context(), secret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(stored.Data[corev1.TLSCertKey])
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// expectTrusted expects the certificate that is served to be the Secret's, soon, and both configurations to trust it,
// under the name by which the API server calls.
func (c *certManaged) expectTrusted(t *testing.T) {
	t.Helper()
	var leaf *x509.Certificate
	waitFor(t, "the Secret's certificate to be served", func() (bool, string) {
		leaf = served(t, c.berth.Address)
		// Asked each time: under load cert-manager may find its cache behind, and issue twice.
		return leaf.Equal(c.certificate(t, "berth-tls")), "number " + leaf.SerialNumber.String()
	})
	bundles, _ := c.caBundles(t)
	for _, bundle := range bundles {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "berth.berth-system.svc"}); err != nil {
			t.Error(err)
		}
	}
}

// expectPublished expects both configurations to hold the present CA, soon.
func (c *certManaged) expectPublished(t *testing.T) {
	t.Helper()
	waitFor(t, "the CA in both configurations", func() (bool, string) {
		bundles, _ := c.caBundles(t)
		ca := encoded(c.certificate(t, "berth-issuer"))
		return bytes.Contains(bundles[0], ca) && bytes.Contains(bundles[1], ca), fmt.Sprintf("%s\n%s", bundles[0], bundles[1])
	})
}

func encoded(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

func TestWithCertManagerApplyingTheChartIsAllThereIsToDo(t *testing.T) {
	c := startCertManaged(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "placed", Labels: enabled}}
	if _, err := c.Client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a DaemonSet to be placed", func() (bool, string) {
		err := c.write(t)
		return err == nil, fmt.Sprint(err)
	})
	c.kubectl(t, "", "wait", "-n", berthNamespace, "--for=condition=Ready", "--timeout=60s",
		"issuer/berth-self-signed", "certificate/berth-ca", "issuer/berth-ca", "certificate/berth")
	c.expectTrusted(t)

	t.Run("cainjector owns name and caBundle and nothing else", func(t *testing.T) {
		_, managed := c.caBundles(t)
		expectOwner(t, managed, "cert-manager-cainjector")
	})
	t.Run("applying the manifest again takes nothing away", func(t *testing.T) {
		before, _ := c.caBundles(t)
		for _, args := range [][]string{{"apply", "-f", "-"}, {"apply", "--server-side", "--force-conflicts", "-f", "-"}} {
			c.kubectl(t, c.manifest, args...)
			after, _ := c.caBundles(t)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("kubectl %v changed caBundle (-before +after):\n%s", args, diff)
			}
		}
	})
	t.Run("renewal loses no write and needs no restart", func(t *testing.T) {
		renewals := rounds(5, 60)
		c.whileWriting(t, func() {
			for range renewals {
				c.renew(t, "berth", "berth-tls")
				c.expectTrusted(t)
			}
		})
		t.Logf("%d renewals", renewals)
	})
	t.Run("renewal of the CA loses no write, and what the old one signed the new one verifies", func(t *testing.T) {
		c.whileWriting(t, func() {
			c.renew(t, "berth-ca", "berth-issuer")
			c.expectPublished(t)
		})
		if err := c.certificate(t, "berth-tls").CheckSignatureFrom(c.certificate(t, "berth-issuer")); err != nil {
			t.Error(err)
		}
	})
	t.Run("the CA can be replaced without losing a write", func(t *testing.T) { c.expectReplacement(t) })
}

// expectReplacement does what docs/certificates.md says about a CA whose key has leaked.
func (c *certManaged) expectReplacement(t *testing.T) {
	t.Helper()
	leaked := c.certificate(t, "berth-issuer")
	c.whileWriting(t, func() {
		c.kubectl(t, "", "delete", "secret", "-n", berthNamespace, "berth-issuer")
		waitFor(t, "a new CA", func() (bool, string) {
			_, err := c.Client.CoreV1().Secrets(berthNamespace).Get(t.Context(), "berth-issuer", metav1.GetOptions{})
			return err == nil, fmt.Sprint(err)
		})
		c.expectPublished(t)
		c.renew(t, "berth", "berth-tls")
		c.expectTrusted(t)
		ca := base64.StdEncoding.EncodeToString(encoded(c.certificate(t, "berth-issuer")))
		for _, kind := range []string{"mutating", "validating"} {
			c.kubectl(t, "", "patch", kind+"webhookconfiguration", "berth", "--type=json",
				fmt.Sprintf(`--patch=[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": %q}]`, ca))
		}
	})
	bundles, _ := c.caBundles(t)
	for _, bundle := range bundles {
		if bytes.Contains(bundle, encoded(leaked)) {
			t.Errorf("the CA whose key has leaked is still trusted:\n%s", bundle)
		}
	}
	c.expectTrusted(t)
	if err := c.certificate(t, "berth-tls").CheckSignatureFrom(leaked); err == nil {
		t.Error("the CA is still the one whose key has leaked")
	}
}

// whileWriting does something while four clients write DaemonSets, and expects each of them placed and berth not to
// have been started again.
func (c *certManaged) whileWriting(t *testing.T, do func()) {
	t.Helper()
	pid := c.berth.Pid()
	var writers sync.WaitGroup
	var writes atomic.Int64
	done := make(chan struct{})
	defer func() {
		close(done)
		writers.Wait()
		t.Logf("%d writes", writes.Load())
		if now := c.berth.Pid(); now != pid {
			t.Errorf("berth has ended: process %d, not %d", now, pid)
		}
	}()
	for range 4 {
		writers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				writes.Add(1)
				if err := c.write(t); err != nil {
					t.Error(err)
				}
			}
		})
	}
	do()
}
