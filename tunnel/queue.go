package tunnel

import (
	"io"
	"os"
	"sync"
	"time"
)

// queue is a bounded FIFO of bytes with the deadlines of a net.Conn. Several
// goroutines may use it at once; a Write is never mixed with another.
type queue struct {
	mu                 sync.Mutex
	readable, writable *sync.Cond
	// buf is a ring that holds n bytes from start on.
	buf      []byte
	start, n int
	// writing is true while a Write waits for space in the middle of its data.
	writing bool
	// woken makes the next Read return nothing.
	woken bool
	// err fails every Write, and every Read that finds the queue empty.
	err                         error
	readDeadline, writeDeadline deadline
}

func newQueue(size int) *queue {
	q := &queue{buf: make([]byte, size)}
	q.readable, q.writable = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	return q
}

// Read takes bytes from the queue and waits for the first of them. It returns
// 0 and no error after wake.
func (q *queue) Read(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.readDeadline.expired:
			return 0, os.ErrDeadlineExceeded
		case q.n > 0:
			n := copy(p, q.buf[q.start:min(q.start+q.n, len(q.buf))])
			if n < len(p) && n < q.n {
				n += copy(p[n:], q.buf[:q.n-n])
			}
			q.start = (q.start + n) % len(q.buf)
			q.n -= n
			q.writable.Broadcast()
			return n, nil
		case q.err != nil:
			return 0, q.err
		case len(p) == 0, q.woken:
			q.woken = false
			return 0, nil
		}
		q.readable.Wait()
	}
}

// Write puts all of p into the queue and waits for space.
func (q *queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.writing && q.err == nil && !q.writeDeadline.expired {
		q.writable.Wait()
	}
	if q.writing {
		return 0, q.refusal()
	}
	q.writing = true
	defer func() {
		q.writing = false
		q.writable.Broadcast()
	}()
	written := 0
	for {
		if err := q.refusal(); err != nil {
			return written, err
		}
		for written < len(p) && q.n < len(q.buf) {
			n := copy(q.gap(), p[written:])
			q.n += n
			written += n
		}
		q.readable.Broadcast()
		if written == len(p) {
			return written, nil
		}
		q.writable.Wait()
	}
}

// refusal returns why nothing can be written now.
func (q *queue) refusal() error {
	if q.err != nil {
		return q.err
	}
	if q.writeDeadline.expired {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// gap returns the free bytes that follow the last one in the ring.
func (q *queue) gap() []byte {
	end := (q.start + q.n) % len(q.buf)
	return q.buf[end:min(end+len(q.buf)-q.n, len(q.buf))]
}

// fill reads n bytes from r into the queue and waits for space. Once the queue
// has ended, it reads them and drops them. Only one goroutine may call it, and
// none Write. The error is r's.
func (q *queue) fill(r io.Reader, n int) error {
	for n > 0 {
		free := q.reserve()
		if free == nil {
			_, err := io.CopyN(io.Discard, r, int64(n))
			return err
		}
		got, err := r.Read(free[:min(n, len(free))])
		q.commit(got)
		n -= got
		if err != nil && n > 0 {
			return err
		}
	}
	return nil
}

// reserve waits for a gap; it returns nil once the queue has ended.
func (q *queue) reserve() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == len(q.buf) && q.err == nil {
		q.writable.Wait()
	}
	if q.err != nil {
		return nil
	}
	return q.gap()
}

// commit appends the first n bytes of the gap.
func (q *queue) commit(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.n += n
	}
	q.readable.Broadcast()
}

// wake makes one Read return.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.woken = true
	q.readable.Broadcast()
}

// finish ends the queue: what it holds can still be read, then Read and from
// now on Write fail with err. The first reason stays.
func (q *queue) finish(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.readable.Broadcast()
	q.writable.Broadcast()
}

// abort ends the queue and drops what it holds.
func (q *queue) abort(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n = 0
	q.err = err
	q.readDeadline.stop()
	q.writeDeadline.stop()
	q.readable.Broadcast()
	q.writable.Broadcast()
}

func (q *queue) setReadDeadline(t time.Time)  { q.set(&q.readDeadline, t) }
func (q *queue) setWriteDeadline(t time.Time) { q.set(&q.writeDeadline, t) }

func (q *queue) set(d *deadline, t time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.stop()
	d.expired = !t.IsZero() && !t.After(time.Now())
	if !t.IsZero() && !d.expired {
		generation := d.generation
		d.timer = time.AfterFunc(time.Until(t), func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			if d.generation == generation {
				d.expired = true
				q.readable.Broadcast()
				q.writable.Broadcast()
			}
		})
	}
	q.readable.Broadcast()
	q.writable.Broadcast()
}

// deadline is a moment after which one direction of a queue fails, until it is
// set again.
type deadline struct {
	timer *time.Timer
	// generation counts the calls of set: a timer of an earlier one that
	// fires late is ignored.
	generation int
	expired    bool
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.generation++
	d.expired = false
}
