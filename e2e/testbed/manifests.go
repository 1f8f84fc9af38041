package testbed

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// manifests is deploy/berth.yaml in the three steps in which it is applied.
type manifests struct {
	base     string // what the API server has to know first
	policies string // need the CustomResourceDefinition established
	webhooks string // need a berth that answers
}

// readManifests reads deploy/berth.yaml. The webhook configurations get the address and the CA of the berth that runs on
// this machine; everything else stays as it is, byte for byte.
func readManifests(root, address string, caBundle []byte) (manifests, error) {
	file := filepath.Join(root, "deploy", "berth.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return manifests{}, fmt.Errorf("read berth's manifests: %w", err)
	}
	var base, policies, webhooks []string
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return manifests{}, fmt.Errorf("read %s: %w", file, err)
		}
		var object unstructured.Unstructured
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return manifests{}, fmt.Errorf("read %s: %w", file, err)
		}
		switch object.GetKind() {
		case "": // only comments
		case "PlacementPolicy":
			policies = append(policies, string(document))
		case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
			redirected, err := redirect(&object, address, caBundle)
			if err != nil {
				return manifests{}, fmt.Errorf("%s %s in %s: %w", object.GetKind(), object.GetName(), file, err)
			}
			webhooks = append(webhooks, redirected)
		default:
			base = append(base, string(document))
		}
	}
	if len(policies) == 0 || len(webhooks) < 2 {
		return manifests{}, fmt.Errorf("%s has %d policies and %d webhook configurations: want at least 1, and 2 or more", file, len(policies), len(webhooks))
	}
	join := func(documents []string) string { return strings.Join(documents, "\n---\n") }
	return manifests{base: join(base), policies: join(policies), webhooks: join(webhooks)}, nil
}

// redirect turns clientConfig.service into clientConfig.url, with the same path.
func redirect(configuration *unstructured.Unstructured, address string, caBundle []byte) (string, error) {
	webhooks, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
	if err != nil {
		return "", err
	}
	for i := range webhooks {
		webhook, ok := webhooks[i].(map[string]any)
		if !ok {
			return "", fmt.Errorf("webhooks[%d] is no object", i)
		}
		path, found, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
		if err != nil || !found {
			return "", fmt.Errorf("webhooks[%d] has no clientConfig.service.path (%w)", i, err)
		}
		webhook["clientConfig"] = map[string]any{
			"url": "https://" + address + path, "caBundle": base64.StdEncoding.EncodeToString(caBundle),
		}
	}
	configuration.Object["webhooks"] = webhooks
	redirected, err := yaml.Marshal(configuration.Object)
	return string(redirected), err
}
