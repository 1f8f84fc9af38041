package admission

import "k8s.io/apimachinery/pkg/util/validation/field"

// part is one value that berth reads of an AdmissionReview. What is no part is skipped.
type part int

// The parts of the review around the objects.
const (
	partAPIVersion part = iota
	partReviewKind
	partRequest
	partUID
	partKind
	partKindGroup
	partKindVersion
	partKindKind
	partSubResource
	partOperation
	partName
	partNamespace
	partUserInfo
	partUsername
	partOptions
	partFieldManager
	partObject
	partOldObject = partObject + daemonSetPartCount
	partCount     = partOldObject + daemonSetPartCount
)

// The parts of a DaemonSet, counted from partObject or partOldObject: what placement reads, and the objects around it, without
// which a patch would not apply.
const (
	partMetadata part = iota + 1
	partObjectName
	partGenerateName
	partObjectNamespace
	partObjectLabels
	partAnnotations
	partDeletionTimestamp
	partManagedFields
	partSpec
	partSelector
	partMatchLabels
	partMatchExpressions
	partTemplate
	partTemplateMetadata
	partTemplateLabels
	partPodSpec
	partNodeName
	partPriorityClass
	partNodeSelector
	partTolerations
	partHostNetwork
	partAffinity
	partNodeAffinity
	partRequiredAffinity
	partNodeSelectorTerms
	daemonSetPartCount
)

// member is a key of an object together with what berth reads below it.
type member struct {
	key     string
	part    part
	members []member
}

// reviewMembers is all that berth reads of a review.
var reviewMembers = []member{
	{"apiVersion", partAPIVersion, nil},
	{"kind", partReviewKind, nil},
	{"request", partRequest, []member{
		{"uid", partUID, nil},
		{"kind", partKind, []member{
			{"group", partKindGroup, nil},
			{"version", partKindVersion, nil},
			{"kind", partKindKind, nil},
		}},
		{"subResource", partSubResource, nil},
		{"operation", partOperation, nil},
		{"name", partName, nil},
		{"namespace", partNamespace, nil},
		{"userInfo", partUserInfo, []member{{"username", partUsername, nil}}},
		{"options", partOptions, []member{{"fieldManager", partFieldManager, nil}}},
		{"object", partObject, daemonSetMembers(partObject)},
		{"oldObject", partOldObject, daemonSetMembers(partOldObject)},
	}},
}

// daemonSetMembers is all that berth reads of the DaemonSet that is the part root.
func daemonSetMembers(root part) []member {
	return []member{
		{"metadata", root + partMetadata, []member{
			{"name", root + partObjectName, nil},
			{"generateName", root + partGenerateName, nil},
			{"namespace", root + partObjectNamespace, nil},
			{"labels", root + partObjectLabels, nil},
			{"annotations", root + partAnnotations, nil},
			{"deletionTimestamp", root + partDeletionTimestamp, nil},
			{"managedFields", root + partManagedFields, nil},
		}},
		{"spec", root + partSpec, []member{
			{"selector", root + partSelector, []member{
				{"matchLabels", root + partMatchLabels, nil},
				{"matchExpressions", root + partMatchExpressions, nil},
			}},
			{"template", root + partTemplate, []member{
				{"metadata", root + partTemplateMetadata, []member{
					{"labels", root + partTemplateLabels, nil},
				}},
				{"spec", root + partPodSpec, []member{
					{"nodeName", root + partNodeName, nil},
					{"priorityClassName", root + partPriorityClass, nil},
					{"nodeSelector", root + partNodeSelector, nil},
					{"tolerations", root + partTolerations, nil},
					{"hostNetwork", root + partHostNetwork, nil},
					{"affinity", root + partAffinity, []member{
						{"nodeAffinity", root + partNodeAffinity, []member{
							{"requiredDuringSchedulingIgnoredDuringExecution", root + partRequiredAffinity, []member{
								{"nodeSelectorTerms", root + partNodeSelectorTerms, nil},
							}},
						}},
					}},
				}},
			}},
		}},
	}
}

// paths says where each part is.
var paths = partPaths()

func partPaths() (paths [partCount]*field.Path) {
	var walk func(parent *field.Path, members []member)
	walk = func(parent *field.Path, members []member) {
		for _, m := range members {
			paths[m.part] = parent.Child(m.key)
			walk(paths[m.part], m.members)
		}
	}
	walk(nil, reviewMembers)
	return paths
}
