//go:build linux

package runner

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
)

// The wire is pinned: a runner outlives the sidecar that started with it.
func TestProtocolIsPinned(t *testing.T) {
	got := []int{
		int(FrameHello), int(FrameStart), int(FrameDial), int(FrameListen), int(FrameSocket), int(FrameFailed), int(FrameStdin),
		int(FrameStdinEOF), int(FrameWindow), int(FrameSignal), int(FrameStdout), int(FrameStderr), int(FrameCredit), int(FrameExit), int(FrameAttach), int(FrameMounts),
		ProtocolVersion, MaxPayload, MaxData, StdinWindow, frame.HeaderSize,
	}
	want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 3, 262144, 32768, 262144, 5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	b, err := message(FrameStart, Start{Line: "ls", Env: []string{"A=b"}, TTY: &TTY{Term: "xterm", Size: Size{Cols: 80, Rows: 24}, Modes: map[uint8]uint32{53: 0}}})
	if err != nil {
		t.Fatal(err)
	}
	json := `{"line":"ls","env":["A=b"],"tty":{"term":"xterm","size":{"cols":80,"rows":24},"modes":{"53":0}}}`
	if want := "\x02\x00\x00\x00" + string(rune(len(json))) + json; string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

func TestProtocolIsSpecified(t *testing.T) {
	spec, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("protocol.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\tFrame(\w+) +FrameType`).FindAllSubmatch(source, -1) {
		if !bytes.Contains(spec, append([]byte("**"), m[1]...)) {
			t.Errorf("PROTOCOL.md says nothing of %s", m[1])
		}
	}
}

func TestReadFrame(t *testing.T) {
	for name, test := range map[string]struct {
		bytes string
		err   string
	}{
		"nothing":            {"", "EOF"},
		"half a header":      {"\x07\x00", "unexpected EOF"},
		"no payload":         {"\x07\x00\x00\x00\x02", "unexpected EOF"},
		"half a payload":     {"\x07\x00\x00\x00\x02x", "unexpected EOF"},
		"large data":         {"\x07\x00\x00\x80\x01", "at most 32768"},
		"large message":      {"\x02\x00\x04\x00\x01", "at most 262144"},
		"huge":               {"\x02\xff\xff\xff\xff", "at most 262144"},
		"unknown type":       {"\x63\x00\x00\x00\x01x", "at most 0"},
		"payload of the end": {"\x08\x00\x00\x00\x01x", "at most 0"},
		"long signal":        {"\x0a\x00\x00\x01\x01", "at most 256"},
	} {
		if _, _, err := readFrame(strings.NewReader(test.bytes)); err == nil || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, want %q", name, err, test.err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(frame.New(FrameStdin, []byte("x")))
	f.Add(frame.New(FrameStdinEOF, nil))
	f.Add([]byte("\x01\xff\xff\xff\xff"))
	if hello, err := message(FrameHello, Hello{Protocol: 1}); err == nil {
		f.Add(hello)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			kind, payload, err := readFrame(r)
			if err != nil {
				return
			}
			if uint32(len(payload)) > payloadLimit(kind) {
				t.Fatalf("frame %d has %d bytes", kind, len(payload))
			}
			// What was read is what is written again.
			again := frame.New(kind, payload)
			at := len(b) - r.Len()
			if !bytes.Equal(again, b[at-len(again):at]) {
				t.Fatalf("%x became %x", b[at-len(again):at], again)
			}
			_, _ = decodeAny(kind, payload)
		}
	})
}

// decodeAny decodes a payload as its receiver would.
func decodeAny(kind FrameType, payload []byte) (any, error) {
	messages := map[FrameType]any{
		FrameHello: &Hello{}, FrameStart: &Start{}, FrameDial: &Socket{}, FrameListen: &Socket{}, FrameSocket: &Socket{},
		FrameFailed: &Failure{}, FrameWindow: &Size{}, FrameExit: &Exit{}, FrameAttach: &Attach{}, FrameMounts: &mounts.Request{},
	}
	m, ok := messages[kind]
	if !ok {
		return nil, nil
	}
	return m, frame.Decode(kind, kind, payload, m)
}

func TestHelloOfAnotherVersion(t *testing.T) {
	for name, stream := range map[string]string{
		"newer":   "\x01\x00\x00\x00\x0e" + `{"protocol":4}`,
		"garbage": "HTTP/1.1 400 Bad Request\r\n\r\n",
		"nothing": "",
	} {
		client, server := netPipe(t)
		go func() {
			_, _ = io.WriteString(server, stream)
			server.Close()
		}()
		if h, err := readHello(client); err == nil {
			t.Errorf("%s: accepted %+v", name, h)
		}
	}
}

func TestWindow(t *testing.T) {
	w := newWindow(StdinWindow)
	if err := w.put(make([]byte, StdinWindow)); err != nil {
		t.Fatal(err)
	}
	if err := w.put([]byte("x")); err == nil {
		t.Error("more than the window was accepted")
	}
	if got := len(w.take()); got != StdinWindow {
		t.Errorf("took %d bytes", got)
	}
	if err := w.put(binary.BigEndian.AppendUint32(nil, 1)); err != nil {
		t.Errorf("after the window was emptied: %v", err)
	}
	w.end()
	if got := len(w.take()); got != 4 {
		t.Errorf("took %d bytes before the end", got)
	}
	if got := w.take(); got != nil {
		t.Errorf("took %q after the end", got)
	}
	if err := w.put([]byte("x")); err == nil {
		t.Error("data after the end was accepted")
	}
}
