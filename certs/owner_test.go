package certs_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/certs"
)

func TestTwoInstallationsOnOnePairOfConfigurationsDoNotOverwriteEachOther(t *testing.T) {
	in := install(t, "one-owner")
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "one-owner-other"}}
	if _, err := in.client.CoreV1().Secrets("default").Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	first := in.replica(t, unchanged)
	eventually(t, "the first is ready", func() bool { return first.Ready(nil) == nil })

	version := func() string {
		c, err := in.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), in.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c.ResourceVersion
	}
	before := version()
	second := in.replica(t, func(o *certs.Options) { o.Secret = other.Name })
	eventually(t, "the second says why it is not ready", func() bool {
		err := second.Ready(nil)
		return err != nil && strings.Contains(err.Error(), "MutatingWebhookConfiguration one-owner belongs to default/one-owner, and this one is default/one-owner-other")
	})
	time.Sleep(3 * time.Second)
	if after := version(); after != before {
		t.Errorf("the configuration was written again: version %s, then %s", before, after)
	}
	if err := first.Ready(nil); err != nil {
		t.Errorf("the first is not ready any more: %v", err)
	}
}
