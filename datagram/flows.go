package datagram

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of SPEC.md, sections Flows and Losses.
const (
	idleTimeout = 60 * time.Second
	maxFlows    = 256
	maxQueue    = 64
	maxWaiting  = 4 << 20
)

// Flows leads each peer of a UDP socket through a stream of its own.
type Flows struct {
	// Open opens the stream of a new flow. The end of the flow ends its context.
	Open func(ctx context.Context, peer net.Addr) (io.ReadWriteCloser, error)
	// Idle is after how much silence a flow ends; 0 means a minute.
	Idle time.Duration

	mu sync.Mutex
	// flows are those that run, by their peer's address.
	flows map[string]*flow
	// waiting is how many bytes are in queues.
	waiting atomic.Int64
}

// flow is one peer's.
type flow struct {
	peer  net.Addr
	queue chan []byte
	end   context.CancelFunc
	ended <-chan struct{}
	quiet *time.Timer
	// last is when something passed.
	last atomic.Int64
}

// Serve serves a socket until ctx ends, whose cause it returns, or the socket
// does. It closes the socket, and may be called once.
func (f *Flows) Serve(ctx context.Context, socket net.PacketConn) error {
	serving, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	var running sync.WaitGroup
	defer func() {
		cancel()
		_ = socket.Close()
		running.Wait()
	}()
	var peer net.Addr
	err := receive(func(buf []byte) (n int, err error) {
		n, peer, err = socket.ReadFrom(buf)
		return n, err
	}, func(datagram []byte) error {
		f.deliver(serving, peer, datagram, func(ctx context.Context, fl *flow) {
			running.Go(func() { f.run(ctx, fl, socket) })
		})
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// deliver puts a datagram into its peer's queue, if there is room, and starts
// the flow if it is new.
func (f *Flows) deliver(ctx context.Context, peer net.Addr, datagram []byte, start func(context.Context, *flow)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flows[peer.String()]
	if fl != nil && fl.over() {
		delete(f.flows, peer.String()) // nobody reads its queue any more
		fl = nil
	}
	if fl == nil {
		f.makeRoom()
		ctx, end := context.WithCancel(ctx)
		fl = &flow{peer: peer, queue: make(chan []byte, maxQueue), end: end, ended: ctx.Done()}
		fl.quiet = time.AfterFunc(f.idle(), end)
		if f.flows == nil {
			f.flows = map[string]*flow{}
		}
		f.flows[peer.String()] = fl
		start(ctx, fl)
	}
	fl.touch(f.idle())
	if f.waiting.Load()+int64(len(datagram)) > maxWaiting {
		return
	}
	select {
	case fl.queue <- bytes.Clone(datagram):
		f.waiting.Add(int64(len(datagram)))
	default:
	}
}

// makeRoom ends the flow that has been silent longest, if there are too many.
func (f *Flows) makeRoom() {
	if len(f.flows) < maxFlows {
		return
	}
	var oldest *flow
	for _, fl := range f.flows {
		if oldest == nil || fl.last.Load() < oldest.last.Load() {
			oldest = fl
		}
	}
	oldest.end()
	delete(f.flows, oldest.peer.String())
}

func (f *Flows) idle() time.Duration { return cmp.Or(f.Idle, idleTimeout) }

// over tells whether the flow was ended.
func (fl *flow) over() bool {
	select {
	case <-fl.ended:
		return true
	default:
		return false
	}
}

// touch notes that something passes.
func (fl *flow) touch(idle time.Duration) {
	fl.last.Store(time.Now().UnixNano())
	fl.quiet.Reset(idle)
}

// run carries a flow until it ends.
func (f *Flows) run(ctx context.Context, fl *flow, socket net.PacketConn) {
	defer f.remove(fl)
	stream, err := f.Open(ctx, fl.peer)
	if err != nil {
		return
	}
	var answers sync.WaitGroup
	defer answers.Wait()
	defer fl.end()
	context.AfterFunc(ctx, func() { _ = stream.Close() })
	answers.Go(func() {
		defer fl.end()
		for buf := make([]byte, MaxSize); ; {
			datagram, err := Read(stream, buf)
			if err != nil {
				return
			}
			fl.touch(f.idle())
			_, _ = socket.WriteTo(datagram, fl.peer) // what it does not take is lost
		}
	})
	for {
		select {
		case datagram := <-fl.queue:
			f.waiting.Add(-int64(len(datagram)))
			if err := Write(stream, datagram); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// remove forgets a flow, unless its peer has a new one, and what it has queued.
func (f *Flows) remove(fl *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.end()
	fl.quiet.Stop()
	if f.flows[fl.peer.String()] == fl {
		delete(f.flows, fl.peer.String())
	}
	for {
		select {
		case datagram := <-fl.queue:
			f.waiting.Add(-int64(len(datagram)))
		default:
			return
		}
	}
}
