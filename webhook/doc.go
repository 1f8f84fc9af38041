// Package webhook is the admission webhook server: HTTP ⇄ admission.
//
// Server listens, Mutator and Validator answer. The way of a request has one address a step:
//
//	server.go    time limits, shutdown
//	connections.go  how many there may be, and which give way
//	plain.go     other servers: probes and metrics, without TLS
//	tls.go       versions, ciphers, the client's certificate
//	drain.go     the end of a server that loses nothing
//	endpoint.go  the steps below in their order; panics, the log
//	failure.go   method, media type and size; every HTTP error
//	exchange.go  the body's way in, the answer's way out
//	mutate.go    the body's answer: package admission, in its mutating phase
//	validate.go  the same in its validating phase
//	policies.go  another endpoint: PlacementPolicies, where they are written
//	metrics.go   what is counted
//
// The request path makes no API call, takes no lock and compiles nothing: it reads one snapshot of Facts. The exception
// is a namespace younger than the snapshot, which costs one GET.
//
// What a client is told: 200 with an AdmissionReview where berth has decided, allowed or denied; an HTTP error with a
// metav1.Status, which client-go shows to the user word for word, where it has not: 400, 405, 413 and 415 for requests that
// no API server sends, 503 with Retry-After while not ready or overloaded, which the API server retries, 500 for faults of
// ours, so that the failurePolicy of the webhook applies.
package webhook
