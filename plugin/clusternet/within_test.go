package clusternet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/datagram"
)

// TestWithin connects what was led to a listener with where it wanted to go.
func TestWithin(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "laptop") }))
	t.Cleanup(web.Close)
	c, d := newCluster(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	names, err := listenDNS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wanted string
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	group.Go(func() {
		err := d.ServeConnections(ctx, l, func(net.Conn) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return wanted, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	group.Go(func() {
		if err := d.ServeNames(ctx, names.packets, names.stream); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(group.Wait)
	t.Cleanup(cancel)
	ask := func(address string) (string, error) {
		mu.Lock()
		wanted = address
		mu.Unlock()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
		answer, err := io.ReadAll(conn)
		return string(answer), err
	}
	if got, err := ask("10.96.0.7:80"); err != nil || !strings.HasSuffix(got, "x / ") {
		t.Errorf("the cluster's address is %q, %v", got, err)
	}
	if got, err := ask(web.Listener.Addr().String()); err != nil || !strings.HasSuffix(got, "laptop") {
		t.Errorf("the laptop's address is %q, %v", got, err)
	}
	if got, err := ask("10.96.0.7:81"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("what the pod refuses is %q, %v", got, err)
	}
	if got := c.dialed(); len(got) != 2 {
		t.Errorf("the pod connected to %q", got)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, names.address())
	}}
	if got, err := resolver.LookupHost(t.Context(), "web.shop."); err != nil || len(got) != 1 || got[0] != "10.96.0.7" {
		t.Errorf("the name is %q, %v", got, err)
	}
}

// TestDatagramsWithin carries datagrams to the laptop's side and, in frames, to the
// cluster's.
func TestDatagramsWithin(t *testing.T) {
	t.Parallel()
	laptop, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = laptop.Close() })
	go echo(laptop, "laptop ")
	_, d := newCluster(t, nil)
	d.config.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
		if network != "udp" || address != "10.96.0.7:53" {
			return nil, errors.New("unexpected")
		}
		near, far := net.Pipe()
		go func() {
			defer func() { _ = far.Close() }()
			for buf := make([]byte, datagram.MaxSize); ; {
				got, err := datagram.Read(far, buf)
				if err != nil || datagram.Write(far, append([]byte("cluster "), got...)) != nil {
					return
				}
			}
		}()
		return near, nil
	}
	for want, address := range map[string]string{"laptop ping": laptop.LocalAddr().String(), "cluster ping": "10.96.0.7:53"} {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			ended <- d.ServeDatagrams(ctx, packets, func(net.Addr) string { return address })
		}()
		conn, err := net.Dial("udp", packets.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, _ = io.WriteString(conn, "ping")
			answer := make([]byte, 100)
			if n, err := conn.Read(answer); string(answer[:n]) != want {
				t.Errorf("from %s comes %q, %v", address, answer[:n], err)
			}
		}
		_ = conn.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// echo answers datagrams with a word before each.
func echo(c net.PacketConn, word string) {
	b := make([]byte, 100)
	for {
		n, peer, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = c.WriteTo(append([]byte(word), b[:n]...), peer)
	}
}
