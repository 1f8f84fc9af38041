package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// soak is set for the runs of full length.
var soak = os.Getenv("BERTH_SOAK") != ""

// rounds is how often to do something that may go wrong once in a while.
func rounds(usually, soaking int) int {
	if soak {
		return soaking
	}
	return usually
}

// served is the certificate that a client gets to see.
func served(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	leaf, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func dial(address string) (*x509.Certificate, error) {
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0], nil
}

// trusts does what kube-apiserver does with a certificate.
func trusts(bundle []byte, leaf *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"}); err != nil {
		return fmt.Errorf("certificate %s of %s: %w", leaf.SerialNumber, leaf.Issuer.CommonName, err)
	}
	return nil
}

func countPEM(bundle []byte) int { return bytes.Count(bundle, []byte("-----BEGIN CERTIFICATE-----")) }

func newForeignServer() *httptest.Server { return httptest.NewTLSServer(http.NotFoundHandler()) }

// metricValue writes a time as Prometheus does.
func metricValue(moment time.Time) string {
	return strconv.FormatFloat(float64(moment.Unix()), 'g', -1, 64)
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

func TestRotationLosesNoWrite(t *testing.T) {
	// The least that the CA's four steps need: 40 s to the next one, 10 s to settle, 30 s to retire the old one.
	serving, authority, length := 3*time.Second, 40*time.Second, 95*time.Second
	if soak {
		serving, authority, length = 10*time.Second, time.Minute, 10*time.Minute
	}
	f := startFleet(t, fmt.Sprintf("--serving-certificate-rotation=%s", serving), fmt.Sprintf("--ca-rotation=%s", authority))
	var group sync.WaitGroup
	var writes atomic.Int64
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "rotation", Labels: enabled}}
	if _, err := f.Client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(length)
	for writer := range 4 {
		group.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				ds := parse(t, tutorial(t))
				ds.Name = fmt.Sprintf("ds-%d-%d", writer, i)
				stored, err := f.Client.AppsV1().DaemonSets("rotation").Create(t.Context(), ds, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				writes.Add(1)
				if err != nil {
					t.Errorf("write %s: %v", ds.Name, err)
				} else if stored.Spec.Template.Spec.NodeSelector["app"] != "example" {
					t.Errorf("%s was not placed", ds.Name)
				}
			}
		})
	}
	samples := f.sample(t, end)
	group.Wait()

	t.Logf("%d writes, %d samples, %d certificates of %d CAs, at most %d CAs trusted at a time, %d retired",
		writes.Load(), samples.taken, len(samples.leaves), len(samples.issuers), samples.trusted, samples.retired)
	rotations := int(length / authority)
	if got := len(samples.issuers); got < rotations {
		t.Errorf("certificates of %d CAs were served, not of %d", got, rotations)
	}
	if got, want := len(samples.leaves), 3*int(length/serving)*3/4; got < want {
		t.Errorf("%d certificates were served, not %d", got, want)
	}
	if samples.trusted != 2 {
		t.Errorf("%d CAs were trusted at a time, not 2", samples.trusted)
	}
	if samples.retired < rotations-1 {
		t.Errorf("%d CAs were retired, not %d", samples.retired, rotations-1)
	}
}

// samples is what a sampler saw.
type samples struct {
	taken           int
	leaves, issuers map[string]bool
	trusted         int // CAs in a bundle, at most
	retired         int // how often a bundle lost one
}

// sample looks ten times a second, until the end, whether what each replica serves is trusted by what is published, before and after.
func (f *fleet) sample(t *testing.T, end time.Time) samples {
	t.Helper()
	s := samples{leaves: map[string]bool{}, issuers: map[string]bool{}}
	before, _ := f.caBundles(t)
	for ticker := time.NewTicker(100 * time.Millisecond); time.Now().Before(end); <-ticker.C {
		var leaves []*x509.Certificate
		for _, replica := range f.Replicas {
			leaves = append(leaves, served(t, replica.Address))
		}
		after, _ := f.caBundles(t)
		for _, leaf := range leaves {
			s.leaves[leaf.SerialNumber.String()] = true
			s.issuers[leaf.Issuer.CommonName] = true
			for _, bundles := range [][][]byte{before, after} {
				for _, bundle := range bundles {
					if err := trusts(bundle, leaf); err != nil {
						t.Error(err)
					}
				}
			}
		}
		if countPEM(after[0]) < countPEM(before[0]) {
			s.retired++
		}
		s.trusted = max(s.trusted, countPEM(after[0]))
		before = after
		s.taken++
	}
	return s
}
