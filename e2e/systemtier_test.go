package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// answerer is who the API server calls in one phase of the system tier: berth, or somebody who never answers.
type answerer struct {
	address string
	called  func(t *testing.T) float64
}

// nobody takes connections and says nothing on them, as a replica whose node has died seems to.
func nobody(t *testing.T) answerer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var calls atomic.Int64
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			context := t.Context()
			go func() {
				<-context.Done()
				_ = connection.Close()
			}()
		}
	}()
	return answerer{listener.Addr().String(), func(*testing.T) float64 { return float64(calls.Load()) }}
}

func berthItself(webhook string) answerer {
	return answerer{berth.Address, func(t *testing.T) float64 {
		t.Helper()
		return metric(t, "berth_admission_requests_total", fmt.Sprintf("webhook=%q", webhook))
	}}
}

// registerSystemTier registers the system tier of the chart, and nothing else of it, until the test ends.
func registerSystemTier(t *testing.T, mutating, validating answerer) {
	t.Helper()
	rendered, _, err := cp.Helm(t.Context(), "template", "berth", "deploy/chart", "--namespace=berth-system", "--set=webhook.system.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		to := map[any]answerer{"MutatingWebhookConfiguration": mutating, "ValidatingWebhookConfiguration": validating}[object["kind"]]
		if to.address == "" {
			continue
		}
		if object["metadata"].(map[string]any)["name"] != "berth-system" {
			continue
		}
		webhook := object["webhooks"].([]any)[0].(map[string]any)
		path := webhook["clientConfig"].(map[string]any)["service"].(map[string]any)["path"]
		webhook["clientConfig"] = map[string]any{"url": fmt.Sprintf("https://%s%s", to.address, path), "caBundle": base64.StdEncoding.EncodeToString(berth.CABundle)}
		object["webhooks"], object["metadata"] = []any{webhook}, map[string]any{"name": "system-tier"}
		manifest, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		kubectl(t, string(manifest), "apply", "-f", "-")
	}
	t.Cleanup(func() {
		if _, _, err := cp.Kubectl(bare(), "", "delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "system-tier"); err != nil {
			t.Error(err)
		}
	})
	before := []float64{mutating.called(t), validating.called(t)}
	waitFor(t, "the system tier to be in force", func() (bool, string) {
		ds := systemDaemonSets(t)[0]
		_, err := cp.Client.AppsV1().DaemonSets(ds.Namespace).Create(t.Context(), ds, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && mutating.called(t) > before[0] && validating.called(t) > before[1], fmt.Sprint(err)
	})
}

// systemDaemonSets are a whole control plane's worth, the first of them aws-node. Their namespaces are there.
func systemDaemonSets(t *testing.T) (all []*appsv1.DaemonSet) {
	t.Helper()
	for document := range strings.SplitSeq(readFile(t, "testdata/system.yaml"), "\n---\n") {
		ds := parse(t, document)
		all = append(all, ds)
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ds.Namespace}}
		if _, err := cp.Client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	return all
}

