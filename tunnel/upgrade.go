package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	forward "k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// transport is an upgraded connection: it carries SPDY frames.
type transport struct {
	net.Conn
	// raw is the network connection below: closing it breaks every call on
	// the transport off, at once and without a farewell.
	raw net.Conn
}

// upgradeWebSocket opens a WebSocket to the API server that carries SPDY.
func (d *Dialer) upgradeWebSocket(ctx context.Context) (*transport, error) {
	roundTripper, holder, err := websocket.RoundTripperFor(d.cfg)
	if err != nil {
		return nil, err
	}
	// The WebSocket client watches ctx until the connection stands, then only
	// its deadline: closing the connection makes a cancellation work too.
	var unwatch func() bool
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		unwatch = context.AfterFunc(ctx, func() { _ = info.Conn.Close() })
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, d.url.String(), nil)
	if err != nil {
		return nil, err
	}
	ws, err := websocket.Negotiate(roundTripper, holder, req, portforward.WebsocketsSPDYTunnelingPortForwardV1)
	if unwatch != nil && !unwatch() && err == nil {
		_ = ws.Close()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &transport{Conn: forward.NewTunnelingConnection(d.pod, ws), raw: ws.NetConn()}, nil
}

// upgradeSPDY opens a SPDY connection to the API server.
func (d *Dialer) upgradeSPDY(ctx context.Context) (*transport, error) {
	tlsConfig, err := rest.TLSConfigFor(d.cfg)
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if d.cfg.Proxy != nil {
		proxy = d.cfg.Proxy
	}
	dialer, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{TLS: tlsConfig, Proxier: proxy})
	if err != nil {
		return nil, err
	}
	upgrader := &spdyUpgrader{dial: dialer.Dial}
	authorized, err := rest.HTTPWrappersForConfig(d.cfg, upgrader)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(httpstream.HeaderProtocolVersion, portforward.PortForwardV1Name)
	resp, err := authorized.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return upgrader.upgraded, resp.Body.Close()
}

// spdyUpgrader is an http.RoundTripper for one request, which it turns into a
// connection. Any other answer than the upgrade is an error.
type spdyUpgrader struct {
	dial     func(*http.Request) (net.Conn, error)
	upgraded *transport
}

func (u *spdyUpgrader) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	req.Header.Set(httpstream.HeaderUpgrade, spdy.HeaderSpdy31)
	conn, err := u.dial(req)
	if err != nil {
		return nil, err
	}
	unwatch := context.AfterFunc(req.Context(), func() { _ = conn.Close() })
	buffered := bufio.NewReader(conn)
	resp, err := http.ReadResponse(buffered, req)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		const limit = 64 << 10
		body, _ := io.ReadAll(io.LimitReader(resp.Body, limit))
		err = statusError(resp, bytes.TrimSpace(body))
	} else if err == nil && !strings.EqualFold(resp.Header.Get(httpstream.HeaderUpgrade), spdy.HeaderSpdy31) {
		err = fmt.Errorf("the server upgrades to %q instead of SPDY", resp.Header.Get(httpstream.HeaderUpgrade))
	}
	if !unwatch() {
		err = errors.Join(context.Cause(req.Context()), err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	u.upgraded = &transport{Conn: &bufferedConn{Conn: conn, buffered: buffered}, raw: conn}
	return resp, nil
}

// bufferedConn reads first what came together with the HTTP response.
type bufferedConn struct {
	net.Conn
	buffered *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.buffered.Read(p) }

// decodeStatus returns the metav1.Status in the body of a response, or nil.
func decodeStatus(body []byte) *metav1.Status {
	var status metav1.Status
	if err := json.Unmarshal(body, &status); err != nil || status.Kind != "Status" {
		return nil
	}
	return &status
}
