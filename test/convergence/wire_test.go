package convergence

import (
	"errors"
	"io"
	"sync"
	"time"
)

// errCut is what both ends hear when a connection is cut.
var errCut = errors.New("the connection was cut")

// holeTime is how long a connection in which frames vanish lasts.
const holeTime = 20 * time.Millisecond

// A fault is how a connection ends. The zero value is one that lasts.
type fault struct {
	pod   bool // the frame is the pod's
	frame int  // cut when this frame is written, counted from 1; 0 for never
	keep  int  // bytes of that frame that still arrive
	hole  int  // frames before it that vanish although they were written
	lose  bool // what was written but not read is lost with it
}

// A wire is a connection of two ends in memory that obeys a fault.
type wire struct {
	mu       sync.Mutex
	moved    sync.Cond
	fault    fault
	room     int // bytes that a direction holds
	dirs     [2]direction
	over     error         // why the connection has ended; nil while it lasts
	progress chan struct{} // holds a token after a frame was written
}

// A direction is what one end writes and the other reads.
type direction struct {
	buf    []byte
	frames int
}

func newWire(f fault, room int) *wire {
	w := &wire{fault: f, room: room, progress: make(chan struct{}, 1)}
	w.moved.L = &w.mu
	return w
}

// end returns the laptop's or the pod's end.
func (w *wire) end(pod bool) io.ReadWriteCloser {
	if pod {
		return &wireEnd{w: w, in: &w.dirs[0], out: &w.dirs[1], pod: true}
	}
	return &wireEnd{w: w, in: &w.dirs[1], out: &w.dirs[0]}
}

// cut ends the connection for both ends.
func (w *wire) cut(lose bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endWith(errCut, lose)
}

func (w *wire) endWith(err error, lose bool) {
	if w.over == nil {
		w.over = err
	}
	if lose {
		w.dirs[0].buf, w.dirs[1].buf = nil, nil
	}
	w.moved.Broadcast()
}

type wireEnd struct {
	w       *wire
	in, out *direction
	pod     bool
	closed  bool
}

// Write implements io.Writer; a call is a frame.
func (e *wireEnd) Write(b []byte) (int, error) {
	w := e.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.over == nil && len(e.out.buf) > w.room {
		w.moved.Wait()
	}
	if w.over != nil {
		return 0, w.over
	}
	e.out.frames++
	select {
	case w.progress <- struct{}{}:
	default:
	}
	if left := w.fault.frame - e.out.frames; w.fault.frame > 0 && w.fault.pod == e.pod && left <= w.fault.hole {
		if left > 0 {
			// If that frame never comes, somebody notices in the end.
			time.AfterFunc(holeTime, func() { w.cut(true) })
			return len(b), nil
		}
		e.out.buf = append(e.out.buf, b[:min(w.fault.keep, len(b))]...)
		w.endWith(errCut, w.fault.lose)
		return 0, errCut
	}
	e.out.buf = append(e.out.buf, b...)
	w.moved.Broadcast()
	return len(b), nil
}

// Read implements io.Reader.
func (e *wireEnd) Read(b []byte) (int, error) {
	w := e.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.over == nil && len(e.in.buf) == 0 {
		w.moved.Wait()
	}
	if e.closed {
		return 0, io.ErrClosedPipe
	}
	if len(e.in.buf) == 0 {
		return 0, w.over
	}
	n := copy(b, e.in.buf)
	e.in.buf = e.in.buf[n:]
	w.moved.Broadcast()
	return n, nil
}

// Close implements io.Closer: the other end reads what was written before.
func (e *wireEnd) Close() error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.closed = true
	e.w.endWith(io.EOF, false)
	return nil
}
