package manifests

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/deploy"
)

// policySchema is what an API server holds PlacementPolicies against, of the version that berth serves.
type policySchema struct {
	structural *schema.Structural
	fields     validation.SchemaValidator
	rules      *cel.Validator
}

// compiledSchema is that of the CustomResourceDefinition in deploy.
var compiledSchema = sync.OnceValues(func() (*policySchema, error) {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(deploy.PlacementPolicyCRD, &crd); err != nil {
		return nil, fmt.Errorf("decode berth's own CustomResourceDefinition: %w", err)
	}
	var properties apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &properties, nil); err != nil {
		return nil, fmt.Errorf("convert the schema of berth's own CustomResourceDefinition: %w", err)
	}
	structural, err := schema.NewStructural(&properties)
	if err != nil {
		return nil, fmt.Errorf("compile the schema of berth's own CustomResourceDefinition: %w", err)
	}
	fields, _, err := validation.NewSchemaValidator(&properties)
	if err != nil {
		return nil, fmt.Errorf("compile the schema of berth's own CustomResourceDefinition: %w", err)
	}
	return &policySchema{structural, fields, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
})

// validate says what an API server would refuse in a policy, in the order and with the libraries of its own
// (k8s.io/apiextensions-apiserver pkg/registry/customresource/strategy.go Validate).
func (s *policySchema) validate(ctx context.Context, raw []byte) field.ErrorList {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil { // by which integers stay integers
		return field.ErrorList{field.Invalid(nil, "", err.Error())}
	}
	defaulting.Default(fields, s.structural)
	errs := validation.ValidateCustomResource(nil, fields, s.fields)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, fields)...)
	if len(errs) > 0 {
		return errs
	}
	broken, _ := s.rules.Validate(ctx, nil, s.structural, fields, nil, celconfig.RuntimeCELCostBudget)
	return broken
}
