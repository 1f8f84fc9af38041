package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"time"

	certutil "k8s.io/client-go/util/cert"
)

const certificatesDocs = "docs/certificates.md"

// soon is when a CA should have been renewed already.
const soon = 24 * time.Hour

// certificates looks at whom the API server trusts.
func certificates(_ context.Context, c *Cluster) []Finding {
	hooks, err := c.hooks()
	if err != nil {
		return []Finding{unread("webhook configurations", err)}
	}
	var found []Finding
	var first *webhook
	for i := range hooks {
		w := &hooks[i]
		if !w.isBerths() {
			continue
		}
		if f := c.trusts(w); f.Outcome != Good || first == nil {
			found = append(found, f)
		}
		if first != nil && !bytes.Equal(first.caBundle, w.caBundle) {
			found = append(found, bad(certificatesDocs, "wait for a minute, in which berth or cainjector writes it; see who else writes caBundle",
				"%s and %s have not the same caBundle", first.name, w.name))
		}
		if first == nil {
			first = w
		}
	}
	return found
}

// trusts says whether a webhook has a CA that is valid.
func (c *Cluster) trusts(w *webhook) Finding {
	const advice = "see berth's log, or with certs.source=cert-manager that of cainjector, for why it is not written"
	certificates, err := certutil.ParseCertsPEM(w.caBundle)
	if err != nil {
		return bad(certificatesDocs, advice, "%s has no CA in its caBundle: the API server cannot call berth", w.name)
	}
	now := c.now()
	var valid *x509.Certificate
	for _, certificate := range certificates {
		if now.After(certificate.NotBefore) && now.Before(certificate.NotAfter) && (valid == nil || certificate.NotAfter.After(valid.NotAfter)) {
			valid = certificate
		}
	}
	switch {
	case valid == nil && now.Before(certificates[0].NotBefore):
		return bad(certificatesDocs, "set the clocks", "the CA of %s is not valid before %s", w.name, certificates[0].NotBefore.Format(time.RFC3339))
	case valid == nil:
		return bad(certificatesDocs, advice, "the CA of %s is not valid since %s", w.name, certificates[0].NotAfter.Format(time.RFC3339))
	case valid.NotAfter.Sub(now) < soon:
		return bad(certificatesDocs, advice, "the CA of %s ends at %s, and has not been renewed", w.name, valid.NotAfter.Format(time.RFC3339))
	}
	return good("the API server trusts a CA that is valid until %s", valid.NotAfter.Format(time.DateOnly))
}
