package doctor

import (
	"context"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"berth.dev/berth/api/v1alpha1"
)

// oldestKubernetes is what docs/install.md promises.
const oldestKubernetes = "1.32"

// versions looks at the API server's version, and at whether the CustomResourceDefinition has what this berth knows.
func versions(ctx context.Context, c *Cluster) []Finding {
	var found []Finding
	if server, err := c.client.Discovery().ServerVersion(); err != nil {
		found = append(found, unread("the API server's version", err))
	} else {
		found = append(found, serverVersion(server.GitVersion))
	}
	definitions := c.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	definition, err := definitions.Get(ctx, "placementpolicies.berth.dev", metav1.GetOptions{})
	if err != nil {
		return append(found, unread("CustomResourceDefinition placementpolicies.berth.dev", err))
	}
	if missing := missingFields(definition); len(missing) > 0 {
		return append(found, bad(installDocs, "install the chart of this version: helm upgrade",
			"the CustomResourceDefinition is older than this berth, and drops %s", strings.Join(missing, ", ")))
	}
	return append(found, good("the CustomResourceDefinition has every field that this berth knows"))
}

// serverVersion looks at a version such as v1.37.2-gke.1.
func serverVersion(is string) Finding {
	if parsed, err := version.ParseGeneric(is); err == nil && parsed.LessThan(version.MustParseGeneric(oldestKubernetes)) {
		return bad(installDocs, "upgrade Kubernetes", "Kubernetes is %s, older than %s", is, oldestKubernetes)
	}
	return good("Kubernetes is %s", is)
}

// missingFields are the fields of a policy's spec that the schema has not.
func missingFields(definition *unstructured.Unstructured) []string {
	served, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	var properties map[string]any
	for _, one := range served {
		if v, ok := one.(map[string]any); ok && v["name"] == v1alpha1.GroupVersion.Version {
			properties, _, _ = unstructured.NestedMap(v, "schema", "openAPIV3Schema", "properties", "spec", "properties")
		}
	}
	var missing []string
	for field := range reflect.TypeFor[v1alpha1.PlacementPolicySpec]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, has := properties[name]; !has {
			missing = append(missing, "spec."+name)
		}
	}
	slices.Sort(missing)
	return missing
}
