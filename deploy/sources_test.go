package deploy

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// helm runs a command of helm on a chart. The error holds what it says.
func helm(t *testing.T, chart, command string, flags ...string) (output []byte, err error) {
	t.Helper()
	// go test repeats a result until a file that it saw read has changed, and what helm reads it does not see.
	if _, err := filepath.Glob("chart/*/*"); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", append([]string{"tool", "-modfile=../tools/go.mod", "helm", command, "berth", chart}, flags...)...)
	var errs bytes.Buffer
	run.Stderr = &errs
	if output, err = run.Output(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, errs.String())
	}
	return output, nil
}

// render renders the chart with values.
func render(t *testing.T, values ...string) (objects []document, err error) {
	t.Helper()
	flags := []string{"--namespace=berth-system"}
	for _, value := range values {
		flags = append(flags, "--set="+value)
	}
	manifest, err := helm(t, "chart", "template", flags...)
	if err != nil {
		return nil, err
	}
	return parse(t, manifest), nil
}

func find[T any](t *testing.T, objects []document, kind string) T {
	t.Helper()
	kind, name, named := strings.Cut(kind, "/")
	i := slices.IndexFunc(objects, func(d document) bool { return d.Kind == kind && (!named || d.Name == name) })
	if i < 0 {
		t.Fatalf("there is no %s", kind)
	}
	var object T
	if err := yaml.UnmarshalStrict(objects[i].raw, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// trust is how an installation gets its certificate, and the API server to trust it.
type trust struct {
	Objects     []string // of certificates, without those of every installation
	Arguments   []string // about certificates
	Mounts      string   // Secret
	Annotations map[string]string
	CABundle    string
}

func trustOf(t *testing.T, objects []document) trust {
	t.Helper()
	var got trust
	for _, d := range objects {
		if slices.Contains([]string{"Secret", "Issuer", "Certificate"}, d.Kind) {
			got.Objects = append(got.Objects, d.Kind+"/"+d.Name)
		}
	}
	slices.Sort(got.Objects)
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec
	for _, argument := range pod.Containers[0].Args {
		if strings.Contains(argument, "-file=") || strings.HasPrefix(argument, "--ca-secret") {
			got.Arguments = append(got.Arguments, argument)
		}
	}
	for _, volume := range pod.Volumes {
		if volume.Secret != nil {
			got.Mounts = volume.Secret.SecretName
		}
	}
	mutating := find[admissionv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration")
	validating := find[admissionv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration")
	got.Annotations = mutating.Annotations
	got.CABundle = string(mutating.Webhooks[0].ClientConfig.CABundle)
	if diff := cmp.Diff(mutating.Annotations, validating.Annotations); diff != "" {
		t.Errorf("annotations (-mutating +validating):\n%s", diff)
	}
	if diff := cmp.Diff(got.CABundle, string(validating.Webhooks[0].ClientConfig.CABundle)); diff != "" {
		t.Errorf("caBundle (-mutating +validating):\n%s", diff)
	}
	return got
}

func TestEachSourceOfCertificatesIsComplete(t *testing.T) {
	files := []string{"--tls-cert-file=/etc/berth/tls/tls.crt", "--tls-private-key-file=/etc/berth/tls/tls.key"}
	tests := map[string]struct {
		values []string
		want   trust
	}{
		"self-managed, the default": {
			want: trust{
				Objects:   []string{"Secret/berth-ca"},
				Arguments: []string{"--ca-secret=berth-system/berth-ca"},
			},
		},
		"cert-manager": {
			values: []string{"certs.source=cert-manager"},
			want: trust{
				Objects:     []string{"Certificate/berth", "Certificate/berth-ca", "Issuer/berth-ca", "Issuer/berth-self-signed"},
				Arguments:   files,
				Mounts:      "berth-tls",
				Annotations: map[string]string{"cert-manager.io/inject-ca-from": "berth-system/berth-ca"},
			},
		},
		"files": {
			values: []string{"certs.source=files", "certs.secretName=mine", "webhook.caBundle=YmVydGg="},
			want:   trust{Arguments: files, Mounts: "mine", CABundle: "berth"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			objects, err := render(t, test.values...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, trustOf(t, objects)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, d := range objects {
				if reads := bytes.Contains(d.raw, []byte("resources: [secrets]")); reads && test.values != nil {
					t.Errorf("%s %s gives berth a right to Secrets that it does not use", d.Kind, d.Name)
				}
			}
		})
	}
}

func TestASourceThatDoesNotReadCaBundleRefusesIt(t *testing.T) {
	for _, values := range [][]string{
		{"webhook.caBundle=YmVydGg="},
		{"webhook.caBundle=YmVydGg=", "certs.source=cert-manager"},
		{"certs.source=openssl"},
	} {
		if _, err := render(t, values...); err == nil {
			t.Errorf("values %v are accepted", values)
		}
	}
}

func TestCertManagersChainEndsInACAThatKeepsItsKey(t *testing.T) {
	objects, err := render(t, "certs.source=cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	type certificate struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			SecretName string
			DNSNames   []string
			PrivateKey struct{ RotationPolicy string }
			IssuerRef  struct{ Name string }
		}
	}
	got := map[string]string{}
	for _, d := range objects {
		if d.Kind != "Certificate" {
			continue
		}
		var c certificate
		if err := yaml.Unmarshal(d.raw, &c); err != nil {
			t.Fatal(err)
		}
		got[c.Name] = strings.Join(append([]string{c.Spec.IssuerRef.Name, c.Spec.SecretName, c.Spec.PrivateKey.RotationPolicy}, c.Spec.DNSNames...), " ")
	}
	want := map[string]string{
		"berth-ca": "berth-self-signed berth-issuer Never",
		"berth":    "berth-ca berth-tls Always berth.berth-system.svc",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("issuer, Secret, key and names by Certificate (-want +got):\n%s", diff)
	}
}
