package coverage_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/coverage"
	"berth.dev/berth/placement"
)

func taint(key string, effect corev1.TaintEffect) corev1.Taint {
	return corev1.Taint{Key: key, Effect: effect}
}

// inPool is the template of pods for the nodes of pool a; each requests CPU.
func inPool(cpu string, tolerations ...corev1.Toleration) *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		NodeSelector: map[string]string{"pool": "a"}, Tolerations: tolerations,
		Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}},
	}}
}

var inA = map[string]string{"pool": "a"}

// What the controller does is in k8s.io/kubernetes pkg/controller/daemon podsShouldBeOnNode; e2e/diff_test.go asks it.
func TestAChangeOfANodeDoesToItsPodWhatTheDaemonSetControllerDoes(t *testing.T) {
	noSchedule, noExecute, prefer := taint("gpu", "NoSchedule"), taint("gpu", "NoExecute"), taint("gpu", "PreferNoSchedule")
	lost := func(reason string) coverage.Move {
		return coverage.Move{Before: 1, Lost: []coverage.Group{{Reason: reason, Nodes: []string{"n-1"}}}}
	}
	tests := map[string]struct {
		before, after *corev1.Node
		pod           *corev1.PodTemplateSpec
		also          []string
		want          coverage.Move
	}{
		"nothing":                             {before: node("n-1", inA), after: node("n-1", inA), want: coverage.Move{Before: 1, After: 1}},
		"nothing, where no pod is":            {before: node("n-1", nil), after: node("n-1", nil)},
		"a label comes":                       {before: node("n-1", nil), after: node("n-1", inA), want: coverage.Move{After: 1, Gained: []string{"n-1"}}},
		"a label goes":                        {before: node("n-1", inA), after: node("n-1", nil), want: lost("no label pool=a")},
		"the node comes":                      {after: node("n-1", inA), want: coverage.Move{After: 1, Gained: []string{"n-1"}}},
		"the node comes, not for this one":    {after: node("n-1", nil)},
		"the node is removed":                 {before: node("n-1", inA), want: lost("the node is removed")},
		"the node is removed, without a pod":  {before: node("n-1", nil)},
		"NoExecute comes":                     {before: node("n-1", inA), after: node("n-1", inA, noExecute), want: lost("taint gpu:NoExecute is not tolerated")},
		"NoExecute comes where no pod is":     {before: node("n-1", nil), after: node("n-1", nil, noExecute)},
		"NoExecute comes, and NoSchedule":     {before: node("n-1", inA), after: node("n-1", inA, noExecute, noSchedule), want: lost("taint gpu:NoExecute, gpu:NoSchedule is not tolerated")},
		"PreferNoSchedule comes":              {before: node("n-1", inA), after: node("n-1", inA, prefer), want: coverage.Move{Before: 1, After: 1}},
		"a taint goes":                        {before: node("n-1", inA, noSchedule), after: node("n-1", inA), want: coverage.Move{After: 1, Gained: []string{"n-1"}}},
		"the node is cordoned":                {before: node("n-1", inA), after: node("n-1", inA, taint(corev1.TaintNodeUnschedulable, "NoSchedule")), want: coverage.Move{Before: 1, After: 1}},
		"a pod stays that may not be there":   {before: node("n-1", inA, noSchedule), after: node("n-1", inA, noSchedule), also: []string{"n-1"}, want: coverage.Move{Before: 1, After: 1}},
		"such a pod's node gets NoExecute":    {before: node("n-1", inA, noSchedule), after: node("n-1", inA, noExecute), also: []string{"n-1"}, want: lost("taint gpu:NoExecute is not tolerated")},
		"such a pod's node loses the taint":   {before: node("n-1", inA, noSchedule), after: node("n-1", inA), also: []string{"n-1"}, want: coverage.Move{Before: 1, After: 1}},
		"NoExecute comes, which is tolerated": {before: node("n-1", inA), after: node("n-1", inA, noExecute), pod: inPool("0", corev1.Toleration{Operator: "Exists"}), want: coverage.Move{Before: 1, After: 1}},
		"NoSchedule comes": {before: node("n-1", inA), after: node("n-1", inA, noSchedule), want: coverage.Move{
			Before: 1, After: 1, Stays: []coverage.Group{{Reason: "taint gpu:NoSchedule is not tolerated", Nodes: []string{"n-1"}}},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			list := func(node *corev1.Node) []*corev1.Node {
				if node == nil {
					return nil
				}
				return []*corev1.Node{node}
			}
			pod := test.pod
			if pod == nil {
				pod = inPool("0")
			}
			nodes := coverage.NewNodes(list(test.before), list(test.after), nil)
			next, got := nodes.Sync(nodes.Running(pod, test.also), pod)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, again := nodes.Sync(next, pod); !again.Empty() {
				t.Errorf("a second time moves %+v", again)
			}
		})
	}
}

func TestARolloutMovesWhatTheServerCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	draw := func(of ...string) string { return of[random.IntN(len(of))] }
	template := func() *corev1.PodTemplateSpec {
		return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			NodeSelector: map[string]string{draw("pool", "zone"): draw("a", "b")}, NodeName: draw("", "", "", "n-1"),
			Tolerations: []corev1.Toleration{{Key: draw("gpu", "disk"), Operator: "Exists", Effect: corev1.TaintEffect(draw("NoSchedule", ""))}},
		}}
	}
	staying := 0
	for range 300 {
		var nodes []*corev1.Node
		for i := range 20 {
			labels := map[string]string{"pool": draw("a", "b"), "zone": draw("a", "b")}
			nodes = append(nodes, node(fmt.Sprint("n-", i), labels, taint(draw("gpu", "disk"), corev1.TaintEffect(draw("NoSchedule", "NoExecute", "PreferNoSchedule")))))
		}
		before, after := template(), template()
		was, is := placement.TemplateOf(nil, &before.Spec), placement.TemplateOf(nil, &after.Spec)
		want := placement.NodeList(nodes).Survey(&was, &is)
		compared := coverage.NewNodes(nodes, nodes, nil)
		_, got := compared.Rollout(compared.Running(before, nil), after)
		lost := 0
		for _, group := range got.Lost {
			lost += len(group.Nodes)
		}
		for _, group := range got.Stays {
			staying += len(group.Nodes)
		}
		if got.Before != want.Before || got.After != want.Eligible || lost != want.Lost {
			t.Fatalf("moves %+v, the server counts %+v", got, want)
		}
	}
	if staying == 0 {
		t.Error("no pod stays")
	}
}

func TestRequestsAreFreedAndTakenInThePoolsOfTheNodes(t *testing.T) {
	pool := func(name string) map[string]string { return map[string]string{"pool": "a", "nodepool": name} }
	before := []*corev1.Node{node("n-1", pool("x")), node("n-2", pool("x")), node("n-3", pool("y")), node("n-4", map[string]string{"nodepool": "y"}), node("n-5", inA)}
	after := []*corev1.Node{node("n-2", pool("x")), node("n-3", pool("y")), node("n-4", pool("y")), node("n-5", inA, taint("gpu", "NoSchedule"))}
	nodes := coverage.NewNodes(before, after, []string{"other", "nodepool"})
	of := func(pool, cpu string) coverage.PoolRequests {
		return coverage.PoolRequests{Pool: pool, CPU: resource.MustParse(cpu)}
	}
	pods, move := nodes.Sync(nodes.Running(inPool("100m"), nil), inPool("100m"))
	want := []coverage.PoolRequests{of("nodepool=x", "-100m"), of("nodepool=y", "100m")}
	if diff := cmp.Diff(want, move.Requests); diff != "" {
		t.Errorf("nodes change (-want +got):\n%s", diff)
	}
	// Three pods are replaced by larger ones; that on the tainted node is not.
	_, move = nodes.Rollout(pods, inPool("300m"))
	want = []coverage.PoolRequests{of(coverage.NoPool, "-100m"), of("nodepool=x", "200m"), of("nodepool=y", "400m")}
	if diff := cmp.Diff(want, move.Requests); diff != "" {
		t.Errorf("a rollout (-want +got):\n%s", diff)
	}
	// With OnDelete all stay as they are.
	if _, move = nodes.Sync(pods, inPool("300m")); !move.Empty() {
		t.Errorf("a rollout that replaces none moves %+v", move)
	}
	_, move = nodes.Rollout(nodes.None(), inPool("1"))
	want = []coverage.PoolRequests{of("nodepool=x", "1"), of("nodepool=y", "2")}
	if diff := cmp.Diff(want, move.Requests); diff != "" {
		t.Errorf("a new DaemonSet (-want +got):\n%s", diff)
	}
}

