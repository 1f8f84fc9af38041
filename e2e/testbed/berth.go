package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// BerthOptions says which berth to start; the zero value builds cmd/berth.
type BerthOptions struct {
	// Binary is the berth to run; empty: build it.
	Binary string
	// Args are added to those of berth serve.
	Args []string
}

// Berth is a running berth that the API server calls. Its Process can be killed and started again.
type Berth struct {
	*Process

	// Binary is what runs.
	Binary string
	// Address is where the webhooks are served, MetricsAddress where the metrics are: 127.0.0.1:PORT.
	Address, MetricsAddress string
	// CABundle signed the serving certificate, PEM.
	CABundle []byte
}

// StartBerth applies deploy/berth.yaml, runs berth with the rights of its own ServiceAccount and a certificate that is made
// here, and returns when the API server calls it. A Host runs it as its Deployment says.
func (cp *ControlPlane) StartBerth(ctx context.Context, options BerthOptions) (*Berth, error) {
	if err := cp.build(ctx, &options); err != nil {
		return nil, err
	}
	berth, err := cp.defineBerth("berth", options)
	if err != nil {
		return nil, err
	}
	webhooks, err := cp.install(ctx, berth.Address, berth.CABundle)
	if err != nil {
		return nil, err
	}
	if err := berth.Start(ctx); err != nil {
		return nil, err
	}
	if err := berth.WaitReady(ctx); err != nil {
		return nil, err
	}
	return berth, cp.register(ctx, webhooks)
}

// StartBerthBeside runs one more berth with the rights of the first, under another name. The API server does not call it.
func (cp *ControlPlane) StartBerthBeside(ctx context.Context, name string, options BerthOptions) (*Berth, error) {
	if err := cp.build(ctx, &options); err != nil {
		return nil, err
	}
	berth, err := cp.defineBerth(name, options)
	if err != nil {
		return nil, err
	}
	if err := berth.Start(ctx); err != nil {
		return nil, err
	}
	return berth, berth.WaitReady(ctx)
}

// install applies everything but the webhook configurations, which it returns, and writes berth's kubeconfig.
func (cp *ControlPlane) install(ctx context.Context, address string, caBundle []byte) (webhooks string, err error) {
	documents, err := readManifests(cp.root, address, caBundle)
	if err != nil {
		return "", err
	}
	if err := cp.apply(ctx, documents.base); err != nil {
		return "", err
	}
	if _, _, err := cp.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinition/placementpolicies.berth.dev"); err != nil {
		return "", err
	}
	if err := cp.apply(ctx, documents.policies); err != nil {
		return "", err
	}
	return documents.webhooks, cp.writeTokenKubeconfig(ctx)
}

// build makes sure that there is a berth to run.
func (cp *ControlPlane) build(ctx context.Context, options *BerthOptions) error {
	if options.Binary != "" {
		return nil
	}
	options.Binary = cp.path("berth")
	return buildBerth(ctx, cp.root, options.Binary)
}

// buildBerth builds the binary that the image holds.
func buildBerth(ctx context.Context, root, output string) error {
	cmd := exec.CommandContext(ctx, "make", "build", "BINARY="+output)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build berth: %w\n%s", err, out)
	}
	return nil
}

// defineBerth makes the command line and the serving certificate of a berth with this name.
func (cp *ControlPlane) defineBerth(name string, options BerthOptions) (*Berth, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	address := func(i int) string { return "127.0.0.1:" + strconv.Itoa(ports[i]) }
	// A CA of its own: the API server must trust berth by the caBundle and by nothing else.
	authority, err := newAuthority(cp.dir, name+"-webhook")
	if err != nil {
		return nil, err
	}
	serving, err := authority.server(name + "-serving")
	if err != nil {
		return nil, err
	}
	berth := &Berth{Binary: options.Binary, Address: address(0), MetricsAddress: address(2), CABundle: authority.bundle}
	berth.Process = cp.define(name, cp.get("http://"+address(1)+"/readyz"), append([]string{
		"serve",
		"--kubeconfig=" + cp.kubeconfigOf("berth"),
		"--webhook-bind-address=" + berth.Address,
		"--health-probe-bind-address=" + address(1),
		"--metrics-bind-address=" + berth.MetricsAddress,
		// A Pod knows its namespace; here it has to be said.
		"--leader-election-namespace=berth-system",
		"--tls-cert-file=" + serving.cert,
		"--tls-private-key-file=" + serving.key,
	}, options.Args...)...)
	berth.path = options.Binary
	berth.env = append(os.Environ(), "POD_NAME="+name+"-0") // Started again, it is the same replica.
	return berth, nil
}

// writeTokenKubeconfig asks for a token as a Pod of berth would get it, so that berth has the rights that its roles
// give and no others.
func (cp *ControlPlane) writeTokenKubeconfig(ctx context.Context) error {
	seconds := int64(lifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := cp.Client.CoreV1().ServiceAccounts("berth-system").CreateToken(ctx, "berth", request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("get a token for berth: %w", err)
	}
	return cp.writeKubeconfig(cp.kubeconfigOf("berth"), &clientcmdapi.AuthInfo{Token: answer.Status.Token})
}

// register applies the webhook configurations and waits until they are in force: the API server learns of them through
// an informer, so the first writes after them may still pass by berth.
func (cp *ControlPlane) register(ctx context.Context, webhooks string) error {
	before, err := cp.webhookCalls(ctx)
	if err != nil {
		return err
	}
	if err := cp.apply(ctx, webhooks); err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyWithin, true, func(ctx context.Context) (bool, error) {
		_, last = cp.Client.AppsV1().DaemonSets(metav1.NamespaceDefault).Create(ctx, probe(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if last != nil {
			return false, nil
		}
		after, err := cp.webhookCalls(ctx)
		if err != nil {
			return false, err
		}
		for _, name := range []string{"mutate.berth.dev", "validate.berth.dev"} {
			if after[name] <= before[name] {
				last = fmt.Errorf("kube-apiserver has not called %s", name)
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the webhooks to be in force: %w (last: %w)", err, last)
	}
	return nil
}

// probe is a DaemonSet that is only ever dry-run.
func probe() *appsv1.DaemonSet {
	labels := map[string]string{"app": "berth-testbed-probe"}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "berth-testbed-probe"}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Spec.Template.Labels = labels
	ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "probe", Image: "probe"}}
	return ds
}

var webhookCall = regexp.MustCompile(`(?m)^apiserver_admission_webhook_request_total\{.*\bname="([^"]+)".*\} (\d+)$`)

// webhookCalls counts the calls that kube-apiserver made, by webhook.
func (cp *ControlPlane) webhookCalls(ctx context.Context) (map[string]int, error) {
	metrics, err := cp.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read kube-apiserver's metrics: %w", err)
	}
	calls := map[string]int{}
	for _, match := range webhookCall.FindAllSubmatch(metrics, -1) {
		n, err := strconv.Atoi(string(match[2]))
		if err != nil {
			return nil, err
		}
		calls[string(match[1])] += n
	}
	return calls, nil
}

func (cp *ControlPlane) apply(ctx context.Context, documents string) error {
	_, _, err := cp.Kubectl(ctx, documents, "apply", "--filename=-")
	return err
}
