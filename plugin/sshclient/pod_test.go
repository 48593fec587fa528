//go:build linux

package sshclient_test

import (
	"context"
	"net"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
	"github.com/kubectl-okteto/kubectl-okteto/test/localpod"
)

// podConfig returns what a client of a pod needs.
func podConfig(p *localpod.Pod) sshclient.Config {
	return sshclient.Config{Signer: p.Signer, HostKey: p.HostKey}
}

// logIn logs in to a pod. The test fails if something of the client is left
// behind.
func logIn(t *testing.T, p *localpod.Pod, cfg sshclient.Config) *sshclient.Client {
	t.Helper()
	client, err := sshclient.NewClient(t.Context(), dialPod(t, p), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		noGoroutines(t)
	})
	return client
}

// connected starts a pod and logs in to it.
func connected(t *testing.T) (*localpod.Pod, *sshclient.Client) {
	t.Helper()
	p := localpod.Start(t)
	return p, logIn(t, p, podConfig(p))
}

func dialPod(t *testing.T, p *localpod.Pod) net.Conn {
	t.Helper()
	conn, err := p.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// bounded returns a context for what only ends if all goes well.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	t.Cleanup(cancel)
	return ctx
}
