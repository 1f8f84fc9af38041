package reliability_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/e2e/testbed"
)

func TestAFloodOfLargeReviewsHarmsNoWrite(t *testing.T) {
	const connections, mebibytes, maxResident = 100, 7, 256 << 20
	cluster(t)
	namespace := enabledNamespace(t)
	expectNothingLost(t, namespace, time.Second)
	before := containers()
	ds := daemonSet(t)
	ds.Spec.Template.Spec.Containers[0].Args = []string{strings.Repeat("x", mebibytes<<20)}
	body := review(t, namespace, ds)

	ctx, end := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for i := range connections {
		flood.Go(func() {
			client := newClient()
			for ctx.Err() == nil {
				code, _, err := post(ctx, client, host.Pods()[i%replicas], body)
				mu.Lock()
				if err != nil {
					answers["no answer"]++
				} else {
					answers[http.StatusText(code)]++
				}
				mu.Unlock()
			}
		})
	}
	expectNothingLost(t, namespace, full(10*time.Second, time.Minute))
	end()
	flood.Wait()
	t.Logf("%d connections with reviews of %d MiB got: %v", connections, mebibytes, answers)
	for _, pod := range host.Pods() {
		peak := peakResident(t, pod)
		t.Logf("%s: at most %d MiB resident", pod.Name, peak>>20)
		if peak > maxResident {
			t.Errorf("%s had %d MiB resident, more than %d", pod.Name, peak>>20, maxResident>>20)
		}
	}
	expectSameContainers(t, before)
}

// peakResident is the most memory that a replica has had resident since it started, in bytes.
func peakResident(t *testing.T, pod *testbed.Pod) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pod.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	var kibibytes int
	if _, err := fmt.Sscanf(line, "%d kB", &kibibytes); err != nil {
		t.Fatal(err)
	}
	return kibibytes << 10
}

func TestSlowConnectionsAreReapedAndHarmNoWrite(t *testing.T) {
	const connections, reaped = 1000, 15 * time.Second
	cluster(t)
	namespace := enabledNamespace(t)
	expectNothingLost(t, namespace, time.Second)
	var open atomic.Int32
	var group sync.WaitGroup
	for i := range connections {
		pod := host.Pods()[i%replicas]
		group.Go(func() {
			open.Add(1)
			defer open.Add(-1)
			if err := trickle(t.Context(), pod, i); err != nil {
				t.Error(err)
			}
		})
	}
	expectNothingLost(t, namespace, reaped)
	if n := open.Load(); n > 0 {
		t.Errorf("%d of %d slow connections are still open after %s", n, connections, reaped)
	}
	group.Wait()
}

// trickle opens a connection that never gets on, and returns when the server has closed it: one in three with the
// handshake, one with the header, one with the body.
func trickle(ctx context.Context, pod *testbed.Pod, i int) error {
	head := "POST " + mutatePath + " HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\n"
	config := &tls.Config{InsecureSkipVerify: true}
	if i%3 == 0 {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", pod.Address("webhook"))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, connection)
		return unlessClosed(err)
	}
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", pod.Address("webhook"))
	if err != nil {
		return unlessClosed(err) // it gave way to others of the same address
	}
	defer connection.Close()
	if i%3 == 1 {
		head += "Content-Length: 7340032\r\n\r\n"
	}
	if _, err := io.WriteString(connection, head); err != nil {
		return unlessClosed(err)
	}
	go func() {
		for err := error(nil); err == nil; time.Sleep(200 * time.Millisecond) {
			_, err = io.WriteString(connection, "x")
		}
	}()
	_, err = io.Copy(io.Discard, connection)
	return unlessClosed(err)
}

// unlessClosed forgives the ways in which the other side may close a connection.
func unlessClosed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

func TestAReviewThatInflatesIsNeverStoredUnplaced(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	// JSON would have the client, too, send six bytes for each "<".
	config := rest.CopyConfig(cp.RestConfig)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	denied := 0
	for _, size := range []int{1_300_000, 1_450_000} {
		for _, first := range []int{10, size} { // the old object is in the review of an update, too
			ds := daemonSet(t)
			ds.Name = fmt.Sprintf("inflated-%d-%d", first, size)
			env := &ds.Spec.Template.Spec.Containers[0].Env
			*env = []corev1.EnvVar{{Name: "X", Value: strings.Repeat("<", first)}}
			stored, err := client.AppsV1().DaemonSets(namespace).Create(t.Context(), ds, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !placed(stored) {
				t.Errorf("%s was stored without the nodeSelector", ds.Name)
			}
			(*env)[0].Value = strings.Repeat("<", size-1)
			stored, err = client.AppsV1().DaemonSets(namespace).Update(t.Context(), ds, metav1.UpdateOptions{})
			switch {
			case err != nil && strings.Contains(err.Error(), "larger than 16777216 bytes in a review"):
				denied++
			case err != nil:
				t.Fatal(err)
			case !placed(stored):
				t.Errorf("%s was updated without the nodeSelector", ds.Name)
			}
		}
	}
	if denied == 0 {
		t.Error("no review was beyond the limit of its size: nothing was shown")
	}
	t.Logf("%d updates were denied for the size of their review", denied)
}
