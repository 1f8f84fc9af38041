package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// ErrNoNetwork is why there is no Host: this machine gives no network namespace.
var ErrNoNetwork = errors.New("no network namespace of its own (needs Linux, and root or unprivileged user namespaces)")

// serviceProxy does for the ClusterIP of a Service what kube-proxy's rules do: each new connection goes to one of the
// ready endpoints, at random; with none ready, to one that terminates and still serves; with none at all it is refused.
// A connection stays where it is when its endpoint is gone from the Service, as the kernel's connection tracking has it.
type serviceProxy struct {
	listener net.Listener
	endpoint func() (address string)
	open     sync.WaitGroup
	cut      atomic.Bool
	mu       sync.Mutex
	clients  map[net.Conn]bool
}

// proxy listens on the address and passes each connection on to the endpoint of the moment; "" refuses it.
func proxy(address string, endpoint func() string) (*serviceProxy, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("stand for a Service: %w", err)
	}
	p := &serviceProxy{listener: listener, endpoint: endpoint, clients: map[net.Conn]bool{}}
	go p.accept()
	return p, nil
}

func (p *serviceProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.open.Go(func() { p.forward(client.(*net.TCPConn)) })
	}
}

func (p *serviceProxy) forward(client *net.TCPConn) {
	defer client.Close()
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	server, err := net.Dial("tcp", p.endpoint())
	if err != nil {
		_ = client.SetLinger(0) // The client gets a reset, as from a port where nobody listens.
		return
	}
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(client, server)
		_ = client.CloseWrite()
	}()
	_, _ = io.Copy(server, client)
	_ = server.(*net.TCPConn).CloseWrite()
	<-answered
}

func (p *serviceProxy) keep(client *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut.Load() {
		_ = client.SetLinger(0)
		return false
	}
	p.clients[client] = true
	return true
}

func (p *serviceProxy) drop(client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.clients, client)
}

// Cut ends every connection and refuses new ones until Restore.
func (p *serviceProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut.Store(true)
	for client := range p.clients {
		_ = client.(*net.TCPConn).SetLinger(0)
		_ = client.Close()
	}
}

// Restore takes connections again.
func (p *serviceProxy) Restore() { p.cut.Store(false) }

func (p *serviceProxy) stop() error { return p.listener.Close() }

// pick says where a connection to a Service's port goes: IP:PORT, or "" for nowhere.
func (h *Host) pick(namespace, service, port string) string {
	ready, terminating := h.addresses(namespace, service, port)
	for _, some := range [][]string{ready, terminating} {
		if len(some) > 0 {
			return some[rand.IntN(len(some))]
		}
	}
	return ""
}

// Endpoints are the ready ones of a Service's port, IP:PORT, sorted.
func (h *Host) Endpoints(namespace, service, port string) []string {
	ready, _ := h.addresses(namespace, service, port)
	slices.Sort(ready)
	return ready
}

func (h *Host) addresses(namespace, service, port string) (ready, terminating []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.endpointSlices {
		slice := &h.endpointSlices[i]
		if slice.Namespace != namespace || slice.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		for _, p := range slice.Ports {
			if p.Name == nil || *p.Name != port || p.Port == nil {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				address := net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*p.Port)))
				switch c := endpoint.Conditions; {
				case is(c.Ready):
					ready = append(ready, address)
				case is(c.Serving) && is(c.Terminating):
					terminating = append(terminating, address)
				}
			}
		}
	}
	return ready, terminating
}

func is(condition *bool) bool { return condition != nil && *condition }

// serve listens on the ClusterIP of a Service, at each of its ports.
func (h *Host) serve(ctx context.Context, service *corev1.Service) error {
	for _, port := range service.Spec.Ports {
		address := net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port)))
		p, err := proxy(address, func() string { return h.pick(service.Namespace, service.Name, port.Name) })
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = p.stop() })
	}
	return nil
}
