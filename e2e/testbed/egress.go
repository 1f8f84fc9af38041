package testbed

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Egress is how an API server outside the cluster's network reaches Services: through a proxy, as with Konnectivity. It
// connects to the ClusterIP and expects the Service's name in the certificate, and the proxy leads to this machine.
type Egress struct {
	// APIServerFlag makes kube-apiserver use the proxy.
	APIServerFlag string

	address atomic.Pointer[string]
}

const egressConfiguration = `
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
  - name: cluster
    connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %s}}}
`

// StartEgress starts the proxy, with its files in a folder, for as long as this process lives.
func StartEgress(folder string) (*Egress, error) {
	socket, configuration := filepath.Join(folder, "egress.sock"), filepath.Join(folder, "egress.yaml")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, egressConfiguration, socket), 0o600); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("start the egress proxy: %w", err)
	}
	e := &Egress{APIServerFlag: "--egress-selector-config-file=" + configuration}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go e.connect(client)
		}
	}()
	return e, nil
}

// To says where the Services are from now on.
func (e *Egress) To(address string) { e.address.Store(&address) }

func (e *Egress) connect(client net.Conn) {
	// The client sends nothing more before it has the answer, so that nothing is left in the buffer.
	request, err := http.ReadRequest(bufio.NewReader(client))
	address := e.address.Load()
	if err != nil || request.Method != http.MethodConnect || address == nil {
		_, _ = io.WriteString(client, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		_ = client.Close()
		return
	}
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		_ = client.Close()
		return
	}
	forward(client, []string{*address}, 0)
}
