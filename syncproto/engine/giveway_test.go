package engine

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// tally counts the batches on their way.
type tally struct {
	sent, open, most atomic.Int64
}

// tallied is one end of a connection; each Write is a message.
type tallied struct {
	io.ReadWriteCloser
	*tally
}

func (c tallied) Write(b []byte) (int, error) {
	switch {
	case len(b) <= 4:
	case syncproto.Type(b[4]) == syncproto.TypeBatch:
		c.sent.Add(1)
		c.most.Store(max(c.most.Load(), c.open.Add(1)))
	case syncproto.Type(b[4]) == syncproto.TypeAck:
		c.open.Add(-1)
	}
	return c.ReadWriteCloser.Write(b)
}

// TestGiveWay counts the batches of a first sync: small ones, one after the
// other, as long as sync gives way.
func TestGiveWay(t *testing.T) {
	const files, never = 300, 1 << 30
	for name, c := range map[string]struct {
		until       int64 // batch up to which sync gives way
		least, most int64 // batches
	}{
		"not at all":       {0, 2, 5},
		"from end to end":  {never, files / gentleChanges, 2 * files / gentleChanges},
		"in the beginning": {3, 4, 8},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			for i := range files {
				write(t, p.laptop, fmt.Sprint("f", i), string(random(byte(i), 50+i)))
			}
			write(t, p.laptop, "large", string(random(1, 3<<20)))
			var n tally
			p.giveWay = func() bool { return n.sent.Load() < c.until }
			p.boot()
			a, b := net.Pipe()
			s := p.connect(tallied{a, &n}, tallied{b, &n})
			defer s.stop()
			p.settle()
			if got := n.sent.Load(); got < c.least || got > c.most {
				t.Errorf("%d batches, want %d to %d", got, c.least, c.most)
			}
			if c.until == never && n.most.Load() != 1 {
				t.Errorf("%d batches at once", n.most.Load())
			}
		})
	}
}
