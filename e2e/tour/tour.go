package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"berth.dev/berth/e2e/testbed"
)

const (
	nodeCount = 6
	daemonSet = "example-daemonset"
	tutorial  = "e2e/testdata/tutorial.yaml"
	malformed = "e2e/testdata/malformed.yaml"
	elsewhere = "e2e/testdata/elsewhere.yaml"
)

// tour is the walk through berth's main job. Each step checks what it shows.
type tour struct {
	cp        *testbed.ControlPlane
	berth     *testbed.Berth
	namespace string
}

func (t *tour) show(ctx context.Context) error {
	steps := []func(context.Context) error{
		t.startBerth, t.createNodes, t.labelTwoNodes, t.openNamespace, t.applyTutorial,
		t.labelThirdNode, t.taintWhatIf, t.explainNode, t.checkBefore, t.applyMalformed, t.applyElsewhere, t.drawMap,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *tour) startBerth(ctx context.Context) error {
	began := time.Now()
	fmt.Fprintln(os.Stderr, "  building berth, which takes minutes the first time, and starting it")
	var err error
	if t.berth, err = t.cp.StartBerth(ctx, testbed.BerthOptions{}); err != nil {
		return err
	}
	done("berth", "deploy/berth.yaml applied, webhooks in force", began)
	return nil
}

func (t *tour) createNodes(ctx context.Context) error {
	began := time.Now()
	if err := t.cp.CreateNodes(ctx, nodeCount); err != nil {
		return err
	}
	done("nodes", fmt.Sprintf("n-1 to n-%d are ready", nodeCount), began)
	return nil
}

func (t *tour) labelTwoNodes(ctx context.Context) error {
	heading("Two of the six nodes get a label.")
	return t.kubectl(ctx, "label", "nodes", "n-2", "n-5", "app=example")
}

func (t *tour) openNamespace(ctx context.Context) error {
	heading("A namespace asks for berth.")
	if err := t.kubectl(ctx, "create", "namespace", t.namespace); err != nil {
		return err
	}
	if err := t.kubectl(ctx, "label", "namespace", t.namespace, "berth.dev/placement=enabled"); err != nil {
		return err
	}
	return t.awaitPlacement(ctx)
}

// awaitPlacement waits until berth's watch has brought it the label. It takes milliseconds, but is no certainty.
func (t *tour) awaitPlacement(ctx context.Context) error {
	query := []string{"apply", "-n", t.namespace, "-f", tutorial, "--dry-run=server", "-o", "jsonpath={.spec.template.spec.nodeSelector}"}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		stdout, _, err := t.cp.Kubectl(ctx, "", query...)
		return stdout != "", err
	})
}

func (t *tour) applyTutorial(ctx context.Context) error {
	heading("The DaemonSet of the tutorial: its selector says app=example, and no more.")
	if err := t.kubectl(ctx, "apply", "-n", t.namespace, "-f", tutorial); err != nil {
		return err
	}
	printText("\nberth has put that label into the pod template:")
	query := []string{"get", "daemonset", daemonSet, "-n", t.namespace, "-o", "jsonpath={.spec.template.spec.nodeSelector}"}
	prompt("kubectl", query)
	stdout, _, err := t.cp.Kubectl(ctx, "", query...)
	if err != nil {
		return err
	}
	printText(stdout)
	if want := `{"app":"example"}`; stdout != want {
		return fmt.Errorf("the nodeSelector is %q: it should be %s", stdout, want)
	}
	printText("\nSo it runs on those two nodes. (Without berth: on all six.)")
	return t.showPods(ctx, "n-2", "n-5")
}

func (t *tour) labelThirdNode(ctx context.Context) error {
	heading("A third node gets the label.")
	if err := t.kubectl(ctx, "label", "nodes", "n-6", "app=example"); err != nil {
		return err
	}
	return t.showPods(ctx, "n-2", "n-5", "n-6")
}

func (t *tour) applyMalformed(ctx context.Context) error {
	heading("A DaemonSet that contradicts itself is rejected, with the field and the cure.")
	args := []string{"apply", "-n", t.namespace, "-f", malformed}
	prompt("kubectl", args)
	_, stderr, err := t.cp.Kubectl(ctx, "", args...)
	printText(strings.TrimSpace(stderr))
	if err == nil {
		return errors.New("the malformed DaemonSet was accepted")
	}
	if field := "spec.template.spec.nodeSelector[app]"; !strings.Contains(stderr, field) {
		return fmt.Errorf("the rejection does not name %s", field)
	}
	return nil
}

func (t *tour) applyElsewhere(ctx context.Context) error {
	heading("A label that no node has is accepted (nodes may come later), with a warning.")
	args := []string{"apply", "-n", t.namespace, "-f", elsewhere}
	prompt("kubectl", args)
	stdout, stderr, err := t.cp.Kubectl(ctx, "", args...)
	printText(strings.TrimSpace(stderr + stdout))
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("Warning: matches 0 of %d nodes", nodeCount); !strings.Contains(stderr, want) {
		return fmt.Errorf("there was no %q", want)
	}
	return nil
}

// handOver says how to go on.
func (t *tour) handOver() {
	heading("Now you. In a second terminal, in this folder:")
	printText("  export KUBECONFIG=" + t.cp.Kubeconfig)
	printText("  export PATH=" + t.cp.Bin + ":$PATH")
	printText("  kubectl get daemonsets,pods -n " + t.namespace + " -o wide")
	printText("\nThe nodes are KWOK's: pods are scheduled and run, but no container does, those of the Deployment berth included.")
	printText("The berth that answers is a process of this command. The logs are in " + t.cp.Dir() + ".")
	printText("Ctrl-C here takes everything down.")
}

// kubectl shows a command and what it said.
func (t *tour) kubectl(ctx context.Context, args ...string) error {
	prompt("kubectl", args)
	stdout, stderr, err := t.cp.Kubectl(ctx, "", args...)
	if err != nil {
		return err
	}
	printText(strings.TrimSpace(stderr + stdout))
	return nil
}

// showPods waits until the DaemonSet has settled on the nodes and shows where its pods are.
func (t *tour) showPods(ctx context.Context, want ...string) error {
	var pods map[string]*corev1.Pod
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		ds, err := t.cp.Client.AppsV1().DaemonSets(t.namespace).Get(ctx, daemonSet, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if pods, err = t.podsByNode(ctx); err != nil {
			return false, err
		}
		return settled(ds, len(pods)) && len(pods) == len(want), nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	nodes, listErr := t.cp.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if listErr != nil {
		return listErr
	}
	table(nodes.Items, pods)
	if err != nil {
		return fmt.Errorf("%s has pods on %d nodes: it should be %d", daemonSet, len(pods), len(want))
	}
	for node := range pods {
		if !slices.Contains(want, node) {
			return fmt.Errorf("%s has a pod on %s, which has no label for it", daemonSet, node)
		}
	}
	return nil
}

// settled means that the controller has seen this DaemonSet and all of its pods are ready.
func settled(ds *appsv1.DaemonSet, pods int) bool {
	status := ds.Status
	return status.ObservedGeneration == ds.Generation &&
		int(status.DesiredNumberScheduled) == pods && int(status.NumberReady) == pods && status.NumberMisscheduled == 0
}

func (t *tour) podsByNode(ctx context.Context) (map[string]*corev1.Pod, error) {
	list, err := t.cp.Client.CoreV1().Pods(t.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=example"})
	if err != nil {
		return nil, err
	}
	pods := map[string]*corev1.Pod{}
	for i := range list.Items {
		pods[list.Items[i].Spec.NodeName] = &list.Items[i]
	}
	return pods, nil
}
