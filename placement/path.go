package placement

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// path is a place in a DaemonSet, as users read it (field) and as a patch
// addresses it (pointer, RFC 6901).
type path struct {
	field   *field.Path
	pointer string
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func (p path) child(names ...string) path {
	for _, name := range names {
		p = path{p.field.Child(name), p.pointer + "/" + name}
	}
	return p
}

func (p path) key(key string) path {
	return path{p.field.Key(key), p.pointer + "/" + pointerEscaper.Replace(key)}
}

func (p path) index(i int) path {
	return path{p.field.Index(i), p.pointer + "/" + strconv.Itoa(i)}
}

// end is the place behind the last element of the list p.
func (p path) end() path {
	return path{p.field, p.pointer + "/-"}
}

var (
	annotationsPath    = path{}.child("metadata", "annotations")
	injectedPath       = annotationsPath.key(InjectedAnnotation)
	selectorPath       = path{}.child("spec", "selector")
	templateLabelsPath = path{}.child("spec", "template", "metadata", "labels")
	podSpecPath        = path{}.child("spec", "template", "spec")
	nodeNamePath       = podSpecPath.child("nodeName")
	nodeSelectorPath   = podSpecPath.child("nodeSelector")
	tolerationsPath    = podSpecPath.child("tolerations")
	affinityPath       = podSpecPath.child("affinity")
	nodeAffinityPath   = affinityPath.child("nodeAffinity")
	requiredPath       = nodeAffinityPath.child("requiredDuringSchedulingIgnoredDuringExecution")
	termsPath          = requiredPath.child("nodeSelectorTerms")
)
