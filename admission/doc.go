// Package admission answers AdmissionReviews: the bytes of a review and the facts of a cluster.Snapshot in, an answer and its
// bytes out. How bytes travel, what is counted and what is logged is for package webhook.
//
// The way of a review has one address a step:
//
//	decode.go     the bytes → where the parts are that members.go lists (scan.go checks all the rest)
//	daemonset.go  those parts → a narrow appsv1.DaemonSet
//	evaluate.go   the request and the snapshot → a decision
//	conditions.go the whole objects, where matchConditions look at them
//	mutation.go   decision → patch or denial
//	validation.go decision on the final object → denial of what is still to do
//	answer.go     what goes into the audit log
//	encode.go     answer → bytes
//	policy.go     the review of a PlacementPolicy, all of it
//	errors.go     why there is no answer
//
// It makes no API call, takes no lock and compiles nothing. The exception is a namespace younger than the snapshot, for which
// it asks its Namespaces.
package admission
