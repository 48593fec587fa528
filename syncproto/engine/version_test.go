package engine

import (
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// ageing changes the version in the hello that is written to a connection.
type ageing struct {
	net.Conn
	by    int
	hello bool // it has passed
}

func (c *ageing) Write(b []byte) (int, error) {
	const at = 8 // behind the magic
	if !c.hello {
		c.hello = true
		binary.BigEndian.PutUint16(b[at:], uint16(int(binary.BigEndian.Uint16(b[at:]))+c.by))
	}
	return c.Conn.Write(b)
}

// TestVersionsMeet lets ends of different versions meet: both must say which
// one to upgrade, in the same words, and leave both roots alone.
func TestVersionsMeet(t *testing.T) {
	for _, c := range []struct {
		name   string
		by     int // how much newer the laptop is
		advice string
	}{
		{"older laptop", -1, "upgrade kubectl-okteto on the laptop"},
		{"newer laptop", 1, "upgrade the agent image in the pod"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.boot()
			write(t, p.laptop, "here", "x")
			write(t, p.pod, "there", "y")
			a, b := net.Pipe()
			s := p.connect(&ageing{Conn: a, by: c.by}, &ageing{Conn: b, by: -c.by})
			for side, fate := range map[syncproto.Side]chan error{syncproto.SideLaptop: s.leads, syncproto.SidePod: s.follows} {
				var version *syncproto.VersionError
				if err := <-fate; !errors.As(err, &version) || version.Side != side || !strings.Contains(err.Error(), c.advice) {
					t.Errorf("laptop %v: %v", side, err)
				}
			}
			if exists(p.pod, "here") || exists(p.laptop, "there") {
				t.Error("something was synced")
			}
		})
	}
}