func TestAPodRequestsWhatTheSchedulerCounts(t *testing.T) {
	container := func(requests, limits string) corev1.Container {
		c := corev1.Container{}
		if requests != "" {
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(requests)}
		}
		if limits != "" {
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(limits), corev1.ResourceMemory: resource.MustParse("1Gi")}
		}
		return c
	}
	sidecar := container("50m", "")
	always := corev1.ContainerRestartPolicyAlways
	sidecar.RestartPolicy = &always
	tests := map[string]struct {
		pod         corev1.PodSpec
		cpu, memory string
	}{
		"containers":               {corev1.PodSpec{Containers: []corev1.Container{container("100m", ""), container("200m", "")}}, "300m", "0"},
		"an init container":        {corev1.PodSpec{Containers: []corev1.Container{container("100m", "")}, InitContainers: []corev1.Container{container("1", "")}}, "1", "0"},
		"a sidecar":                {corev1.PodSpec{Containers: []corev1.Container{container("100m", "")}, InitContainers: []corev1.Container{sidecar}}, "150m", "0"},
		"overhead":                 {corev1.PodSpec{Containers: []corev1.Container{container("100m", "")}, Overhead: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m")}}, "101m", "0"},
		"a limit and no request":   {corev1.PodSpec{Containers: []corev1.Container{container("", "2")}}, "2", "1Gi"},
		"a limit and less request": {corev1.PodSpec{Containers: []corev1.Container{container("1", "2")}}, "1", "1Gi"},
		"nothing":                  {corev1.PodSpec{Containers: []corev1.Container{container("", "")}}, "0", "0"},
	}
	nodes := coverage.NewNodes(nil, []*corev1.Node{node("n-1", nil)}, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, move := nodes.Rollout(nodes.None(), &corev1.PodTemplateSpec{Spec: test.pod})
			got := coverage.PoolRequests{Pool: coverage.AllNodes}
			for _, all := range move.Requests {
				got = all
			}
			if got.Pool != coverage.AllNodes || got.CPU.String() != test.cpu || got.Memory.String() != test.memory {
				t.Errorf("%s: CPU %s, memory %s", got.Pool, got.CPU.String(), got.Memory.String())
			}
		})
	}
}

// e2e/diff_requests_test.go asks the API server the same.
func TestPodsRequestWhatTheirNamespaceAndTheirClassAdd(t *testing.T) {
	quantities := func(cpu, memory string) corev1.ResourceList {
		list := corev1.ResourceList{}
		for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
			if text != "" {
				list[name] = resource.MustParse(text)
			}
		}
		return list
	}
	defaults := coverage.NewPodDefaults([]corev1.LimitRange{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
			{Type: corev1.LimitTypePod, Default: quantities("9", "9")},
			{Type: corev1.LimitTypeContainer, Default: quantities("400m", "64"), DefaultRequest: quantities("150m", "64")},
			{Type: corev1.LimitTypeContainer, Default: quantities("1", "1"), DefaultRequest: quantities("1", "1")},
		}},
	}}, []nodev1.RuntimeClass{{ObjectMeta: metav1.ObjectMeta{Name: "vm"}, Overhead: &nodev1.Overhead{PodFixed: quantities("30m", "8")}}, {ObjectMeta: metav1.ObjectMeta{Name: "plain"}}})
	container := func(requests, limits corev1.ResourceList) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}
	}
	for name, test := range map[string]struct {
		namespace, class string
		container        corev1.Container
		want             corev1.ResourceList
	}{
		"nothing said":              {"a", "", container(nil, nil), quantities("150m", "64")},
		"nothing said, elsewhere":   {"b", "", container(nil, nil), quantities("", "")},
		"a limit":                   {"a", "", container(nil, quantities("70m", "")), quantities("70m", "64")},
		"a request":                 {"a", "", container(quantities("10m", "1"), nil), quantities("10m", "1")},
		"a class with overhead":     {"b", "vm", container(quantities("10m", "1"), nil), quantities("40m", "9")},
		"a class without":           {"b", "plain", container(quantities("10m", "1"), nil), quantities("10m", "1")},
		"a class that nobody knows": {"b", "other", container(quantities("10m", "1"), nil), quantities("10m", "1")},
		"a class, and nothing said": {"a", "vm", container(nil, nil), quantities("180m", "72")},
	} {
		template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{test.container}}}
		if test.class != "" {
			template.Spec.RuntimeClassName = &test.class
		}
		before := template.DeepCopy()
		got := coverage.RequestsOf(&defaults.In(test.namespace, template).Spec)
		if got.Cpu().Cmp(*test.want.Cpu()) != 0 || got.Memory().Cmp(*test.want.Memory()) != 0 {
			t.Errorf("%s: requests %v and %v, want %v and %v", name, got.Cpu(), got.Memory(), test.want.Cpu(), test.want.Memory())
		}
		if diff := cmp.Diff(before, template); diff != "" {
			t.Errorf("%s: the template was changed:\n%s", name, diff)
		}
	}
}
