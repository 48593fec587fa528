// Package tunneltest offers what tests of connections need, in-process: an API
// server that really serves port-forwards, and a TCP proxy that injects
// faults.
package tunneltest

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	forward "k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// Options say how a PodServer behaves.
type Options struct {
	// NoWebSocket makes the server refuse WebSockets, as servers before
	// Kubernetes 1.30 do.
	NoWebSocket bool
	// TLS makes the server speak HTTPS.
	TLS bool
	// Pings makes the server send SPDY pings this often; 0 means never.
	Pings time.Duration
}

// PodServer is an API server that knows only the port-forward of pods. A port
// of a pod leads to a TCP address of this machine.
type PodServer struct {
	server *httptest.Server
	opts   Options

	mu    sync.Mutex
	pods  map[string]map[int]string
	conns map[io.Closer]bool
	wg    sync.WaitGroup

	webSockets, spdys atomic.Int64
}

// NewPodServer starts a server that Close must end.
func NewPodServer(opts Options) *PodServer {
	s := &PodServer{
		opts:  opts,
		pods:  map[string]map[int]string{},
		conns: map[io.Closer]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/namespaces/{namespace}/pods/{pod}/portforward", s.serve)
	s.server = httptest.NewUnstartedServer(mux)
	// Clients that give up are what tests are about.
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if opts.TLS {
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	return s
}

// Config returns the client configuration for the server.
func (s *PodServer) Config() *rest.Config {
	cfg := &rest.Config{Host: s.server.URL}
	cfg.Insecure = s.opts.TLS
	return cfg
}

// Addr returns the server's host:port, the target for a Proxy.
func (s *PodServer) Addr() string { return s.server.Listener.Addr().String() }

// SetPod creates a pod, or replaces its ports: each leads to a TCP address.
func (s *PodServer) SetPod(namespace, name string, ports map[int]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods[namespace+"/"+name] = ports
}

// DeletePod removes a pod; its connections stay.
func (s *PodServer) DeletePod(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, namespace+"/"+name)
}

// Upgrades returns how many connections were upgraded to a WebSocket and how
// many to SPDY.
func (s *PodServer) Upgrades() (webSockets, spdys int) {
	return int(s.webSockets.Load()), int(s.spdys.Load())
}

// CutAll breaks all port-forwards off.
func (s *PodServer) CutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// Close ends the server and all port-forwards and waits for them.
func (s *PodServer) Close() {
	s.CutAll()
	s.server.Close()
	s.wg.Wait()
}

func (s *PodServer) serve(w http.ResponseWriter, r *http.Request) {
	s.wg.Add(1)
	defer s.wg.Done()
	pod := r.PathValue("namespace") + "/" + r.PathValue("pod")
	s.mu.Lock()
	ports, ok := s.pods[pod]
	s.mu.Unlock()
	if !ok {
		writeStatus(w, http.StatusNotFound, "NotFound", fmt.Sprintf("pods %q not found", r.PathValue("pod")))
		return
	}
	streams := make(chan opened)
	ended := make(chan struct{})
	received := func(stream httpstream.Stream, replied <-chan struct{}) error {
		select {
		case streams <- opened{stream, replied}:
			return nil
		case <-ended:
			return net.ErrClosed
		}
	}
	conn, err := s.upgrade(w, r, received)
	if err != nil {
		writeStatus(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	if conn == nil {
		return
	}
	defer close(ended)
	s.track(conn, true)
	defer s.track(conn, false)
	defer func() { _ = conn.Close() }()
	s.pair(conn, streams, ports)
}

func (s *PodServer) track(conn io.Closer, add bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if add {
		s.conns[conn] = true
	} else {
		delete(s.conns, conn)
	}
}

// upgrade turns the request into a connection with streams. Without an error
// and a connection, the response has been written.
func (s *PodServer) upgrade(w http.ResponseWriter, r *http.Request, received httpstream.NewStreamHandler) (httpstream.Connection, error) {
	if !websocket.IsWebSocketUpgrade(r) {
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardV1Name}); err != nil {
			return nil, nil //nolint:nilerr // Handshake has answered.
		}
		s.spdys.Add(1)
		return spdy.NewResponseUpgraderWithPings(s.opts.Pings).UpgradeResponse(w, r, received), nil
	}
	const tunnel = portforward.WebsocketsSPDYTunnelingPortForwardV1
	if s.opts.NoWebSocket || !slices.Contains(websocket.Subprotocols(r), tunnel) {
		return nil, errors.New("no WebSocket here")
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{tunnel}}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil, nil //nolint:nilerr // Upgrade has answered.
	}
	s.webSockets.Add(1)
	return spdy.NewServerConnectionWithPings(forward.NewTunnelingConnection("server", ws), received, s.opts.Pings)
}

// opened is a stream that the client opens; nothing can be written to it
// before the reply was sent.
type opened struct {
	httpstream.Stream
	replied <-chan struct{}
}

// pair puts the streams of each request together and forwards them until the
// connection ends.
func (s *PodServer) pair(conn httpstream.Connection, streams <-chan opened, ports map[int]string) {
	var wg sync.WaitGroup
	defer wg.Wait()
	waiting := map[string]opened{}
	for {
		select {
		case <-conn.CloseChan():
			return
		case stream := <-streams:
			id := stream.Headers().Get(corev1.PortForwardRequestIDHeader)
			data, errs := stream, waiting[id]
			if errs.Stream == nil {
				waiting[id] = stream
				continue
			}
			delete(waiting, id)
			if data.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				data, errs = errs, data
			}
			wg.Go(func() {
				for _, replied := range []<-chan struct{}{data.replied, errs.replied} {
					select {
					case <-replied:
					case <-conn.CloseChan():
						return
					}
				}
				forwardStreams(data, errs, ports, conn.CloseChan())
			})
		}
	}
}

// forwardStreams connects the data stream to its port. Like the servers of
// container runtimes, it ends both directions soon after one of them.
func forwardStreams(data, errs httpstream.Stream, ports map[int]string, closed <-chan bool) {
	defer func() { _ = data.Close() }()
	defer func() { _ = errs.Close() }()
	port := data.Headers().Get(corev1.PortHeader)
	n, _ := strconv.Atoi(port)
	target, ok := ports[n]
	if !ok {
		target = "127.0.0.1:1"
	}
	conn, err := net.Dial("tcp", target)
	if err != nil {
		// containerd ends the data before it tells why.
		_ = data.Close()
		_, _ = fmt.Fprintf(errs, "error forwarding port %s to pod: %s", port, err)
		_ = data.Reset()
		_ = errs.Reset()
		return
	}
	defer func() { _ = conn.Close() }()
	down, up := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(down)
		_, _ = io.Copy(data, conn)
	}()
	go func() {
		defer close(up)
		_, _ = io.Copy(conn, data)
		if half, ok := conn.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	const grace = time.Second
	select {
	case <-down:
		return
	case <-up:
		select {
		case <-down:
		case <-closed:
		case <-time.After(grace):
		}
	case <-closed:
		// What has arrived already still goes to the port.
		select {
		case <-up:
		case <-time.After(grace):
		}
	}
}

func writeStatus(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":%q,"code":%d}`,
		reason, strings.TrimSpace(message), code)
}
