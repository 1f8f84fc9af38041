package testbed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// writeCredentials makes what the programs need to trust and to know each other.
func (cp *ControlPlane) writeCredentials() error {
	if _, err := cp.certs.server("serving"); err != nil {
		return err
	}
	if _, _, err := cp.certs.serviceAccountKey(); err != nil {
		return err
	}
	users := []struct {
		name, user string
		groups     []string
	}{
		{"admin", AdminUser, []string{"system:masters"}},
		{"kube-controller-manager", "system:kube-controller-manager", nil},
		{"kube-scheduler", "system:kube-scheduler", nil},
		// KWOK stands for every kubelet at once, and no role of Kubernetes' own allows that.
		{"kwok", "kwok", []string{"system:masters"}},
	}
	for _, u := range users {
		if err := cp.certificateKubeconfig(u.name, u.user, u.groups...); err != nil {
			return err
		}
	}
	cp.Kubeconfig = cp.kubeconfigOf("admin")
	return nil
}

func (cp *ControlPlane) adminConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 500, 1000
	config.UserAgent = "berth-testbed"
	config.WarningHandler = rest.NoWarnings{} // kubectl shows the warnings that matter
	return config, nil
}

func (cp *ControlPlane) defineProcesses(ports []int, apiServerFlags []string) {
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	port := func(i int) string { return strconv.Itoa(ports[i]) }

	cp.Etcd = cp.define("etcd", cp.get("http://"+address(0)+"/readyz"),
		"--name=testbed",
		"--data-dir="+cp.path("etcd"),
		"--listen-client-urls=http://"+address(0),
		"--advertise-client-urls=http://"+address(0),
		"--listen-peer-urls=http://127.0.0.1:0",
		"--unsafe-no-fsync",
	)
	cp.APIServer = cp.define("kube-apiserver", cp.apiServerReady, append([]string{
		"--etcd-servers=http://" + address(0),
		"--bind-address=127.0.0.1",
		"--secure-port=" + port(1),
		// A loopback address is no endpoint for the kubernetes Service; without this kube-apiserver does not start.
		"--endpoint-reconciler-type=none",
		"--advertise-address=192.0.2.1", // of no use to anybody, but it must not look for one: a network namespace has none
		"--tls-cert-file=" + cp.path("serving.crt"),
		"--tls-private-key-file=" + cp.path("serving.key"),
		"--client-ca-file=" + cp.certs.file(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + cp.path("sa.pub"),
		"--service-account-signing-key-file=" + cp.path("sa.key"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--allow-privileged=true",
		"--shutdown-delay-duration=0s",
	}, apiServerFlags...)...)
	serving := func(i int) []string {
		return []string{
			"--bind-address=127.0.0.1",
			"--secure-port=" + port(i),
			"--tls-cert-file=" + cp.path("serving.crt"),
			"--tls-private-key-file=" + cp.path("serving.key"),
			"--leader-elect=false",
		}
	}
	cp.ControllerManager = cp.define("kube-controller-manager", cp.get("https://"+address(2)+"/healthz"), append(serving(2),
		"--kubeconfig="+cp.kubeconfigOf("kube-controller-manager"),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+cp.path("sa.key"),
		"--root-ca-file="+cp.certs.file(),
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	)...)
	cp.Scheduler = cp.define("kube-scheduler", cp.get("https://"+address(3)+"/healthz"), append(serving(3),
		"--kubeconfig="+cp.kubeconfigOf("kube-scheduler"),
	)...)
	cp.KWOK = cp.define("kwok", cp.get("http://"+address(4)+"/healthz"),
		"--kubeconfig="+cp.kubeconfigOf("kwok"),
		"--config="+filepath.Join(cp.Bin, "kwok-stages.yaml"),
		"--manage-nodes-with-annotation-selector="+nodeAnnotation+"="+nodeAnnotationValue,
		// Without leases the node lifecycle controller takes the nodes for dead and taints them.
		"--node-lease-duration-seconds=40",
		"--server-address="+address(4),
	)
}

// define adds a program to those that Stop ends.
func (cp *ControlPlane) define(name string, ready func(context.Context) error, args ...string) *Process {
	p := &Process{Name: name, Log: cp.path(name + ".log"), path: filepath.Join(cp.Bin, name), args: args, ready: ready}
	cp.owned = append(cp.owned, p)
	return p
}

func (cp *ControlPlane) apiServerReady(ctx context.Context) error {
	return cp.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// get is a readiness check: an answer of 200 from the address.
func (cp *ControlPlane) get(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(cp.certs.bundle)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return nil
		}
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
}
