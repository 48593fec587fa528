//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// gate stands between the plugin and the API server, and stops what passes it
// at a chosen moment.
type gate struct {
	// server is the address for --server.
	server string
	// stopped is closed when something was stopped.
	stopped chan struct{}
	once    sync.Once
	open    chan struct{}
	// released lets everything pass, also what was stopped.
	released chan struct{}
}

// stop says what a gate stops. The zero value lets everything pass.
type stop struct {
	// method and suffix stop requests of a method whose path ends so.
	method, suffix string
	// pass is how many of these pass before one is stopped.
	pass int32
	// sent freezes a connection once the plugin has sent so many bytes over
	// it; 0 never does.
	sent int64
	// answered, when not nil, is told of every answer, and may change it. It is
	// called by several goroutines.
	answered func(*http.Response)
	// until, when not nil, returns what ends a request, an upgraded connection
	// too, in good order.
	until func(*http.Request) context.Context
}

// behind opens a gate in front of the API server, until the test ends.
func (p *place) behind(s stop) *gate {
	p.t.Helper()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{CurrentContext: p.Context}).ClientConfig()
	if err != nil {
		p.t.Fatal(err)
	}
	// Connections that are upgraded need HTTP/1.1.
	config.NextProtos = []string{"http/1.1"}
	transport, err := rest.TransportFor(config)
	if err != nil {
		p.t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		p.t.Fatal(err)
	}
	g := &gate{stopped: make(chan struct{}), open: make(chan struct{}), released: make(chan struct{})}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ModifyResponse: func(r *http.Response) error {
			if s.answered != nil {
				s.answered(r)
			}
			return nil
		},
	}
	var passed atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.suffix != "" && r.Method == s.method && strings.HasSuffix(r.URL.Path, s.suffix) && passed.Add(1) > s.pass &&
			!g.stop(r.Context().Done()) {
			return
		}
		if s.until != nil {
			r = r.WithContext(s.until(r))
		}
		proxy.ServeHTTP(w, r)
	}))
	server.Listener = &gateListener{Listener: server.Listener, gate: g, limit: s.sent}
	server.Start()
	g.server = server.URL
	p.t.Cleanup(func() {
		close(g.open)
		server.CloseClientConnections()
		server.Close()
	})
	return g
}

// stop tells that something has come this far and holds it, until it may pass
// or not.
func (g *gate) stop(gone <-chan struct{}) (pass bool) {
	g.once.Do(func() { close(g.stopped) })
	select {
	case <-gone:
	case <-g.open:
	case <-g.released:
		return true
	}
	return false
}

// await waits until something was stopped.
func (g *gate) await(t *testing.T) {
	t.Helper()
	select {
	case <-g.stopped:
	case <-time.After(lab.Patience):
		t.Fatal("nothing came to the gate")
	}
}

// gateListener freezes connections.
type gateListener struct {
	net.Listener
	gate  *gate
	limit int64
}

// Accept returns a connection that freezes at the limit.
func (l *gateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.limit == 0 {
		return conn, err
	}
	return &gateConn{Conn: conn, gate: l.gate, limit: l.limit}, nil
}

type gateConn struct {
	net.Conn
	gate  *gate
	limit int64
	sent  atomic.Int64
}

// Read reads what the plugin sends.
func (c *gateConn) Read(b []byte) (int, error) {
	if c.sent.Load() > c.limit {
		c.gate.stop(nil)
	}
	n, err := c.Conn.Read(b)
	c.sent.Add(int64(n))
	return n, err
}
