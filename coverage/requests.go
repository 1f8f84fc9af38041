package coverage

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// AllNodes is the pool of all nodes where none has the label of a pool, and NoPool that of those without where others have one.
const (
	AllNodes = "all nodes"
	NoPool   = "no pool"
)

// PoolRequests is CPU and memory that pods request on the nodes of one pool.
type PoolRequests struct {
	// Pool is the pool's label, as key=value.
	Pool   string            `json:"pool"`
	CPU    resource.Quantity `json:"cpu"`
	Memory resource.Quantity `json:"memory"`
}

// poolsBy is the pool of each node, by the first of the labels that it has.
func (n *Nodes) poolsBy(poolLabels []string) []string {
	pools := make([]string, len(n.all))
	without := AllNodes
	for i := range n.all {
		node := n.all[i].after
		if node == nil {
			node = n.all[i].before
		}
		if pools[i] = PoolOf(node, poolLabels); pools[i] != "" {
			without = NoPool
		}
	}
	for i := range pools {
		if pools[i] == "" {
			pools[i] = without
		}
	}
	return pools
}

// PoolOf is the first of the labels that the node has, as key=value; empty: it has none.
func PoolOf(node *corev1.Node, poolLabels []string) string {
	for _, key := range poolLabels {
		if value, labelled := node.Labels[key]; labelled {
			return key + "=" + value
		}
	}
	return ""
}

// RequestsOf is what the scheduler counts for a pod of a template. Where only a limit is said, that is the request, as the API
// server sets it in pods, but not in templates (k8s.io/kubernetes pkg/apis/core/v1 SetDefaults_Pod).
func RequestsOf(template *corev1.PodSpec) corev1.ResourceList {
	pod := &corev1.Pod{Spec: *template}
	pod.Spec.Containers = defaulted(template.Containers)
	pod.Spec.InitContainers = defaulted(template.InitContainers)
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
}

func defaulted(containers []corev1.Container) []corev1.Container {
	containers = slices.Clone(containers)
	for i := range containers {
		resources := &containers[i].Resources
		all := maps.Clone(resources.Limits)
		if all == nil {
			continue
		}
		maps.Copy(all, resources.Requests)
		resources.Requests = all
	}
	return containers
}

// poolTally counts, by pool, nodes that get a pod, lose theirs, or get another in its place.
type poolTally map[string]*struct{ gained, freed, replaced int }

func (t poolTally) of(pool string) *struct{ gained, freed, replaced int } {
	if t[pool] == nil {
		t[pool] = new(struct{ gained, freed, replaced int })
	}
	return t[pool]
}

// requests is what the pods request more than before, of the pools where that is anything.
func (t poolTally) requests(before, after corev1.ResourceList) (all []PoolRequests) {
	for _, pool := range slices.Sorted(maps.Keys(t)) {
		n := t[pool]
		more := func(before, after *resource.Quantity) resource.Quantity {
			sum := after.DeepCopy()
			sum.Mul(int64(n.gained + n.replaced))
			freed := before.DeepCopy()
			freed.Mul(int64(n.freed + n.replaced))
			sum.Sub(freed)
			return sum
		}
		r := PoolRequests{Pool: pool, CPU: more(before.Cpu(), after.Cpu()), Memory: more(before.Memory(), after.Memory())}
		if !r.CPU.IsZero() || !r.Memory.IsZero() {
			all = append(all, r)
		}
	}
	return all
}
