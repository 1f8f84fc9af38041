package coverage

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
)

// PodDefaults is what the API server writes into pods that the scheduler counts, and that their templates need not say: the
// defaults of the LimitRanges of their namespace, and the overhead of their RuntimeClass.
type PodDefaults struct {
	containers map[string][]corev1.LimitRangeItem // by namespace
	overheads  map[string]corev1.ResourceList     // by RuntimeClass
}

// NewPodDefaults takes LimitRanges and RuntimeClasses as an API server stores them.
func NewPodDefaults(limits []corev1.LimitRange, classes []nodev1.RuntimeClass) *PodDefaults {
	d := &PodDefaults{map[string][]corev1.LimitRangeItem{}, map[string]corev1.ResourceList{}}
	for i := range limits {
		for _, item := range limits[i].Spec.Limits {
			if item.Type == corev1.LimitTypeContainer {
				d.containers[limits[i].Namespace] = append(d.containers[limits[i].Namespace], item)
			}
		}
	}
	for i := range classes {
		if overhead := classes[i].Overhead; overhead != nil {
			d.overheads[classes[i].Name] = overhead.PodFixed
		}
	}
	return d
}

// In returns the template of pods of a namespace with what they get (k8s.io/kubernetes plugin/pkg/admission/limitranger
// mergePodResourceRequirements, and plugin/pkg/admission/runtimeclass setOverhead).
func (d *PodDefaults) In(namespace string, template *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	items, class := d.containers[namespace], template.Spec.RuntimeClassName
	if len(items) == 0 && class == nil {
		return template
	}
	pod := *template
	pod.Spec.Containers = limited(defaulted(template.Spec.Containers), items)
	pod.Spec.InitContainers = limited(defaulted(template.Spec.InitContainers), items)
	if class != nil && pod.Spec.Overhead == nil {
		pod.Spec.Overhead = d.overheads[*class]
	}
	return &pod
}

// limited gives the containers the defaults that they lack: of two, the first.
func limited(containers []corev1.Container, items []corev1.LimitRangeItem) []corev1.Container {
	for i := range containers {
		resources := &containers[i].Resources
		resources.Requests, resources.Limits = maps.Clone(resources.Requests), maps.Clone(resources.Limits)
		for _, item := range items {
			addMissing(&resources.Requests, item.DefaultRequest)
			addMissing(&resources.Limits, item.Default)
		}
	}
	return containers
}

func addMissing(to *corev1.ResourceList, defaults corev1.ResourceList) {
	if *to == nil {
		*to = corev1.ResourceList{}
	}
	for name, quantity := range defaults {
		if _, said := (*to)[name]; !said {
			(*to)[name] = quantity
		}
	}
}
