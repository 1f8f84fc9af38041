package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	coordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
)

const (
	hostName = "host"
	// apiService is the ClusterIP of the Service kubernetes.
	apiService    = "10.0.0.1"
	leaseDuration = 40 * time.Second
	// followPeriod is much less than a kubelet and kube-proxy take, followRetry is after an error.
	followPeriod = 100 * time.Millisecond
	followRetry  = time.Second
)

// Host is a node whose pods are real processes, and the Services of the cluster. It needs a network namespace: see
// RunInNetwork. What a pod asks for is done as a kubelet does it: its command line, user, environment, Secret and
// projected volumes, probes, preStop, grace period and, of a Job, the end. Each has an IP of its own and sees no file but its own.
// Its limit of memory is a cgroup's, where this machine lets this user make one: see Pod.Memory. What is not done: images (every
// container is the program berth), other limits, and more than one container.
type Host struct {
	// Binary is the program that is in every image, but for those that Binaries has by name.
	Binary   string
	Binaries map[string]string

	cp    *ControlPlane
	api   *serviceProxy // the Service kubernetes
	log   *log.Logger
	end   context.CancelFunc
	alive sync.WaitGroup // the pods

	mu             sync.Mutex
	up             chan struct{} // closed while containers may start
	pods           map[types.UID]*Pod
	started        int                              // pods, ever
	services       map[types.UID]context.CancelFunc // each ends what listens for one
	endpointSlices []discoveryv1.EndpointSlice      // of the last look
}

// StartHost adds a Host to the cluster and returns when pods may be scheduled to it.
func (cp *ControlPlane) StartHost(ctx context.Context) (*Host, error) {
	if !InNetwork() {
		return nil, ErrNoNetwork
	}
	file, err := os.Create(cp.path(hostName + ".log"))
	if err != nil {
		return nil, err
	}
	h := &Host{Binary: cp.path("berth"), cp: cp, log: log.New(file, "", log.LstdFlags|log.Lmicroseconds), up: make(chan struct{}), pods: map[types.UID]*Pod{}, services: map[types.UID]context.CancelFunc{}}
	h.Up()
	if err := buildBerth(ctx, cp.root, h.Binary); err != nil {
		return nil, err
	}
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
	go h.follow(background)
	return h, nil
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
	select {
	case <-h.up:
		h.up = make(chan struct{})
	default: // Who waits for Up waits on.
	}
	h.mu.Unlock()
	for _, pod := range h.Pods() {
		_ = pod.Kill()
	}
}

// Up undoes Down: all containers start at the same time.
func (h *Host) Up() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.up:
	default:
		close(h.up)
	}
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
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: hostName, Labels: map[string]string{
		corev1.LabelHostname: hostName, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
	}}}
	if _, err := h.cp.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create the node %s: %w", hostName, err)
	}
	if err := h.reportReady(ctx); err != nil {
		return fmt.Errorf("make the node %s ready: %w", hostName, err)
	}
	return nil
}

// reportReady says that the node is ready, which the control plane doubts after an outage.
func (h *Host) reportReady(ctx context.Context) error {
	now := metav1.Now()
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	patch, err := json.Marshal(map[string]any{"status": corev1.NodeStatus{
		Capacity: capacity, Allocatable: capacity,
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}})
	if err != nil {
		return err
	}
	_, err = h.cp.Client.CoreV1().Nodes().Patch(ctx, hostName, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// renew keeps the node's Lease and its status, without which the node would be taken for dead.
func (h *Host) renew(ctx context.Context) {
	leases := h.cp.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	options := metav1.ApplyOptions{FieldManager: "testbed", Force: true}
	for ctx.Err() == nil {
		lease := coordinationv1.Lease(hostName, corev1.NamespaceNodeLease).WithSpec(coordinationv1.LeaseSpec().
			WithHolderIdentity(hostName).WithLeaseDurationSeconds(int32(leaseDuration / time.Second)).WithRenewTime(metav1.NowMicro()))
		_, err := leases.Apply(ctx, lease, options)
		if err := errors.Join(err, h.reportReady(ctx)); err != nil && ctx.Err() == nil {
			h.log.Println("renew the Lease:", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaseDuration / 10):
		}
	}
}

// follow looks ten times a second at the pods of this node, the Services and their endpoints. A watch would have to be
// started anew after an outage of the API server, which clients put off for up to a minute.
func (h *Host) follow(ctx context.Context) {
	for ticker := time.NewTicker(followPeriod); ctx.Err() == nil; <-ticker.C {
		if err := h.look(ctx); err != nil && ctx.Err() == nil {
			h.log.Println("look at pods and Services:", err)
			time.Sleep(followRetry)
		}
	}
}

func (h *Host) look(ctx context.Context) error {
	pods, err := h.cp.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", hostName).String(),
	})
	if err != nil {
		return err
	}
	services, err := h.cp.Client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	slices, err := h.cp.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endpointSlices = slices.Items
	h.syncServices(ctx, services.Items)
	h.syncPods(ctx, pods.Items)
	return nil
}

// syncServices listens where Services are, and nowhere else.
func (h *Host) syncServices(ctx context.Context, services []corev1.Service) {
	gone := maps.Clone(h.services)
	for i := range services {
		service := &services[i]
		delete(gone, service.UID)
		if h.services[service.UID] != nil || service.Spec.Selector == nil {
			continue
		}
		ctx, end := context.WithCancel(ctx)
		h.services[service.UID] = end
		if err := h.serve(ctx, service); err != nil {
			h.log.Printf("Service %s: %v", service.Name, err)
		}
	}
	for uid, end := range gone {
		end()
		delete(h.services, uid)
	}
}

// syncPods starts pods that are new here, lets those end that are being deleted, and kills what still runs of those that
// were deleted by force.
func (h *Host) syncPods(ctx context.Context, objects []corev1.Pod) {
	gone := maps.Clone(h.pods)
	for i := range objects {
		object := &objects[i]
		delete(gone, object.UID)
		pod := h.pods[object.UID]
		if pod == nil {
			h.started++
			pod = newPod(h, object, h.started)
			h.pods[object.UID] = pod
			h.alive.Go(func() { pod.live(ctx) })
		}
		if object.DeletionTimestamp != nil {
			pod.terminate(*object.DeletionGracePeriodSeconds)
		}
	}
	for uid, pod := range gone {
		pod.terminate(0)
		delete(h.pods, uid)
	}
}
