package manifests

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateMetadata is the API server's rules for names, labels and annotations of DaemonSets and of PlacementPolicies.
func validateMetadata(path *field.Path, metadata *metav1.ObjectMeta) field.ErrorList {
	errs := validateLabels(path, metadata)
	at, name, prefix := path.Child("name"), metadata.Name, false
	switch {
	case name == "" && metadata.GenerateName == "":
		return append(errs, field.Required(at, "give the object a name"))
	case name == "":
		at, name, prefix = path.Child("generateName"), metadata.GenerateName, true
	}
	for _, problem := range apivalidation.NameIsDNSSubdomain(name, prefix) {
		errs = append(errs, field.Invalid(at, name, problem))
	}
	return errs
}

func validateLabels(path *field.Path, metadata *metav1.ObjectMeta) field.ErrorList {
	return append(metav1validation.ValidateLabels(metadata.Labels, path.Child("labels")),
		apivalidation.ValidateAnnotations(metadata.Annotations, path.Child("annotations"))...)
}
