package testbed

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
	"k8s.io/client-go/informers"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	hostName = "host"
	// apiService is the ClusterIP of the Service kubernetes.
	apiService    = "10.0.0.1"
	leaseDuration = 40 * time.Second
)

// Host is a node whose pods are real processes, and the Services of the cluster. It needs a network namespace: see
// RunInNetwork. What a pod asks for is done as a kubelet does it: its command line, user, environment, Secret and
// projected volumes, probes, preStop and grace period. Each has an IP of its own and sees no file but its own.
// What is not done: images (every container is the program berth), cgroups, and more than one container.
type Host struct {
	// Binary is the program that is in every image.
	Binary string

	cp             *ControlPlane
	api            *serviceProxy // the Service kubernetes
	endpointSlices discoverylisters.EndpointSliceLister
	end            context.CancelFunc
	alive          sync.WaitGroup // the pods

	mu       sync.Mutex
	up       chan struct{}   // closed while containers may start
	pods     map[string]*Pod // by namespace/name
	started  int             // pods, ever
	services map[string]context.CancelFunc
}

// StartHost adds a Host to the cluster and returns when pods may be scheduled to it.
func (cp *ControlPlane) StartHost(ctx context.Context) (*Host, error) {
	if !InNetwork() {
		return nil, ErrNoNetwork
	}
	h := &Host{Binary: cp.path("berth"), cp: cp, up: make(chan struct{}), pods: map[string]*Pod{}, services: map[string]context.CancelFunc{}}
	h.Up()
	if err := buildBerth(ctx, cp.root, h.Binary); err != nil {
		return nil, err
	}
	var err error
	server := strings.TrimPrefix(cp.server, "https://")
	if h.api, err = proxy(net.JoinHostPort(apiService, "443"), func() string { return server }); err != nil {
		return nil, err
	}
	if err := h.register(ctx); err != nil {
		return nil, err
	}
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	h.end = end
	go h.renew(background)
	return h, h.watch(background)
}

// Stop kills what runs here.
func (h *Host) Stop() {
	h.end()
	for _, pod := range h.Pods() {
		_ = pod.process.Kill()
	}
	h.alive.Wait()
	_ = h.api.stop()
}

// CutAPI takes the API server away from the pods, and from nobody else, until RestoreAPI.
func (h *Host) CutAPI() { h.api.Cut() }

// RestoreAPI undoes CutAPI.
func (h *Host) RestoreAPI() { h.api.Restore() }

// Down kills every container and starts none until Up.
func (h *Host) Down() {
	h.mu.Lock()
	h.up = make(chan struct{})
	h.mu.Unlock()
	for _, pod := range h.Pods() {
		_ = pod.Kill()
	}
}

// Up undoes Down: all containers start at the same time.
func (h *Host) Up() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.up)
}

// mayStart is closed as soon as containers may start.
func (h *Host) mayStart() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up
}

// Pods are those of the node, oldest first.
func (h *Host) Pods() []*Pod {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.pods), func(a, b *Pod) int { return a.number - b.number })
}

// register makes the node and says that it is ready.
func (h *Host) register(ctx context.Context) error {
	nodes := h.cp.Client.CoreV1().Nodes()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: hostName, Labels: map[string]string{
		corev1.LabelHostname: hostName, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
	}}}
	node, err := nodes.Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create the node %s: %w", hostName, err)
	}
	now := metav1.Now()
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	node.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	node.Status.Allocatable = node.Status.Capacity
	if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("make the node %s ready: %w", hostName, err)
	}
	return nil
}

// renew keeps the node's Lease, without which the node would be taken for dead.
func (h *Host) renew(ctx context.Context) {
	leases := h.cp.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	options := metav1.ApplyOptions{FieldManager: "testbed", Force: true}
	for ctx.Err() == nil {
		lease := coordinationv1.Lease(hostName, corev1.NamespaceNodeLease).WithSpec(coordinationv1.LeaseSpec().
			WithHolderIdentity(hostName).WithLeaseDurationSeconds(int32(leaseDuration / time.Second)).WithRenewTime(metav1.NowMicro()))
		if _, err := leases.Apply(ctx, lease, options); err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "testbed: renew the Lease of node %s: %v\n", hostName, err) // no API server: again in a moment
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaseDuration / 10):
		}
	}
}

// watch follows the pods of this node, and the Services and their endpoints.
func (h *Host) watch(ctx context.Context) error {
	pods := informers.NewSharedInformerFactoryWithOptions(h.cp.Client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", hostName).String()
	}))
	all := informers.NewSharedInformerFactory(h.cp.Client, 0)
	h.endpointSlices = all.Discovery().V1().EndpointSlices().Lister()
	services := all.Core().V1().Services().Informer()
	if _, err := services.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { h.serviceAdded(ctx, object.(*corev1.Service)) },
		DeleteFunc: h.serviceDeleted,
	}); err != nil {
		return err
	}
	if _, err := pods.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { h.sync(ctx, object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { h.sync(ctx, object.(*corev1.Pod)) },
		DeleteFunc: h.podGone,
	}); err != nil {
		return err
	}
	all.Discovery().V1().EndpointSlices().Informer()
	for _, factory := range []informers.SharedInformerFactory{all, pods} {
		factory.StartWithContext(ctx)
		factory.WaitForCacheSyncWithContext(ctx)
	}
	return nil
}

func (h *Host) serviceAdded(ctx context.Context, service *corev1.Service) {
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == apiService || service.Spec.Selector == nil {
		return
	}
	ctx, end := context.WithCancel(ctx)
	if err := h.serve(ctx, service); err != nil {
		fmt.Fprintf(os.Stderr, "testbed: Service %s: %v\n", service.Name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.services[service.Namespace+"/"+service.Name] = end
}

func (h *Host) serviceDeleted(object any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if end := h.services[key]; end != nil {
		end()
		delete(h.services, key)
	}
}

// sync starts a pod that is new here, and lets one that is being deleted end.
func (h *Host) sync(ctx context.Context, object *corev1.Pod) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := object.Namespace + "/" + object.Name
	pod := h.pods[key]
	if pod == nil {
		h.started++
		pod = newPod(h, object, h.started)
		h.pods[key] = pod
		h.alive.Go(func() { pod.live(ctx) })
	}
	if object.DeletionTimestamp != nil {
		pod.terminate(*object.DeletionGracePeriodSeconds)
	}
}

// podGone forgets a pod that is no longer in the API; what still runs of one that was deleted by force is killed.
func (h *Host) podGone(object any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if pod := h.pods[key]; pod != nil {
		pod.terminate(0)
		delete(h.pods, key)
	}
}
