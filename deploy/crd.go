// Package deploy holds what puts berth into a cluster: the Helm chart, and berth.yaml rendered from it. Of its Go code only the
// CustomResourceDefinition goes into the binary; the rest is tests of the rules that the manifests must not break.
package deploy

import _ "embed"

// PlacementPolicyCRD is the CustomResourceDefinition of PlacementPolicies, in YAML.
//
//go:embed chart/crds/berth.dev_placementpolicies.yaml
var PlacementPolicyCRD []byte
