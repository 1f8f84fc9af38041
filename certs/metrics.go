package certs

import (
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var expiry = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "berth_certificate_expiry_timestamp_seconds",
	Help: "When the certificate expires, in seconds since 1970: the serving one, or the CA that berth signs with.",
}, []string{"certificate"})

func init() { metrics.Registry.MustRegister(expiry) }

// The values of the label certificate.
const (
	servingCertificate = "serving"
	caCertificate      = "ca"
)

func observeExpiry(which string, cert *x509.Certificate) {
	expiry.WithLabelValues(which).Set(float64(cert.NotAfter.Unix()))
}
