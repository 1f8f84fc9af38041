package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	writers = 4
	// busy and gentle are when a writer writes again: 160 writes a second in all, where the machine can, and 20.
	busy, gentle = 25 * time.Millisecond, 200 * time.Millisecond
	// createEvery is how many of a writer's writes make one create; the others are updates.
	createEvery = 10
)

// load writes DaemonSets through the API server until it is stopped, all without the nodeSelector that berth has to add.
type load struct {
	namespace string
	pace      time.Duration
	end       context.CancelFunc
	group     sync.WaitGroup
	began     time.Time

	mu     sync.Mutex
	counts counts
}

// counts is what came of the writes of a load.
type counts struct {
	Written, Unmutated int
	// Failed is the errors, with how often each came.
	Failed map[string]int
}

func startLoad(t *testing.T, namespace string) *load {
	t.Helper()
	return startLoadAt(t, namespace, busy)
}

func startLoadAt(t *testing.T, namespace string, pace time.Duration) *load {
	t.Helper()
	// What is being written when the load ends is still counted: only the next write is not made.
	ending, end := context.WithCancel(t.Context())
	l := &load{namespace: namespace, pace: pace, end: end, began: time.Now(), counts: counts{Failed: map[string]int{}}}
	for writer := range writers {
		ds := daemonSet(t)
		ds.Name = "ds-" + strconv.Itoa(writer)
		l.group.Go(func() { l.write(ending, ds) })
	}
	return l
}

func (l *load) write(ending context.Context, ds *appsv1.DaemonSet) {
	ctx := context.WithoutCancel(ending)
	client := cp.Client.AppsV1().DaemonSets(l.namespace)
	ticker := time.NewTicker(l.pace)
	defer ticker.Stop()
	for i := 0; ending.Err() == nil; i++ {
		ds.Labels = map[string]string{"turn": strconv.Itoa(i)}
		if i%createEvery == 0 {
			if err := client.Delete(ctx, ds.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				l.count(nil, fmt.Errorf("delete: %w", err))
			}
		}
		stored, err := client.Update(ctx, ds, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			stored, err = client.Create(ctx, ds, metav1.CreateOptions{})
		}
		l.count(stored, err)
		<-ticker.C
	}
}

func (l *load) count(stored *appsv1.DaemonSet, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.counts.Failed[firstLine(err)]++
		return
	}
	l.counts.Written++
	if !placed(stored) {
		l.counts.Unmutated++
	}
}

// written is the successful writes so far.
func (l *load) written() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.Written
}

// stop ends the load and says what came of it, the DaemonSets that are stored in the end included.
func (l *load) stop(t *testing.T) counts {
	t.Helper()
	l.end()
	l.group.Wait()
	stored, err := cp.Client.AppsV1().DaemonSets(l.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range stored.Items {
		if !placed(&stored.Items[i]) {
			l.counts.Unmutated++
		}
	}
	t.Logf("%d writes in %s, %d failed", l.counts.Written, time.Since(l.began).Round(time.Second), l.counts.failures())
	return l.counts
}

func (c *counts) failures() int {
	n := 0
	for _, times := range c.Failed {
		n += times
	}
	return n
}

// expectNothingLost fails unless every write succeeded, and with the nodeSelector.
func (c *counts) expectNothingLost(t *testing.T) {
	t.Helper()
	c.expectNothingUnmutated(t)
	c.expectNothingFailed(t)
}

// expectNothingFailed fails unless every write succeeded.
func (c *counts) expectNothingFailed(t *testing.T) {
	t.Helper()
	for _, message := range slices.Sorted(maps.Keys(c.Failed)) {
		t.Errorf("%d writes failed: %s", c.Failed[message], message)
	}
}

// expectNothingUnmutated fails when a write was stored that berth has not seen.
func (c *counts) expectNothingUnmutated(t *testing.T) {
	t.Helper()
	if c.Written == 0 {
		t.Error("nothing was written")
	}
	if c.Unmutated > 0 {
		t.Errorf("%d DaemonSets were stored without the nodeSelector", c.Unmutated)
	}
}

func placed(ds *appsv1.DaemonSet) bool { return ds.Spec.Template.Spec.NodeSelector["app"] == "example" }

// fromPort is in errors of connections the port that each has another of.
var fromPort = regexp.MustCompile(`:\d+->`)

// firstLine is enough of an error to tell it from others.
func firstLine(err error) string {
	var status *apierrors.StatusError
	if errors.As(err, &status) && status.ErrStatus.Code != 0 {
		return fmt.Sprintf("%d %s", status.ErrStatus.Code, fromPort.ReplaceAllString(status.ErrStatus.Message, "->"))
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// daemonSet is the tutorial's. No node has its label, so it gets no pods.
func daemonSet(t *testing.T) *appsv1.DaemonSet {
	t.Helper()
	manifest, err := os.ReadFile("../testdata/tutorial.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ds := &appsv1.DaemonSet{}
	if err := yaml.UnmarshalStrict(manifest, ds); err != nil {
		t.Fatal(err)
	}
	return ds
}

// enabledNamespace makes a namespace that is in the scope of the policy own-label, which berth knows of.
func enabledNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "reliability-", Labels: map[string]string{"berth.dev/placement": "enabled"},
	}}
	created, err := cp.Client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created.Name
}
