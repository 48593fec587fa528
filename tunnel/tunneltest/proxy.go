package tunneltest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy is a TCP proxy that injects faults. It may be controlled while
// connections run through it.
type Proxy struct {
	listener net.Listener
	target   string
	done     chan struct{}
	wg       sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	delay   time.Duration
	hole    bool
	refuse  bool
	closed  bool
	conns   map[net.Conn]bool
	traffic Traffic
}

// Traffic counts the bytes that have passed a proxy.
type Traffic struct {
	// Sent went to the target, Received came from it.
	Sent, Received int64
}

// inFlight bounds the bytes that the proxy holds in one direction of one
// connection; chunk is the most that it reads at once.
const (
	chunk    = 32 << 10
	inFlight = 256
)

// NewProxy starts a proxy for a TCP address that Close must end.
func NewProxy(target string) (*Proxy, error) { return NewProxyAt("127.0.0.1", target) }

// NewProxyAt is NewProxy with the address that it listens on.
func NewProxyAt(host, target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, done: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the proxy's host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetDelay delays all that is received from now on, by d in each direction;
// throughput stays.
func (p *Proxy) SetDelay(d time.Duration) { p.set(func() { p.delay = d }) }

// BlackHole stops passing bytes on, without closing anything: a network that
// loses every packet. New connections are taken and hang. With false, what was
// held back flows again.
func (p *Proxy) BlackHole(on bool) { p.set(func() { p.hole = on }) }

// Refuse makes the proxy close new connections at once.
func (p *Proxy) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// Cut breaks all current connections off.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// Connections returns how many connections are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}

// AwaitConnection waits until a connection is open, or fails when ctx or the
// proxy ends.
func (p *Proxy) AwaitConnection(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { p.set(func() {}) })()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.conns) == 0 {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case p.closed:
			return net.ErrClosed
		}
		p.changed.Wait()
	}
	return nil
}

// Traffic returns what has passed so far.
func (p *Proxy) Traffic() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.traffic
}

// Close ends the proxy and all its connections and waits for them.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.done)
	err := p.listener.Close()
	p.cut()
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func (p *Proxy) cut() {
	for c := range p.conns {
		// No lingering: the other side sees a reset, as after a crash.
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
		delete(p.conns, c)
	}
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(conn) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	var server net.Conn
	if !refuse {
		server, _ = net.Dial("tcp", p.target)
	}
	if server == nil || !p.register(client, server) {
		_ = client.Close()
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.copy(server, client, &p.traffic.Sent) })
	wg.Go(func() { p.copy(client, server, &p.traffic.Received) })
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range []net.Conn{client, server} {
		delete(p.conns, c)
		_ = c.Close()
	}
}

func (p *Proxy) register(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = server.Close()
		return false
	}
	p.conns[client], p.conns[server] = true, true
	p.changed.Broadcast()
	return true
}

// parcel is a piece of data, or the end of a direction, and when it is due.
type parcel struct {
	data []byte
	due  time.Time
}

// copy passes one direction on and counts it, each parcel at its time, the end
// included.
func (p *Proxy) copy(dst, src net.Conn, count *int64) {
	parcels := make(chan parcel, inFlight)
	p.wg.Go(func() {
		defer close(parcels)
		for {
			data := make([]byte, chunk)
			n, err := src.Read(data)
			p.mu.Lock()
			due := time.Now().Add(p.delay)
			p.mu.Unlock()
			if err != nil && !errors.Is(err, io.EOF) {
				return
			}
			select {
			case parcels <- parcel{data[:n], due}:
			case <-p.done:
				return
			}
			if err != nil {
				return
			}
		}
	})
	for next := range parcels {
		if !p.wait(dst, next.due) {
			break
		}
		if len(next.data) == 0 {
			if tcp, ok := dst.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
			break
		}
		p.mu.Lock()
		*count += int64(len(next.data))
		p.mu.Unlock()
		if _, err := dst.Write(next.data); err != nil {
			_ = src.Close()
			break
		}
	}
	for range parcels { //nolint:revive // Lets the reader go on to its end.
	}
}

// wait returns true when a parcel is due and nothing swallows it; false when
// its connection was cut.
func (p *Proxy) wait(dst net.Conn, due time.Time) bool {
	if d := time.Until(due); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.done:
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hole && p.conns[dst] {
		p.changed.Wait()
	}
	return p.conns[dst]
}
