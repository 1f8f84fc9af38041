package main

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"berth.dev/berth/webhook"
)

// clientCA is the CAs that vouch for clients. The zero value is none: anybody may ask.
type clientCA struct {
	file  *dynamiccertificates.DynamicFileCAContent
	names []string
}

func newClientCA(o *serveOptions) (clientCA, error) {
	if o.clientCAFile == "" {
		if len(o.clientNames) > 0 {
			return clientCA{}, errors.New("--client-allowed-names needs --client-ca-file: a name counts only where a CA vouches for it")
		}
		return clientCA{}, nil
	}
	file, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", o.clientCAFile)
	if err != nil {
		return clientCA{}, fmt.Errorf("load the CAs of clients: %w\nSay with --client-ca-file where they are", err)
	}
	return clientCA{file: file, names: o.clientNames}, nil
}

func (c clientCA) options() webhook.ClientOptions {
	if c.file == nil {
		return webhook.ClientOptions{}
	}
	return webhook.ClientOptions{VerifyOptions: c.file.VerifyOptions, AllowedNames: c.names}
}

// Start reads the file again when it changes, until the context ends. A file that is no good is logged, and the last good
// CAs stay.
func (c clientCA) Start(ctx context.Context) error {
	if c.file != nil {
		c.file.Run(ctx, 1)
	}
	return nil
}

// NeedLeaderElection returns false: every replica verifies its clients.
func (clientCA) NeedLeaderElection() bool { return false }
