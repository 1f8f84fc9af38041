// Package certs is where the serving certificate comes from, and how the API
// server comes to trust it.
//
// There are two sources, and both are what cert-manager calls a
// CertificateSource. A FileSource serves the pair of files that somebody else
// renews: an admin, or cert-manager by way of a mounted Secret. A SelfManaged
// source needs nobody: berth's replicas share one CA, sign their certificates
// with it, and tell the API server to trust it.
package certs

import cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"

// Source is where the serving certificate comes from.
type Source = cmtls.CertificateSource

var (
	_ Source = (*FileSource)(nil)
	_ Source = (*SelfManaged)(nil)
)
