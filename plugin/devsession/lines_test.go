//go:build linux

package devsession

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// TestEachClassHasItsConnection counts connections, and loses one after the
// other: each is the loss of all, and all come back.
func TestEachClassHasItsConnection(t *testing.T) {
	p := newPod(t)
	target, err := Listen(t.Context(), "127.0.0.1", manifest.Forward{Local: freePort(t), Remote: echo(t, "pod: ")})
	if err != nil {
		t.Fatal(err)
	}
	u := p.session("echo ready; cat")
	u.Targets = []Target{target}
	dialed := make(chan net.Conn, 16)
	dial := u.Connector.Dial
	u.Connector.Dial = func(ctx context.Context, pod string) (net.Conn, error) {
		conn, err := dial(ctx, pod)
		if err == nil {
			dialed <- conn
		}
		return conn, err
	}
	next := func() net.Conn {
		t.Helper()
		select {
		case conn := <-dialed:
			return conn
		case <-time.After(lab.Patience):
			t.Fatal("no further connection")
			return nil
		}
	}
	three := func() []net.Conn {
		t.Helper()
		// When the sync's is there, those before have ended.
		first, sync := next(), next()
		asking(t, target.Listener.Addr().String(), "question", "pod: question")()
		return []net.Conn{first, sync, next()}
	}
	u.start()
	u.writes("ready\n")
	for i := range 3 {
		conns := three()
		if len(dialed) > 0 {
			t.Fatal("more than three connections")
		}
		_ = conns[i].Close()
	}
	three()
	if err := u.flush(t.Context()); err != nil {
		t.Error(err)
	}
}
