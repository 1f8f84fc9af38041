package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/certs"
)

func TestSimultaneousFirstStartsMakeOneCA(t *testing.T) {
	for round := range 50 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			in := install(t, fmt.Sprintf("first-start-%d", round))
			history, err := in.client.CoreV1().Secrets("default").Watch(t.Context(), metav1.ListOptions{
				FieldSelector: "metadata.name=" + in.name, ResourceVersion: in.secret(t).ResourceVersion,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer history.Stop()
			var replicas []*certs.SelfManaged
			for range 3 {
				replicas = append(replicas, in.replica(t, unchanged))
			}
			for _, replica := range replicas {
				eventually(t, "a certificate", replica.Healthy)
			}
			ca := string(in.secret(t).Data["ca.crt"])
			if diff := cmp.Diff([2]string{ca, ca}, in.bundles(t)); diff != "" {
				t.Errorf("caBundle (-the Secret's +published):\n%s", diff)
			}
			for _, replica := range replicas {
				if err := in.trusted(t, replica, ca, 0); err != nil {
					t.Error(err)
				}
			}
			<-history.ResultChan()
			select {
			case second := <-history.ResultChan():
				t.Errorf("the Secret was written again: %v", second.Type)
			case <-time.After(50 * time.Millisecond):
			}
		})
	}
}

func TestClocksThatAreOffDoNoHarm(t *testing.T) {
	t.Parallel()
	clocks := []time.Duration{-5 * time.Minute, 5 * time.Minute, 0}
	in := install(t, "clocks")
	var replicas []*certs.SelfManaged
	for _, clock := range clocks {
		replicas = append(replicas, in.replica(t, func(o *certs.Options) {
			o.Now = func() time.Time { return time.Now().Add(clock) }
			o.CARotation, o.ServingRotation = 20*time.Second, 2*time.Second
		}))
	}
	for _, replica := range replicas {
		eventually(t, "a certificate", replica.Healthy)
	}
	issuers := map[string]bool{}
	for end := time.Now().Add(45 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, bundle := range in.bundles(t) {
			for i, replica := range replicas {
				for _, apiServer := range clocks {
					if err := in.trusted(t, replica, bundle, apiServer); err != nil {
						t.Fatalf("replica %d, API server's clock off by %s: %v", i, apiServer, err)
					}
				}
				issuers[issuer(t, replica)] = true
			}
		}
	}
	if len(issuers) < 2 {
		t.Errorf("there was no rotation: %v", issuers)
	}
}

func issuer(t *testing.T, source *certs.SelfManaged) string {
	t.Helper()
	pair, err := source.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return string(pair.Leaf.AuthorityKeyId)
}

