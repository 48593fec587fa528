//go:build linux

package devsession

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// TestNetworkWaitsForTheConnection has the pod connect for the local process, at
// once or when it can be asked again.
func TestNetworkWaitsForTheConnection(t *testing.T) {
	p := newPod(t)
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	go func() {
		for conn, err := target.Accept(); err == nil; conn, err = target.Accept() {
			_, _ = io.WriteString(conn, "here")
			_ = conn.Close()
		}
	}()
	u := p.session("echo ready; cat")
	u.start()
	u.writes("ready\n")
	if _, err := u.dialPod(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !refusedByPod(err) {
		t.Errorf("where nobody listens: %v", err)
	}
	p.Proxy.Refuse(true)
	p.Proxy.Cut()
	u.shows("reconnecting")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.dialPod(canceled, "tcp", target.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("who goes away gets %v", err)
	}
	got := make(chan string)
	go func() {
		conn, err := u.dialPod(t.Context(), "tcp", target.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		text, err := io.ReadAll(conn)
		if err != nil {
			text = []byte(err.Error())
		}
		got <- string(text)
	}()
	select {
	case text := <-got:
		t.Errorf("without a connection there is %q", text)
	default:
	}
	p.Proxy.Refuse(false)
	if text := <-got; text != "here" {
		t.Errorf("with the next connection there is %q", text)
	}
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
}

func refusedByPod(err error) bool {
	_, ok := errors.AsType[*sshclient.DialError](err)
	return ok
}
