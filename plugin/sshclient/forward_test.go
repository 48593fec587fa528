//go:build linux

package sshclient_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// halfEcho serves connections that get all of what they send back, with its
// length before it, only once they have ended their side.
func halfEcho(t *testing.T, l net.Listener) {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				data, err := io.ReadAll(conn)
				if err == nil {
					_, _ = fmt.Fprintf(conn, "%d:%s", len(data), data)
				}
			}()
		}
	}()
}

// exchange talks to a halfEcho.
func exchange(conn net.Conn, size int) error {
	defer func() { _ = conn.Close() }()
	data := make([]byte, size)
	_, _ = rand.Read(data)
	if _, err := conn.Write(data); err != nil {
		return err
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if want := fmt.Appendf(nil, "%d:%s", size, data); !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came back, want %d", len(got), len(want))
	}
	return nil
}

// exchangeMany talks to a halfEcho over many connections at once.
func exchangeMany(t *testing.T, dial func() (net.Conn, error)) {
	t.Helper()
	const conns = 50
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() {
			conn, err := dial()
			if err == nil {
				err = exchange(conn, i*5000)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestRemoteForward(t *testing.T) {
	p, client := connected(t)
	target := listen(t, "tcp", "127.0.0.1:0")
	halfEcho(t, target)
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	for network, bind := range map[string]string{"tcp": fmt.Sprintf("127.0.0.1:%d", port), "unix": p.Dir + "/socket"} {
		// The address is free again at once.
		for range 2 {
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- client.RemoteForward(ctx, bind, func(ctx context.Context) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, "tcp", target.Addr().String())
				})
			}()
			awaitListener(t, network, bind)
			exchangeMany(t, func() (net.Conn, error) { return net.Dial(network, bind) })
			why := errors.New("enough")
			cancel(why)
			if err := <-ended; !errors.Is(err, why) {
				t.Errorf("RemoteForward of %s ends with %v", bind, err)
			}
		}
	}
}

// awaitListener waits until somebody listens, which nothing else tells.
func awaitListener(t *testing.T, network, address string) {
	t.Helper()
	for ctx := bounded(t); ; runtime.Gosched() {
		conn, err := net.Dial(network, address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestRemoteForwardTaken(t *testing.T) {
	_, client := connected(t)
	taken := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	err := client.RemoteForward(t.Context(), taken, nil)
	if err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("RemoteForward fails with %v", err)
	}
}

func TestDial(t *testing.T) {
	p, client := connected(t)
	for _, target := range []net.Listener{listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", p.Dir+"/socket")} {
		halfEcho(t, target)
		network, address := target.Addr().Network(), target.Addr().String()
		conn, err := client.Dial(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().String(); got != address {
			t.Errorf("RemoteAddr() = %s", got)
		}
		if err := exchange(conn, 1<<20); err != nil {
			t.Error(err)
		}
		exchangeMany(t, func() (net.Conn, error) { return client.Dial(t.Context(), network, address) })
	}
	for _, bad := range []string{"nowhere", "host:http", "host:70000"} {
		if _, err := client.Dial(t.Context(), "tcp", bad); err == nil {
			t.Errorf("Dial(%q) works", bad)
		}
	}
	gone := p.Dir + "/gone"
	if _, err := client.Dial(t.Context(), "unix", gone); !isDialError(err, gone) {
		t.Errorf("Dial fails with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Dial(ctx, "tcp", "127.0.0.1:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial fails with %v", err)
	}
}

// TestPipeLargeSteps lets much wait for a local end that does not read: all of it
// arrives in few pieces, and few messages tell the pod that it may send more.
func TestPipeLargeSteps(t *testing.T) {
	p, client := connected(t)
	const size = 1 << 20
	data := make([]byte, size)
	_, _ = rand.Read(data)
	target := listen(t, "tcp", "127.0.0.1:0")
	go func() {
		conn, err := target.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write(data)
	}()
	ctx := bounded(t)
	remote, err := client.Dial(ctx, "tcp", target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	local, far := net.Pipe()
	var piping sync.WaitGroup
	defer piping.Wait()
	defer func() { _ = far.Close() }()
	piping.Go(func() { sshclient.Pipe(ctx, local, remote) })
	for p.Proxy.Traffic().Received < size {
		if ctx.Err() != nil {
			t.Fatal("it was not sent")
		}
		runtime.Gosched()
	}
	// An answer comes after what was sent before it.
	roundTrip := func() {
		if _, err := client.Dial(ctx, "unix", p.Dir+"/gone"); !isDialError(err, p.Dir+"/gone") {
			t.Fatal(err)
		}
	}
	roundTrip()
	before := p.Proxy.Traffic().Sent
	got := make([]byte, 0, size)
	pieces := 0
	for ; len(got) < size; pieces++ {
		n, err := far.Read(got[len(got):size])
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)+n]
	}
	roundTrip()
	if !bytes.Equal(got, data) {
		t.Error("something else arrives")
	}
	if sent := p.Proxy.Traffic().Sent - before; pieces > 6 || sent > 1000 {
		t.Errorf("it arrives in %d pieces, for which %d bytes are sent", pieces, sent)
	}
}

// isDialError tells whether the pod says that it cannot reach an address.
func isDialError(err error, address string) bool {
	refused, ok := errors.AsType[*sshclient.DialError](err)
	return ok && refused.Address == address
}