func TestNotReadyBeforeBothConfigurationsTrustTheCertificate(t *testing.T) {
	t.Parallel()
	in := install(t, "incomplete")
	validating := in.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if err := validating.Delete(t.Context(), in.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	replica := in.replica(t, unchanged)
	ready := func() string { return fmt.Sprint(replica.Ready(&http.Request{})) }
	const want = "no CA to sign the serving certificate yet: the two webhook configurations do not both exist yet"
	eventually(t, want, func() bool { return ready() == want })
	if _, err := replica.GetCertificate(&tls.ClientHelloInfo{}); err == nil {
		t.Error("a certificate is served that one configuration does not trust")
	}

	in.unconfigure(t.Context())
	in.configure(t)
	eventually(t, "readiness", func() bool { return ready() == fmt.Sprint(nil) })
	for _, bundle := range in.bundles(t) {
		if err := in.trusted(t, replica, bundle, 0); err != nil {
			t.Error(err)
		}
	}
}

func TestAConfigurationThatIsDeletedLaterStopsNothing(t *testing.T) {
	t.Parallel()
	in := install(t, "break-glass")
	replica := in.replica(t, func(o *certs.Options) { o.ServingRotation = time.Second })
	eventually(t, "a certificate", replica.Healthy)
	validating := in.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if err := validating.Delete(t.Context(), in.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	before := serial(t, replica)
	eventually(t, "another certificate", func() bool { return serial(t, replica) != before })
	if err := replica.Ready(&http.Request{}); err != nil {
		t.Errorf("not ready any more: %v", err)
	}
}

func serial(t *testing.T, source *certs.SelfManaged) string {
	t.Helper()
	pair, err := source.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

func TestACAFromABackupIsTakenOverWithoutAGap(t *testing.T) {
	t.Parallel()
	// The backup is what another installation has.
	other := install(t, "backup-of")
	eventually(t, "a certificate", other.replica(t, unchanged).Healthy)
	backup := other.secret(t).Data

	in := install(t, "restored")
	replica := in.replica(t, unchanged)
	eventually(t, "a certificate", replica.Healthy)
	old := in.secret(t)
	restored := old.DeepCopy()
	restored.Data = backup
	if _, err := in.client.CoreV1().Secrets("default").Update(t.Context(), restored, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := issuer(t, replica)
	eventually(t, "a certificate of the CA from the backup", func() bool {
		for _, bundle := range in.bundles(t) {
			if err := in.trusted(t, replica, bundle, 0); err != nil {
				t.Fatal(err)
			}
		}
		return issuer(t, replica) != before
	})
	want := string(backup["ca.crt"]) + string(old.Data["ca.crt"])
	if diff := cmp.Diff([2]string{want, want}, in.bundles(t)); diff != "" {
		t.Errorf("caBundle (-the new and the old CA +published):\n%s", diff)
	}
}

func TestAnotherNameInTheConfigurationsGetsACertificateForIt(t *testing.T) {
	t.Parallel()
	in := install(t, "renamed")
	replica := in.replica(t, unchanged)
	eventually(t, "a certificate", replica.Healthy)
	hooks := in.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	mutating, err := hooks.Get(t.Context(), in.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	url := "https://127.0.0.1:9443/"
	mutating.Webhooks[0].ClientConfig.Service, mutating.Webhooks[0].ClientConfig.URL = nil, &url
	if _, err := hooks.Update(t.Context(), mutating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a certificate for both names", func() bool {
		pair, err := replica.GetCertificate(&tls.ClientHelloInfo{})
		return err == nil && pair.Leaf.VerifyHostname("127.0.0.1") == nil && pair.Leaf.VerifyHostname(in.name+".default.svc") == nil
	})
}

func TestWhatIsRepairedHoldsNoKeyInTheLog(t *testing.T) {
	t.Parallel()
	in := install(t, "quiet")
	var out syncBuffer
	replica := in.replica(t, func(o *certs.Options) { o.Logger = loggerTo(&out) })
	eventually(t, "a certificate", replica.Healthy)
	if err := in.client.CoreV1().Secrets("default").Delete(t.Context(), in.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the repair", func() bool {
		secret, err := in.client.CoreV1().Secrets("default").Get(t.Context(), in.name, metav1.GetOptions{})
		return err == nil && bytes.Contains(secret.Data["tls.key"], []byte("PRIVATE KEY"))
	})
	log := out.String()
	if !strings.Contains(log, "repair: ") || strings.Contains(log, "PRIVATE KEY") {
		t.Errorf("the log of a repair:\n%s", log)
	}
}

func TestConfigurationsThatAnInstallationNeedNotHaveAreTrustedToo(t *testing.T) {
	t.Parallel()
	in := install(t, "optional")
	replica := in.replica(t, func(o *certs.Options) { o.SystemTier = true })
	eventually(t, "a certificate without the others", replica.Healthy)
	ca := string(in.secret(t).Data["ca.crt"])
	hooks := in.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	for _, suffix := range []string{"-policies", "-system"} {
		configuration, err := hooks.Get(t.Context(), in.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		configuration.ObjectMeta = metav1.ObjectMeta{Name: in.name + suffix}
		configuration.Webhooks[0].ClientConfig.CABundle = nil
		if _, err := hooks.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = hooks.Delete(context.Background(), configuration.Name, metav1.DeleteOptions{}) })
		eventually(t, "caBundle in "+configuration.Name, func() bool {
			stored, err := hooks.Get(t.Context(), configuration.Name, metav1.GetOptions{})
			return err == nil && string(stored.Webhooks[0].ClientConfig.CABundle) == ca
		})
	}
}
