package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	volumePeriod  = time.Second // a kubelet takes up to a minute
	restartPause  = time.Second // a kubelet backs off, from 10 s on
	statusRetry   = 200 * time.Millisecond
	programInRoot = "/berth"
)

// Pod is a pod of a Host: its container is a process.
type Pod struct {
	Namespace, Name, IP string
	// Log is the file with what the container says.
	Log string

	host      *Host
	number    int
	object    *corev1.Pod
	container *corev1.Container
	root      string // the folder that the container takes for /
	process   *Process
	noMemory  error // why it is in no memory cgroup

	ready    atomic.Bool
	restarts atomic.Int32
	running  atomic.Bool
	done     atomic.Bool   // it has ended with success, and is not to be started again
	changed  chan struct{} // the status has to be written

	ending sync.Once
	grace  time.Duration // set before ended
	ended  chan struct{} // closed when the pod has to end
	killed chan struct{} // closed when it has to end at once
	kill   sync.Once
}

func newPod(h *Host, object *corev1.Pod, number int) *Pod {
	p := &Pod{
		Namespace: object.Namespace, Name: object.Name, IP: fmt.Sprintf("10.1.%d.%d", number/250, number%250+1),
		Log:  h.cp.path(object.Name + ".log"),
		host: h, number: number, object: object, container: &object.Spec.Containers[0],
		root:    h.cp.path(filepath.Join("pods", object.Name)),
		changed: make(chan struct{}, 1), ended: make(chan struct{}), killed: make(chan struct{}),
	}
	p.process = &Process{Name: p.Name, Log: p.Log, path: programInRoot, args: p.args(), root: p.root, user: p.user()}
	return p
}

// Pid is the container's process id, 0 while it does not run.
func (p *Pod) Pid() int { return p.process.Pid() }

// Memory is the container's memory cgroup with the limit that the pod says; the error is why it has none.
func (p *Pod) Memory() (*MemoryGroup, error) { return p.process.memory, p.noMemory }

// Kill kills the container, as a crash would. It is started again after a second.
func (p *Pod) Kill() error { return p.process.Kill() }

// Ready says whether the readiness probe passes.
func (p *Pod) Ready() bool { return p.ready.Load() }

// Restarts is how often the container was started again.
func (p *Pod) Restarts() int { return int(p.restarts.Load()) }

// Terminating says whether the pod has to end.
func (p *Pod) Terminating() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// args is the container's command line. A pod has all ports of its IP; here the IP has to be said.
func (p *Pod) args() []string {
	args := append([]string{}, p.container.Args...)
	if p.container.Ports == nil {
		return args
	}
	for flag, port := range map[string]string{"webhook-bind-address": "webhook", "health-probe-bind-address": "health", "metrics-bind-address": "metrics"} {
		args = append(args, fmt.Sprintf("--%s=%s", flag, p.Address(port)))
	}
	return args
}

// Address is IP:PORT of the container port of that name.
func (p *Pod) Address(port string) string {
	for _, candidate := range p.container.Ports {
		if candidate.Name == port {
			return p.IP + ":" + strconv.Itoa(int(candidate.ContainerPort))
		}
	}
	return p.IP + ":" + port
}

// user is whom the container runs as, where this process may choose.
func (p *Pod) user() *uint32 {
	security := p.object.Spec.SecurityContext
	if security == nil || security.RunAsUser == nil || !hasUser(*security.RunAsUser) {
		return nil
	}
	id := uint32(*security.RunAsUser)
	return &id
}

// environment is the container's.
func (p *Pod) environment() ([]string, error) {
	env := []string{"KUBERNETES_SERVICE_HOST=" + apiService, "KUBERNETES_SERVICE_PORT=443"}
	for _, variable := range p.container.Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil {
			switch {
			case from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "limits.memory":
				value = strconv.FormatInt(p.container.Resources.Limits.Memory().Value(), 10)
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
				value = p.object.Name
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.uid":
				value = string(p.object.UID)
			default:
				return nil, fmt.Errorf("env %s: only limits.memory, metadata.name and metadata.uid are known here", variable.Name)
			}
		}
		env = append(env, variable.Name+"="+value)
	}
	return env, nil
}

