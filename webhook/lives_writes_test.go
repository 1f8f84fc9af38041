package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"berth.dev/berth/api/v1alpha1"
)

// The writes. Each returns what is sent, given the object as it is stored.

type write func(stored *appsv1.DaemonSet) request

func (l *life) writes() map[string]write {
	applied := l.manifest.DeepCopy()
	annotate, image, edit := l.of("1", "2", "3"), "example:"+strconv.Itoa(l.IntN(1000)), l.edit()
	writes := map[string]write{
		"kubectl apply":               func(was *appsv1.DaemonSet) request { return clientSideApply(was, applied) },
		"kubectl apply --server-side": func(*appsv1.DaemonSet) request { return serverSideApply(applied, "helm") },
		"an operator's PUT": func(*appsv1.DaemonSet) request {
			return request{verb: "put", body: toJSON(applied), manager: "operator"}
		},
		"an operator's PUT that keeps annotations": func(was *appsv1.DaemonSet) request {
			put := applied.DeepCopy()
			put.Annotations = was.Annotations
			return request{verb: "put", body: toJSON(put), manager: "operator"}
		},
		"kubectl annotate": func(was *appsv1.DaemonSet) request {
			return edited(was, func(ds *appsv1.DaemonSet) { metav1.SetMetaDataAnnotation(&ds.ObjectMeta, "note", annotate) })
		},
		"kubectl annotate node-selector": func(was *appsv1.DaemonSet) request {
			return edited(was, func(ds *appsv1.DaemonSet) {
				metav1.SetMetaDataAnnotation(&ds.ObjectMeta, v1alpha1.DefaultWorkloadAnnotation, "pool="+l.value(false))
			})
		},
		"kubectl set image": func(was *appsv1.DaemonSet) request {
			return edited(was, func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = image })
		},
		"kubectl edit": func(was *appsv1.DaemonSet) request { return edited(was, edit) },
		"a controller's update": func(was *appsv1.DaemonSet) request {
			changed := was.DeepCopy()
			edit(changed)
			return request{verb: "put", body: toJSON(changed), manager: "controller"}
		},
	}
	if l.shared {
		// It states what berth wrote.
		writes["an operator that resets annotations"] = func(was *appsv1.DaemonSet) request {
			changed := was.DeepCopy()
			changed.Annotations = nil
			edit(changed)
			return request{verb: "put", body: toJSON(changed), manager: "operator"}
		}
	}
	return writes
}

// edit is what somebody does to an object that he sees as it is stored.
func (l *life) edit() func(*appsv1.DaemonSet) {
	key, value, toleration, term, image := l.key(), l.value(true), l.toleration(true), l.terms()[0], l.chance(50)
	kind := l.IntN(5)
	return func(ds *appsv1.DaemonSet) {
		pod := &ds.Spec.Template.Spec
		if image {
			pod.Containers[0].Image += "x"
			pod.Containers[0].Image = pod.Containers[0].Image[max(0, len(pod.Containers[0].Image)-20):]
		}
		switch kind {
		case 0:
			if pod.NodeSelector == nil {
				pod.NodeSelector = map[string]string{}
			}
			pod.NodeSelector[key] = value
		case 1:
			pod.Tolerations = append(pod.Tolerations, toleration)
		case 2:
			pod.Tolerations = slices.DeleteFunc(pod.Tolerations, func(t corev1.Toleration) bool { return t.Value == toleration.Value })
		case 3:
			if pod.Affinity == nil {
				pod.Affinity = &corev1.Affinity{}
			}
			if pod.Affinity.NodeAffinity == nil {
				pod.Affinity.NodeAffinity = &corev1.NodeAffinity{}
			}
			required := &pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
			if *required == nil {
				*required = &corev1.NodeSelector{}
			}
			(*required).NodeSelectorTerms = append((*required).NodeSelectorTerms, term)
		case 4:
			metav1.SetMetaDataLabel(&ds.ObjectMeta, "tier", "x")
		}
	}
}

func edited(was *appsv1.DaemonSet, edit func(*appsv1.DaemonSet)) request {
	changed := was.DeepCopy()
	edit(changed)
	patch, _ := strategicpatch.CreateTwoWayMergePatch(toJSON(was), toJSON(changed), appsv1.DaemonSet{}) // without a patch, send fails
	return request{verb: "patch", patch: types.StrategicMergePatchType, body: patch, manager: "kubectl-edit"}
}

// clientSideApply is what kubectl sends: a three-way merge patch
// (k8s.io/kubectl/pkg/cmd/apply).
func clientSideApply(was, manifest *appsv1.DaemonSet) request {
	modified := manifest.DeepCopy()
	modified.Annotations = nil
	file := append(toJSON(modified), '\n')
	if was == nil {
		modified.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(file)}
		return request{verb: "create", body: toJSON(modified), manager: "kubectl-client-side-apply"}
	}
	original := []byte(was.Annotations[corev1.LastAppliedConfigAnnotation])
	modified.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(file)}
	meta, _ := strategicpatch.NewPatchMetaFromStruct(appsv1.DaemonSet{})
	patch, _ := strategicpatch.CreateThreeWayMergePatch(original, toJSON(modified), toJSON(was), meta, true) // without a patch, send fails
	return request{verb: "patch", patch: types.StrategicMergePatchType, body: patch, manager: "kubectl-client-side-apply"}
}

func serverSideApply(manifest *appsv1.DaemonSet, manager string) request {
	return request{verb: "patch", patch: types.ApplyPatchType, body: toJSON(manifest), manager: manager}
}

// repeats says whether a write brings back a template of the past in the one
// cluster and not in the other.
func (l *life) repeats(with, without request) bool {
	template := func(s store, r request) string {
		p, ok := s.(*phases)
		if !ok {
			return ""
		}
		object, err := p.requested(r)
		if err != nil {
			return ""
		}
		return templateText(&object.Spec.Template)
	}
	is, means := template(l.with, with), template(l.without, without)
	return slices.ContainsFunc(l.revisions, func(past revision) bool {
		return templateText(&past.with) == is && templateText(&past.without) != means
	})
}

// templateText tells templates apart. An empty list that is required, such as
// projected.sources, comes as [] from a client and as null from etcd.
func templateText(template *corev1.PodTemplateSpec) string {
	return strings.ReplaceAll(string(toJSON(template)), ":null", ":[]")
}

// owners says which field managers own what berth writes to.
func owners(ds *appsv1.DaemonSet) string {
	var text strings.Builder
	for _, entry := range ds.ManagedFields {
		for _, field := range []string{`"f:nodeSelector"`, `"f:tolerations"`, `"f:requiredDuringSchedulingIgnoredDuringExecution"`} {
			if entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), field) {
				fmt.Fprintln(&text, field, entry.Manager, entry.Operation)
			}
		}
	}
	return text.String()
}

// undo is what kubectl rollout undo sends.
func undo(to *corev1.PodTemplateSpec) request {
	template := map[string]any{}
	_ = json.Unmarshal(toJSON(to), &template) // without a template, send fails
	template["$patch"] = "replace"
	return request{verb: "patch", patch: types.StrategicMergePatchType, manager: "kubectl-rollout",
		body: toJSON(map[string]any{"spec": map[string]any{"template": template}})}
}
