// Package tunnel opens connections to ports of pods through the API server's
// port-forward: SPDY streams inside a WebSocket (KEP-4006), or SPDY directly
// where a server or a proxy on the way does not let WebSockets through.
//
// Kubernetes' own client multiplexes many streams over one connection, waits
// for an answer after each step and writes the parts of a frame one by one.
// Here each connection has an upgraded connection of its own, so that none
// waits behind another, its streams are opened without waiting, and a frame
// is one write: dialing costs the round trips of TCP, TLS and the upgrade.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
)

// dialTimeout bounds one attempt to open a connection when the caller's
// context does not: a server that takes the connection and never answers.
const dialTimeout = 30 * time.Second

// Dialer opens connections to the ports of one pod. It may be used by several
// goroutines at once.
type Dialer struct {
	cfg            *rest.Config
	url            *url.URL
	namespace, pod string
	// noWebSocket is set once only SPDY has worked, so that later
	// connections do not try in vain.
	noWebSocket atomic.Bool
}

// NewDialer returns a Dialer for a pod. It does no I/O; the error is about an
// unusable configuration.
func NewDialer(cfg *rest.Config, namespace, pod string) (*Dialer, error) {
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	return &Dialer{
		cfg:       cfg,
		url:       base.JoinPath("api/v1/namespaces", namespace, "pods", pod, "portforward"),
		namespace: namespace,
		pod:       pod,
	}, nil
}

// DialContext opens a connection to a port of the pod. It returns as soon as
// the API server has accepted the upgrade: whether the port is open is known
// only later, and a refusal is the *RemoteError of a Read or Write. What the
// API server refuses (no such pod, forbidden) is an error of
// k8s.io/apimachinery/pkg/api/errors. When ctx ends, DialContext returns at
// once; afterwards ctx has no influence on the connection.
func (d *Dialer) DialContext(ctx context.Context, port int) (net.Conn, error) {
	transport, err := d.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("port-forward to pod %s/%s: %w", d.namespace, d.pod, err)
	}
	return newConn(transport, Addr{Namespace: d.namespace, Pod: d.pod, Port: port})
}

func (d *Dialer) dial(ctx context.Context) (*transport, error) {
	if d.noWebSocket.Load() {
		return attempt(ctx, d.upgradeSPDY)
	}
	conn, err := attempt(ctx, d.upgradeWebSocket)
	if err == nil || ctx.Err() != nil || !worthSPDY(err) {
		return conn, cause(err)
	}
	conn, err = attempt(ctx, d.upgradeSPDY)
	if err == nil {
		d.noWebSocket.Store(true)
	}
	return conn, err
}

// attempt calls upgrade and returns when ctx ends, even if upgrade is stuck in
// something that no context reaches, as a credential plugin. A connection that
// comes too late is closed.
func attempt(ctx context.Context, upgrade func(context.Context) (*transport, error)) (*transport, error) {
	type result struct {
		conn *transport
		err  error
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	done := make(chan result)
	go func() {
		conn, err := upgrade(ctx)
		select {
		case done <- result{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// worthSPDY tells whether SPDY may work where a WebSocket did not: an older
// server or a proxy that does not know WebSockets, or a role that allows only
// to create port-forwards, which a WebSocket's GET is not.
func worthSPDY(err error) bool {
	if httpstream.IsHTTPSProxyError(err) {
		return true
	}
	if !httpstream.IsUpgradeFailure(err) {
		return false
	}
	err = cause(err)
	return !apierrors.IsNotFound(err) && !apierrors.IsUnauthorized(err)
}

// cause returns the reason of a refused upgrade, which httpstream's error does
// not unwrap to.
func cause(err error) error {
	var failure *httpstream.UpgradeFailureError
	if errors.As(err, &failure) && failure.Cause != nil {
		return failure.Cause
	}
	return err
}

// Addr is the address of a port of a pod, a net.Addr.
type Addr struct {
	// Namespace and Pod name the pod.
	Namespace, Pod string
	// Port is the port in the pod's network.
	Port int
}

// Network returns "port-forward".
func (Addr) Network() string { return "port-forward" }

// String returns namespace/pod:port.
func (a Addr) String() string { return a.Namespace + "/" + a.Pod + ":" + strconv.Itoa(a.Port) }

// RemoteError is what the pod's node reported about a connection: the port is
// closed, the pod or its container is gone.
type RemoteError struct {
	// Addr is what was dialed.
	Addr Addr
	// Message is the node's own text.
	Message string
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("port %d of pod %s/%s: %s", e.Addr.Port, e.Addr.Namespace, e.Addr.Pod, e.Message)
}

// statusError turns a refused upgrade into an error: the API server's Status
// if it sent one, else the text.
func statusError(resp *http.Response, body []byte) error {
	if status := decodeStatus(body); status != nil {
		return &apierrors.StatusError{ErrStatus: *status}
	}
	return fmt.Errorf("the server does not upgrade the connection: %s: %s", resp.Status, body)
}
