package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"berth.dev/berth/audit"
	"berth.dev/berth/cluster/live"
)

// The environment in which a Pod finds what it is, as its Deployment says.
const (
	podNameVariable = "POD_NAME"
	podUIDVariable  = "POD_UID"
)

// addReplica makes the manager tell the other replicas which policies this one
// uses, and hear what they say. An empty namespace is the Pod's own.
func addReplica(mgr manager.Manager, facts *live.Facts, namespace string, election *audit.Election) (*audit.Replicas, error) {
	if namespace == "" {
		var err error
		if namespace, err = podNamespace(); err != nil {
			return nil, err
		}
	}
	client, err := coordinationv1client.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("connect to the API server for Leases: %w", err)
	}
	leases := client.Leases(namespace)
	name, pod := os.Getenv(podNameVariable), os.Getenv(podUIDVariable)
	if name == "" || name == audit.LeaseName {
		name, pod = "berth-"+rand.String(10), ""
	}
	replica := audit.NewReplica(audit.ReplicaOptions{
		Facts: facts, Leases: leases, Name: name, Pod: types.UID(pod), Log: mgr.GetLogger().WithName("replica"),
	})
	replicas := audit.NewReplicas(leases, election)
	for _, runnable := range []manager.Runnable{replica, replicas} {
		if err := mgr.Add(runnable); err != nil {
			return nil, fmt.Errorf("prepare the Lease of this replica: %w", err)
		}
	}
	if err := mgr.AddReadyzCheck("replica", replica.Ready); err != nil {
		return nil, fmt.Errorf("prepare the probes: %w", err)
	}
	return replicas, nil
}
