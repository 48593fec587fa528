package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// hand speaks the wire by hand to one end, whose root lies beside a secret.
type hand struct {
	*pair
	conn *syncproto.Conn
	raw  net.Conn
	root string     // of the end that is spoken to
	end  chan error // what its session came to
	got  chan syncproto.Message
}

// patience is how long a test waits for what certainly comes.
const patience = time.Minute

const secret = "the user's secret"

func newHand(t *testing.T, side syncproto.Side) *hand {
	h := &hand{pair: newPair(t), end: make(chan error, 1), got: make(chan syncproto.Message, 4096)}
	h.root = h.laptop
	if side == syncproto.SideLaptop { // the hand is the laptop's
		h.root = h.pod
	}
	write(t, filepath.Dir(h.root), "outside/secret", secret)
	write(t, h.root, "mine", "mine")
	write(t, h.root, "folder/in", "in")
	write(t, h.root, ".git/config", secret)
	a, b := net.Pipe()
	h.raw = b
	var err error
	h.conn, err = syncproto.NewConn(b)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	h.boot()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if side == syncproto.SidePod {
			h.end <- h.leader.Run(ctx, a, "/src")
		} else {
			h.end <- Accept(ctx, a, func(string) (*Follower, error) { return h.follower, nil })
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = b.Close()
		<-done
	})
	_, err = h.conn.Hello(side, "by hand")
	must(t, err)
	return h
}

// listen passes on what arrives until the connection ends.
func (h *hand) listen() {
	go func() {
		defer close(h.got)
		for {
			m, err := h.conn.Read()
			if err != nil {
				return
			}
			h.got <- m
		}
	}()
}

// hear returns the next message that f takes.
func (h *hand) hear(f func(syncproto.Message) bool) {
	h.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case m, ok := <-h.got:
			if !ok {
				h.t.Fatal("the session ended")
			}
			if f(m) {
				return
			}
		case <-limit:
			h.t.Fatal("it never answered")
		}
	}
}

// handPod plays a pod whose tree was opened.
func handPod(t *testing.T) *hand {
	h := newHand(t, syncproto.SidePod)
	h.listen()
	h.hear(func(m syncproto.Message) bool { _, ok := m.(*syncproto.Open); return ok })
	return h
}

// open opens the pod's tree.
func (h *hand) open() *hand {
	must(h.t, h.conn.Write(&syncproto.Opened{Tree: [16]byte{1}}))
	return h
}

// handLaptop plays a laptop whose pod has told its tree.
func handLaptop(t *testing.T) *hand {
	h := newHand(t, syncproto.SideLaptop)
	must(t, h.conn.Write(&syncproto.Open{Root: "/src", Ignore: "/.git\n"}))
	h.listen()
	h.hear(func(m syncproto.Message) bool { r, ok := m.(*syncproto.Report); return ok && !r.More })
	return h
}

// ended waits for the end of the session and checks its error.
func (h *hand) ended(want error) {
	h.t.Helper()
	select {
	case err := <-h.end:
		h.end <- err
		if !errors.Is(err, want) {
			h.t.Errorf("the session ended with %v, want %v", err, want)
		}
	case <-time.After(patience):
		h.t.Error("the session goes on")
	}
}

// unharmed checks that nothing outside the root is other than it was, and that
// the secrets inside stayed where they were.
func (h *hand) unharmed() {
	h.t.Helper()
	outside := filepath.Join(filepath.Dir(h.root), "outside")
	list, err := os.ReadDir(outside)
	must(h.t, err)
	if len(list) != 1 || read(h.t, outside, "secret") != secret {
		h.t.Errorf("outside the root is %v", list)
	}
	above, err := os.ReadDir(filepath.Dir(h.root))
	must(h.t, err)
	for _, d := range above {
		switch d.Name() {
		case "laptop", "pod", "leader", "follower", "outside":
		default:
			h.t.Errorf("%s appeared beside the root", d.Name())
		}
	}
	if read(h.t, h.root, ".git/config") != secret {
		h.t.Error("an ignored file is other than it was")
	}
	list, err = os.ReadDir(filepath.Join(h.root, ".git"))
	must(h.t, err)
	if len(list) != 1 {
		h.t.Errorf("an ignored folder holds %v", list)
	}
}

func fileOf(content string) tree.Entry {
	return tree.Entry{Type: syncproto.EntryFile, Mode: 0o644, Size: int64(len(content)), Digest: tree.Sum([]byte(content))}
}

func linkTo(target string) tree.Entry {
	return tree.Entry{Type: syncproto.EntrySymlink, Target: target}
}

// badPaths are no paths.
var badPaths = []string{
	"../evil", "/evil", "a/../../evil", "..", ".", "", "a//b", "a/", "a\x00b", "./a", strings.Repeat("n", 256), strings.Repeat("a/", 16384) + "a",
}

// frame sends a frame as it is.
func (h *hand) frame(t syncproto.Type, flags byte, size uint32, payload []byte) {
	b := binary.BigEndian.AppendUint32(nil, size)
	_, _ = h.raw.Write(append(append(b, byte(t), flags), payload...)) // it may hang up before
}

// Lengths that lie, counts that lie, and little that inflates to much: the
// session ends, and memory was not taken.
func TestHostileFrames(t *testing.T) {
	var bomb bytes.Buffer
	enc, err := zstd.NewWriter(&bomb, zstd.WithEncoderLevel(zstd.SpeedFastest))
	must(t, err)
	zeros := make([]byte, 1<<20)
	for range 256 { // 256 MiB
		_, err := enc.Write(zeros)
		must(t, err)
	}
	must(t, enc.Close())
	inflates := func(size uint64) []byte { return append(binary.AppendUvarint(nil, size), bomb.Bytes()...) }
	count := binary.AppendUvarint([]byte{syncproto.ReportFull}, 1<<40)
	for name, send := range map[string]func(h *hand){
		"a frame of 4 GiB":             func(h *hand) { h.frame(syncproto.TypeReport, 0, 1<<32-1, nil) },
		"a count of 2^40":              func(h *hand) { h.frame(syncproto.TypeReport, 0, uint32(len(count)), count) },
		"a bomb that says what it is":  func(h *hand) { h.bomb(inflates(1 << 30)) },
		"a bomb that says it is small": func(h *hand) { h.bomb(inflates(1000)) },
		"a bomb of the largest size":   func(h *hand) { h.bomb(inflates(syncproto.MaxPayload)) },
		"unknown flags":                func(h *hand) { h.frame(syncproto.TypeReport, 0x80, 0, nil) },
		"unknown type":                 func(h *hand) { h.frame(99, 0, 0, nil) },
	} {
		for _, side := range []syncproto.Side{syncproto.SideLaptop, syncproto.SidePod} {
			t.Run(fmt.Sprintf("%s to the laptop %v", name, side == syncproto.SidePod), func(t *testing.T) {
				var h *hand
				if side == syncproto.SidePod {
					h = handPod(t).open()
				} else {
					h = handLaptop(t)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				send(h)
				h.ended(syncproto.ErrMalformed)
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
					t.Errorf("%d MiB were taken", n>>20)
				}
			})
		}
	}
}

func (h *hand) bomb(payload []byte) {
	h.frame(syncproto.TypeReport, syncproto.FlagZstd, uint32(len(payload)), payload)
}
