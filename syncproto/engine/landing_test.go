package engine

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// withheld is a leader's connection on which nothing arrives between its first
// request and the one that makes enough.
type withheld struct {
	net.Conn
	enough int

	mu       sync.Mutex
	more     *sync.Cond
	requests int
	vain     bool // that was awaited for too long
}

func withhold(t *testing.T, conn net.Conn, enough int) *withheld {
	c := &withheld{Conn: conn, enough: enough}
	c.more = sync.NewCond(&c.mu)
	timer := time.AfterFunc(20*time.Second, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.vain = true
		c.more.Broadcast()
	})
	t.Cleanup(func() { timer.Stop() })
	return c
}

func (c *withheld) Write(b []byte) (int, error) {
	if len(b) > 4 && syncproto.Type(b[4]) == syncproto.TypeRequest {
		c.mu.Lock()
		c.requests++
		c.more.Broadcast()
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

func (c *withheld) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	for 0 < c.requests && c.requests < c.enough && !c.vain {
		c.more.Wait()
	}
	return n, err
}

// TestSmallFilesShareRoundTrips has the pod answer when the laptop has asked for
// all of 200 files. Empty ones need no answer.
func TestSmallFilesShareRoundTrips(t *testing.T) {
	const files, empty = 200, 20
	p := newPair(t)
	for i := range files {
		write(t, p.pod, fmt.Sprintf("d%d/f%d", i%7, i), string(random(byte(i), 1+i)))
	}
	for i := range empty {
		write(t, p.pod, fmt.Sprintf("d%d/e%d", i%7, i), "")
	}
	p.boot()
	a, b := net.Pipe()
	c := withhold(t, a, files)
	s := p.connect(c, b)
	defer s.stop()
	p.settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.vain || c.requests != files {
		t.Errorf("%d requests, waited in vain: %t", c.requests, c.vain)
	}
}

// TestQueueMakesLandings cuts lists, and puts them together.
func TestQueueMakesLandings(t *testing.T) {
	list := func(n int, size int64) []merge.Change {
		changes := make([]merge.Change, n)
		for i := range changes {
			changes[i].Op, changes[i].Entry = syncproto.OpPut, syncproto.Entry{Type: syncproto.EntryFile, Size: size}
		}
		return changes
	}
	for name, c := range map[string]struct {
		lists [][]merge.Change
		want  []int
	}{
		"lone":          {[][]merge.Change{list(1, 1)}, []int{1}},
		"many short":    {[][]merge.Change{list(1, 1), list(2, 1), list(3, 1)}, []int{6}},
		"long":          {[][]merge.Change{list(2*batchChanges+1, 1)}, []int{batchChanges, batchChanges, 1}},
		"over the end":  {[][]merge.Change{list(batchChanges-1, 1), list(2, 1)}, []int{batchChanges, 1}},
		"exactly":       {[][]merge.Change{list(batchChanges, 1), list(1, 1)}, []int{batchChanges, 1}},
		"heavy":         {[][]merge.Change{list(9, landingBytes/8)}, []int{8, 1}},
		"nothing asked": {[][]merge.Change{list(5, syncproto.MaxInline+1)}, []int{5}},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			for _, l := range c.lists {
				q.push(l)
			}
			for _, want := range c.want {
				got, err := q.pop(t.Context())
				if err != nil || len(got) != want {
					t.Fatalf("%d changes, error %v; want %d", len(got), err, want)
				}
			}
			if len(q.more) > 0 || len(q.lists) > 0 {
				t.Error("something is left")
			}
		})
	}
}