// createAll creates DaemonSets at the same time, says how many were stored and how long the slowest took, and deletes them
// when the test ends.
func createAll(t *testing.T, all []*appsv1.DaemonSet) (stored int, slowest time.Duration) {
	t.Helper()
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, ds := range all {
		group.Go(func() {
			began := time.Now()
			_, err := cp.Client.AppsV1().DaemonSets(ds.Namespace).Create(t.Context(), ds, metav1.CreateOptions{})
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
			if err != nil {
				t.Errorf("%s: %v", ds.Name, err)
				return
			}
			stored++
		})
	}
	group.Wait()
	t.Cleanup(func() {
		for _, ds := range all {
			if err := cp.Client.AppsV1().DaemonSets(ds.Namespace).Delete(bare(), ds.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	return stored, slowest
}

// avoidsVirtualNodes says whether a DaemonSet has what the policy no-virtual-nodes requires.
func avoidsVirtualNodes(ds *appsv1.DaemonSet) bool {
	return strings.Contains(ds.Annotations[injectedAnnotation], "no-virtual-nodes") && ds.Spec.Template.Spec.Affinity != nil
}

func TestTheSystemTierComesUpWhoeverAnswersAndIsPlacedWhereBerthDoes(t *testing.T) {
	kubectl(t, readFile(t, shippedPolicies+"no-virtual-nodes.yaml"), "apply", "-f", "-")
	t.Cleanup(func() { deletePolicy(t, "no-virtual-nodes") })
	berthKnows(t)
	mutates, validates := func(*testing.T) answerer { return berthItself("mutate") }, func(*testing.T) answerer { return berthItself("validate") }
	for _, test := range []struct {
		name                 string
		mutating, validating func(*testing.T) answerer
		placed               bool
	}{
		{"berth answers", mutates, validates, true},
		{"nobody answers", nobody, nobody, false},
		{"only the validating call comes through", nobody, validates, false},
		{"only the mutating call comes through", mutates, nobody, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			registerSystemTier(t, test.mutating(t), test.validating(t))
			all := systemDaemonSets(t)
			stored, slowest := createAll(t, all)
			if stored != len(all) || stored < 16 {
				t.Errorf("%d of %d DaemonSets were stored", stored, len(all))
			}
			t.Logf("%d DaemonSets stored, none denied; the slowest write took %s", stored, slowest.Round(10*time.Millisecond))
			for _, ds := range all {
				got := get(t, ds.Namespace, ds.Name)
				if avoidsVirtualNodes(got) != test.placed {
					t.Errorf("%s: placed by berth %v, not %v: %v", ds.Name, !test.placed, test.placed, got.Annotations)
				}
				waitFor(t, "pods of "+ds.Name, func() (bool, string) {
					status := get(t, ds.Namespace, ds.Name).Status
					return status.DesiredNumberScheduled == int32(len(allNodes)) && status.NumberReady == status.DesiredNumberScheduled, fmt.Sprintf("%+v", status)
				})
			}
		})
	}
}

func TestTheSystemTierIsAskedNeitherAboutBerthsNamespaceNorAboutTheOrdinaryOnes(t *testing.T) {
	hole := nobody(t)
	registerSystemTier(t, hole, hole)
	before := hole.called(t)
	ordinary := newNamespace(t, nil)
	create(t, "berth-system", agent("priorityClassName: system-node-critical"))
	t.Cleanup(func() {
		if err := cp.Client.AppsV1().DaemonSets("berth-system").Delete(bare(), "agent", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	create(t, ordinary, agent(""))
	if now := hole.called(t); now != before {
		t.Errorf("it was called %v times", now-before)
	}
}

func TestWhatTheSystemTierMissedIsAWarningAndThePlacementComesWithTheNextChange(t *testing.T) {
	kubectl(t, readFile(t, shippedPolicies+"no-virtual-nodes.yaml"), "apply", "-f", "-")
	t.Cleanup(func() { deletePolicy(t, "no-virtual-nodes") })
	berthKnows(t)
	manifest := withMetadata(agent(""), "namespace: kube-system")
	t.Cleanup(func() {
		if err := cp.Client.AppsV1().DaemonSets(metav1.NamespaceSystem).Delete(bare(), "agent", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("missed", func(t *testing.T) {
		registerSystemTier(t, nobody(t), berthItself("validate"))
		got := create(t, metav1.NamespaceSystem, manifest)
		want := "Warning: stored without what policies require: berth was not asked in time; the next change of the pod template adds it\n"
		if got != want {
			t.Errorf("kubectl said %q, not %q", got, want)
		}
	})
	t.Run("made up for", func(t *testing.T) {
		registerSystemTier(t, berthItself("mutate"), berthItself("validate"))
		kubectl(t, "", "-n", metav1.NamespaceSystem, "rollout", "restart", "daemonset/agent")
		if ds := get(t, metav1.NamespaceSystem, "agent"); !avoidsVirtualNodes(ds) {
			t.Errorf("it is not placed: %v", ds.Annotations)
		}
	})
}
