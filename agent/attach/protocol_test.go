package attach

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame/frametest"
)

// TestProtocolIsSpecified expects each type with its number in PROTOCOL.md: the
// two programs may be of different ages.
func TestProtocolIsSpecified(t *testing.T) {
	frametest.Specified(t, int(Exit))
	got := []int{Version, MaxMessage, MaxData, InputWindow, MaxOutput, MaxName}
	if want := "[1 262144 32763 1048576 4194304 64]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestVerify(t *testing.T) {
	good := Request{Version: Version, Session: "a1", Client: "B2", Start: &Start{Role: "up"}}
	if refusal := good.Verify(); refusal != nil {
		t.Error(refusal)
	}
	for name, change := range map[string]func(*Request){
		"version": func(q *Request) { q.Version = 0 },
		"session": func(q *Request) { q.Session = "a/b" },
		"client":  func(q *Request) { q.Client = "" },
		"role":    func(q *Request) { q.Start = &Start{Role: "ü"} },
		"stdout":  func(q *Request) { q.Stdout = -1 },
		"stderr":  func(q *Request) { q.Stderr = -1 },
	} {
		q := good
		if change(&q); q.Verify() == nil {
			t.Errorf("%s: %+v is taken", name, q)
		}
	}
}

func TestTaken(t *testing.T) {
	for _, n := range []int64{0, 1, 1<<63 - 1} {
		kind, payload, err := Read(bytes.NewReader(NewTaken(n)))
		if err != nil || kind != Taken {
			t.Fatal(kind, err)
		}
		if got, err := ParseTaken(payload); got != n || err != nil {
			t.Errorf("%d became %d, %v", n, got, err)
		}
	}
	for _, payload := range []string{"", "1234567", "\xff2345678"} {
		if n, err := ParseTaken([]byte(payload)); err == nil {
			t.Errorf("%q became %d", payload, n)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(frame.New(Stdin, []byte("x")))
	f.Add(NewTaken(5))
	f.Add([]byte("\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			kind, payload, err := Read(r)
			if err != nil {
				return
			}
			if uint32(len(payload)) > kind.Limit() {
				t.Fatalf("frame %d has %d bytes", kind, len(payload))
			}
			again, at := frame.New(kind, payload), len(b)-r.Len()
			if !bytes.Equal(again, b[at-len(again):at]) {
				t.Fatalf("%x became %x", b[at-len(again):at], again)
			}
			var q Request
			if frame.Decode(kind, Open, payload, &q) == nil && q.Verify() == nil && (q.Session == "" || q.Client == "") {
				t.Fatalf("%+v is taken", q)
			}
		}
	})
}
