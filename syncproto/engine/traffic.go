package engine

import (
	"io"
	"math"
	"sync"
	"time"
)

// Traffic is what went over the connections of a leader.
type Traffic struct {
	// Sent and Received are bytes, compressed and with the frames around them.
	Sent, Received int64
	// SendRate and ReceiveRate are bytes per second, of the last seconds.
	SendRate, ReceiveRate float64
}

// traffic counts what goes over a leader's connections and how far the files
// are that travel in pieces.
type traffic struct {
	mu             sync.Mutex
	sent, received meter
	moving         map[string]int64 // bytes of a file that have left
	last           string           // the file whose piece left last
}

func newTraffic() *traffic { return &traffic{moving: map[string]int64{}} }

// maxMoving bounds the files whose pieces are counted: more are not on their
// way at once unless the other end asks for what it needs not.
const maxMoving = 1024

// piece notes that a piece of a file left.
func (t *traffic) piece(path string, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.moving[path]; ok || len(t.moving) < maxMoving {
		t.moving[path] += int64(bytes)
		t.last = path
	}
}

// landed forgets a file that is complete, or failed.
func (t *traffic) landed(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == path {
		t.last = ""
	}
	delete(t.moving, path)
}

// ended forgets the files of a session that has ended.
func (t *traffic) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.moving)
	t.last = ""
}

// status returns the counts, the bytes of files that are not complete, and one
// of these files.
func (t *traffic) status(now time.Time) (wire Traffic, partial int64, current string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.moving {
		partial += n
	}
	return Traffic{
		Sent: t.sent.total, Received: t.received.total,
		SendRate: t.sent.at(now), ReceiveRate: t.received.at(now),
	}, partial, t.last
}

// count counts what goes over conn.
func (t *traffic) count(conn io.ReadWriteCloser) io.ReadWriteCloser {
	return &counted{ReadWriteCloser: conn, t: t}
}

type counted struct {
	io.ReadWriteCloser
	t *traffic
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	c.t.mu.Lock()
	c.t.received.add(n, time.Now())
	c.t.mu.Unlock()
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(b)
	c.t.mu.Lock()
	c.t.sent.add(n, time.Now())
	c.t.mu.Unlock()
	return n, err
}

// meter counts bytes and their rate: an average over time in which the past
// fades, so that nothing has to tick.
type meter struct {
	total int64
	rate  float64 // at time
	time  time.Time
}

// fade is the time in which what was counted loses all but 1/e of its weight.
const fade = 2 * time.Second

func (m *meter) add(n int, now time.Time) {
	m.rate, m.time = m.at(now)+float64(n)/fade.Seconds(), now
	m.total += int64(n)
}

func (m *meter) at(now time.Time) float64 {
	if m.time.IsZero() {
		return 0
	}
	return m.rate * math.Exp(-now.Sub(m.time).Seconds()/fade.Seconds())
}
