package coverage

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Move is what a change does to the pods of one DaemonSet.
type Move struct {
	// Before and After are the numbers of nodes that have a pod.
	Before int `json:"before"`
	After  int `json:"after"`
	// Gained is the nodes that get a pod.
	Gained []string `json:"gained,omitempty"`
	// Lost is the nodes whose pods the controller deletes, and makes no other: at once, whatever maxUnavailable is, or where they
	// have stayed in spite of a taint, when they are replaced.
	Lost []Group `json:"lost,omitempty"`
	// Stays is the nodes whose pods run on until they are replaced, and get no new one then: a taint with the effect NoSchedule
	// does that.
	Stays []Group `json:"stays,omitempty"`
	// Requests is what the pods request afterwards more than before, by the pool of their nodes: less than 0 is freed.
	Requests []PoolRequests `json:"requests,omitempty"`
}

// Empty says whether nothing moves.
func (m *Move) Empty() bool {
	return len(m.Gained)+len(m.Lost)+len(m.Stays)+len(m.Requests) == 0
}

// fate is what the DaemonSet controller does about the pod of one DaemonSet on one node.
type fate byte

const (
	goes  fate = iota // none is made, and one that is there is deleted
	stays             // none is made, and one that is there stays
	runs              // one is made
)

// Nodes is a cluster's nodes before and after a change of them. It remembers what it was asked.
type Nodes struct {
	all     []nodeChange // by name
	changed []int        // of all
	pools   []string     // of all
	fates   map[string]*fates
}

// nodeChange is one node; nil where it is not there.
type nodeChange struct {
	name          string
	before, after *corev1.Node
}

// fates is what the controller does about a template on each of the nodes.
type fates struct {
	predicate
	before, after []fate
}

// NewNodes compares two lists of nodes. A node's pool is the value of the first of these labels that it has.
func NewNodes(before, after []*corev1.Node, poolLabels []string) *Nodes {
	n := &Nodes{fates: map[string]*fates{}}
	byName := map[string]*nodeChange{}
	of := func(name string) *nodeChange {
		if byName[name] == nil {
			byName[name] = &nodeChange{name: name}
		}
		return byName[name]
	}
	for _, node := range before {
		of(node.Name).before = node
	}
	for _, node := range after {
		of(node.Name).after = node
	}
	for _, change := range byName {
		n.all = append(n.all, *change)
	}
	slices.SortFunc(n.all, func(a, b nodeChange) int { return strings.Compare(a.name, b.name) })
	for i, change := range n.all {
		if change.before != change.after {
			n.changed = append(n.changed, i)
		}
	}
	n.pools = n.poolsBy(poolLabels)
	return n
}

// of returns the fates of a template's pods. Most changes are of few nodes: the others are looked at once.
func (n *Nodes) of(pod *corev1.PodTemplateSpec) *fates {
	digest := DigestOf(pod)
	if known := n.fates[digest]; known != nil {
		return known
	}
	f := &fates{predicate: newPredicate(pod), before: make([]fate, len(n.all))}
	for i := range n.all {
		f.before[i] = f.fate(n.all[i].before)
	}
	f.after = slices.Clone(f.before)
	for _, i := range n.changed {
		f.after[i] = f.fate(n.all[i].after)
	}
	n.fates[digest] = f
	return f
}

// fate is the controller's NodeShouldRunDaemonPod.
func (p *predicate) fate(node *corev1.Node) fate {
	if node == nil {
		return goes
	}
	switch why := p.why(node); {
	case !why.Selected(), why.Evicts:
		return goes
	case len(why.Taints) > 0:
		return stays
	}
	return runs
}

// Pods is on which nodes a DaemonSet has pods, and what each of them requests.
type Pods struct {
	on       []fate // goes: there is none
	requests corev1.ResourceList
}

// Unmoved is the move of nothing.
func (p Pods) Unmoved() Move {
	var m Move
	for _, is := range p.on {
		if is != goes {
			m.Before++
			m.After++
		}
	}
	return m
}

// None is no pods at all: those of a DaemonSet that is not there yet.
func (n *Nodes) None() Pods { return Pods{on: make([]fate, len(n.all))} }

// Running is the pods that a template has on the nodes as they were; also names nodes with pods that no longer belong there.
func (n *Nodes) Running(pod *corev1.PodTemplateSpec, also []string) Pods {
	pods := Pods{on: slices.Clone(n.of(pod).before), requests: RequestsOf(&pod.Spec)}
	others := map[string]bool{}
	for _, name := range also {
		others[name] = true
	}
	for i := range pods.on {
		if pods.on[i] != runs {
			pods.on[i] = goes
			if others[n.all[i].name] {
				pods.on[i] = stays
			}
		}
	}
	return pods
}

// Sync is what the DaemonSet controller makes of the pods by their template, on the nodes as they are after the change. Those that
// may be where they are stay as they are.
func (n *Nodes) Sync(pods Pods, pod *corev1.PodTemplateSpec) (Pods, Move) {
	return n.move(pods, pod, false)
}

// Rollout is what it makes of them by a new template, when all have been replaced. With the strategy OnDelete it replaces none:
// that is Sync.
func (n *Nodes) Rollout(pods Pods, pod *corev1.PodTemplateSpec) (Pods, Move) {
	return n.move(pods, pod, true)
}

func (n *Nodes) move(pods Pods, pod *corev1.PodTemplateSpec, replaced bool) (Pods, Move) {
	next := Pods{on: make([]fate, len(n.all)), requests: RequestsOf(&pod.Spec)}
	fates := n.of(pod)
	var move Move
	lost, staying := map[string][]string{}, map[string][]string{}
	pools := poolTally{}
	for i, now := range fates.after {
		was, node := pods.on[i], &n.all[i]
		if was != goes {
			move.Before++
		}
		switch {
		case now == runs && was == goes:
			move.Gained = append(move.Gained, node.name)
			pools.of(n.pools[i]).gained++
		case now == runs && replaced:
			pools.of(n.pools[i]).replaced++
		case now == runs: // it is as it was
		case was == goes:
			continue
		case now == goes:
			reason := fates.whyGone(node)
			lost[reason] = append(lost[reason], node.name)
			pools.of(n.pools[i]).freed++
			continue
		case replaced: // and nothing in its place
			if was == stays {
				reason := fates.why(node.after).String()
				lost[reason] = append(lost[reason], node.name)
			}
			pools.of(n.pools[i]).freed++
			now = goes
		}
		if was == runs && fates.after[i] == stays {
			reason := fates.why(node.after).String()
			staying[reason] = append(staying[reason], node.name)
		}
		if next.on[i] = now; now != goes {
			move.After++
		}
	}
	move.Lost, move.Stays = groups(lost), groups(staying)
	move.Requests = pools.requests(pods.requests, next.requests)
	return next, move
}

// whyGone is why the pods on the node are deleted.
func (f *fates) whyGone(node *nodeChange) string {
	if node.after == nil {
		return "the node is removed"
	}
	return f.why(node.after).String()
}