// live runs the pod from its start to its end.
func (p *Pod) live(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer p.leaveMemory()
	go p.report(ctx)
	if !p.prepare(ctx) {
		return
	}
	go p.refresh(ctx)
	go p.probe(ctx, p.container.ReadinessProbe, p.setReady)
	go p.probe(ctx, p.container.LivenessProbe, func(alive bool) {
		if !alive && p.running.Load() && !p.Terminating() {
			p.say("liveness probe failed: killed")
			_ = p.process.Kill()
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.keepRunning(ctx)
	}()
	select {
	case <-p.ended:
		p.shutDown()
	case <-ctx.Done(): // Host.Stop
	}
	<-done
	p.setReady(false)
	p.remove(ctx)
}

// prepare makes the container's files, as soon as its volumes can be had.
func (p *Pod) prepare(ctx context.Context) bool {
	for {
		err := p.populate(ctx)
		if err == nil {
			return true
		}
		p.say(err.Error())
		select {
		case <-ctx.Done():
			return false
		case <-p.ended:
			p.remove(ctx)
			return false
		case <-time.After(volumePeriod):
		}
	}
}

// keepRunning starts the container, again and again, until the pod ends.
func (p *Pod) keepRunning(ctx context.Context) {
	for !p.Terminating() && ctx.Err() == nil {
		select {
		case <-p.host.mayStart():
		case <-p.ended:
			return
		case <-ctx.Done():
			return
		}
		if err := p.process.Start(ctx); err != nil {
			p.say(err.Error())
			return
		}
		p.running.Store(true)
		p.touch()
		if p.Terminating() { // It had not started when it was to stop.
			_ = p.process.Kill()
		}
		<-p.process.ended
		p.running.Store(false)
		p.setReady(false)
		if p.Terminating() {
			return
		}
		if p.process.endErr == nil && p.object.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			p.done.Store(true)
			p.touch()
			return
		}
		p.restarts.Add(1)
		p.touch()
		p.backOff(ctx)
	}
}

// backOff waits before a container that has ended is started again; one that Host.Down has killed waits for Up alone.
func (p *Pod) backOff(ctx context.Context) {
	select {
	case <-p.host.mayStart():
	default:
		return
	}
	select {
	case <-ctx.Done():
	case <-p.ended:
	case <-time.After(restartPause):
	}
}

// terminate lets the pod end within the grace period.
func (p *Pod) terminate(graceSeconds int64) {
	p.ending.Do(func() {
		p.grace = time.Duration(graceSeconds) * time.Second
		close(p.ended)
	})
	if graceSeconds == 0 {
		p.kill.Do(func() { close(p.killed) })
	}
}

// shutDown is what a kubelet does with a pod that is deleted: preStop, SIGTERM, and SIGKILL when the grace period is over.
// A container that does not run needs none of it.
func (p *Pod) shutDown() {
	if !p.running.Load() {
		return
	}
	deadline := time.After(p.grace)
	if lifecycle := p.container.Lifecycle; lifecycle != nil && lifecycle.PreStop != nil && lifecycle.PreStop.Sleep != nil {
		select {
		case <-time.After(time.Duration(lifecycle.PreStop.Sleep.Seconds) * time.Second):
		case <-deadline:
		case <-p.killed:
		}
	}
	stopped, err := p.process.signal(syscall.SIGTERM)
	if stopped == nil || err != nil {
		return
	}
	select {
	case <-stopped:
		return
	case <-deadline:
		p.say("the grace period is over: killed")
	case <-p.killed:
	}
	_ = p.process.Kill()
}

// remove deletes the pod from the API, which is how a kubelet says that nothing of it is left.
func (p *Pod) remove(ctx context.Context) {
	zero := int64(0)
	for ctx.Err() == nil {
		err := p.host.cp.Client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &p.object.UID},
		})
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another's by now
			return
		}
		time.Sleep(statusRetry)
	}
}

// say adds a line to the container's log.
func (p *Pod) say(text string) {
	file, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintf(file, "testbed: %s\n", strings.TrimSpace(text))
}
