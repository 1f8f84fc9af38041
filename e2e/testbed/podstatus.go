package testbed

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func (p *Pod) setReady(ready bool) {
	if p.ready.Swap(ready) != ready {
		p.touch()
	}
}

// touch asks for the status to be written.
func (p *Pod) touch() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// report writes the pod's status, until it has been written.
func (p *Pod) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		}
		patch, err := json.Marshal(map[string]any{"status": p.status()})
		if err == nil {
			_, err = p.host.cp.Client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		}
		if err != nil && !apierrors.IsNotFound(err) {
			p.say(err.Error())
			time.Sleep(statusRetry)
			p.touch()
		}
	}
}

func (p *Pod) status() corev1.PodStatus {
	ready, now := p.ready.Load(), metav1.Now()
	condition := func(kind corev1.PodConditionType, is bool) corev1.PodCondition {
		status := corev1.ConditionFalse
		if is {
			status = corev1.ConditionTrue
		}
		return corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: now}
	}
	container := corev1.ContainerStatus{
		Name: p.container.Name, Image: p.container.Image, Ready: ready, RestartCount: p.restarts.Load(),
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
	}
	if p.running.Load() {
		container.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	}
	phase := corev1.PodRunning
	if p.done.Load() {
		phase = corev1.PodSucceeded
		container.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: now}}
	}
	return corev1.PodStatus{
		Phase: phase, HostIP: "10.2.0.1", PodIP: p.IP, PodIPs: []corev1.PodIP{{IP: p.IP}}, StartTime: &now,
		Conditions: []corev1.PodCondition{
			condition(corev1.PodInitialized, true), condition(corev1.ContainersReady, ready), condition(corev1.PodReady, ready),
		},
		ContainerStatuses: []corev1.ContainerStatus{container},
	}
}
