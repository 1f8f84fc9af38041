package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Fleet is several berths that manage their certificates themselves, behind one address.
type Fleet struct {
	// Replicas are the berths. Each can be stopped, killed and started again.
	Replicas []*Berth
	// Webhooks is the two webhook configurations as they are applied.
	Webhooks string
}

// StartFleet does with n replicas what StartBerth does with one.
func (cp *ControlPlane) StartFleet(ctx context.Context, n int, options BerthOptions) (*Fleet, error) {
	options.SelfManaged = true
	if err := cp.build(ctx, &options); err != nil {
		return nil, err
	}
	fleet := &Fleet{}
	var addresses []string
	for i := range n {
		replica, err := cp.defineBerth(fmt.Sprintf("berth-%d", i+1), options)
		if err != nil {
			return nil, err
		}
		fleet.Replicas = append(fleet.Replicas, replica)
		addresses = append(addresses, replica.Address)
	}
	address, err := balance(addresses)
	if err != nil {
		return nil, err
	}
	if fleet.Webhooks, err = cp.install(ctx, address, nil); err != nil {
		return nil, err
	}
	if err := cp.apply(ctx, fleet.Webhooks); err != nil {
		return nil, err
	}
	if err := fleet.Start(ctx); err != nil {
		return nil, err
	}
	return fleet, cp.register(ctx, fleet.Webhooks)
}

// Start starts all replicas at the same time and waits until all are ready.
func (f *Fleet) Start(ctx context.Context) error {
	errs := make([]error, len(f.Replicas))
	var group sync.WaitGroup
	for i, replica := range f.Replicas {
		group.Go(func() {
			if errs[i] = replica.Start(ctx); errs[i] == nil {
				errs[i] = replica.WaitReady(ctx)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Kill ends all replicas at once.
func (f *Fleet) Kill() error {
	var errs []error
	for _, replica := range f.Replicas {
		errs = append(errs, replica.Kill())
	}
	return errors.Join(errs...)
}

// balance passes connections to one address on to the others in turn, as a Service does, for as long as this process
// lives. One that does not listen is passed over.
func balance(addresses []string) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("balance connections: %w", err)
	}
	go func() {
		for turn := 0; ; turn++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(client, addresses, turn)
		}
	}()
	return listener.Addr().String(), nil
}

func forward(client net.Conn, addresses []string, turn int) {
	defer client.Close()
	for i := range addresses {
		server, err := net.Dial("tcp", addresses[(turn+i)%len(addresses)])
		if err != nil {
			continue
		}
		defer server.Close()
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(client, server)
		return
	}
}
