package syncproto

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// stream is a connection whose reads come from r and whose writes go to w.
type stream struct {
	io.Reader
	io.Writer
}

func (stream) Close() error { return nil }

func newConn(t testing.TB, r io.Reader, w io.Writer) *Conn {
	t.Helper()
	c, err := NewConn(stream{r, w})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func samples() []Message {
	file := Entry{Type: EntryFile, Mode: 0o644, Size: 5, MTime: -7, Digest: Digest{1, 2, 3}}
	dir := Entry{Type: EntryDir, Mode: 0o755}
	link := Entry{Type: EntrySymlink, Target: "../x\xff"}
	return []Message{
		&Open{Root: "/src", Base: Digest{9}, Ignore: "node_modules\n*.log"},
		&Opened{Tree: [16]byte{7}, Same: true, NoModes: true, FoldCase: true},
		&Report{Full: true, More: true, Items: []Item{{"a/b\n", file}, {"d", dir}, {"l", link}, {"gone", Entry{}}}},
		&Batch{ID: 3, Generation: 4, Changes: []Change{
			{Op: OpPut, Keep: true, First: true, Path: "f", Entry: file, Expect: link, Inline: true, Content: []byte("hello")},
			{Op: OpPut, Path: "g", Entry: file, From: "f"},
			{Op: OpDelete, Path: "d", Expect: dir},
			{Op: OpMkdir, Path: "e", Entry: dir},
			{Op: OpSymlink, Path: "l", Entry: link},
			{Op: OpChmod, Path: "h", Entry: dir, Expect: Entry{Type: EntryDir, Mode: 0o700}},
		}},
		&Ack{Batch: 3, Results: []Result{{Code: CodeOK, Entry: file}, {Code: CodeChanged, Text: "changed meanwhile"}}},
		&Request{ID: 8, Path: "f", Digest: Digest{4}, Offset: 1 << 40, Length: MaxPiece},
		&Data{ID: 8, Code: CodeOK, Content: []byte("hello")},
		&Ignore{Lines: "*.tmp"},
		&Notice{Kind: NoticeStopped, Text: "the root is gone"},
		&Stop{Code: StopReplaced, Text: "a newer session"},
		&Flush{ID: 11},
		&Flushed{ID: 11},
		&Chunks{ID: 8, Path: "f", Digest: Digest{4}, Offset: 1 << 40},
		&ChunkList{ID: 8, Code: CodeOK, Chunks: []Chunk{{Length: ChunkMin, Digest: Digest{5}}, {Length: 1, Digest: Digest{6}}}},
		&Trash{ID: 12},
		&TrashList{ID: 12, Now: 1_700_000_000_000_000_000, Batches: []TrashBatch{
			{Name: "20231114-221320.000", Time: -5, Entries: 4, Bytes: 1 << 33, Why: WhyDeleted | WhyUndone, Paths: []string{"a/b", "c\n"}},
			{Name: "older", Why: WhyFirst, Paths: []string{}},
		}},
		&Undo{ID: 13, Absent: true, Batch: "20231114-221320.000"},
		&Undone{ID: 13, Restored: 3, Failed: 1, Failures: []Failure{{"a/b", "permission denied"}}, Text: "no such batch"},
	}
}

func TestRoundTrip(t *testing.T) {
	big := &Data{ID: 1, Content: bytes.Repeat([]byte("compressible "), 10_000)}
	for _, m := range append(samples(), big) {
		var buf bytes.Buffer
		c := newConn(t, &buf, &buf)
		if err := c.Write(m); err != nil {
			t.Fatal(err)
		}
		size := buf.Len()
		got, err := c.Read()
		if err != nil {
			t.Fatalf("type %d: %v", m.Type(), err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("type %d: got %+v, want %+v", m.Type(), got, m)
		}
		if m == Message(big) && size > 2000 {
			t.Errorf("a compressible payload took %d bytes", size)
		}
	}
}

// vector is a file of testdata/vectors: lines of "key: value".
type vector struct{ kind, expect, want, bytes string }

func readVector(t *testing.T, path string) vector {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ": ")
		switch key {
		case "kind":
			v.kind = value
		case "expect":
			v.expect = value
		case "want":
			v.want = value
		case "bytes":
			b, err := hex.DecodeString(strings.ReplaceAll(value, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			v.bytes = string(b)
		}
	}
	return v
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	good, bad := map[string]int{}, map[string]int{}
	for _, path := range files {
		v := readVector(t, path)
		var out bytes.Buffer
		c := newConn(t, strings.NewReader(v.bytes), &out)
		var err error
		var got string
		if v.kind == "hello" {
			got, err = c.Hello(SidePod, "pod")
		} else {
			var m Message
			if m, err = c.Read(); err == nil {
				got = strconv.QuoteToASCII(fmt.Sprintf("%+v", m))
				if err := c.Write(m); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				if out.String() != v.bytes {
					t.Errorf("%s: written as %x", path, out.Bytes())
				}
			}
		}
		if v.expect == "ok" {
			good[v.kind]++
			if err != nil || got != v.want {
				t.Errorf("%s: got %q, %v; want %q", path, got, err, v.want)
			}
			continue
		}
		bad[v.kind]++
		if err == nil || !strings.Contains(err.Error(), v.expect) {
			t.Errorf("%s: error %v, want %q", path, err, v.expect)
		}
	}
	for _, m := range samples() {
		typ := m.Type()
		kind := fmt.Sprint(int(typ))
		if good[kind] == 0 || bad[kind] == 0 {
			t.Errorf("type %s has %d good and %d bad vectors", kind, good[kind], bad[kind])
		}
	}
	if good["hello"] < 1 || bad["hello"] < 4 {
		t.Errorf("hello has %d good and %d bad vectors", good["hello"], bad["hello"])
	}
}

func TestHello(t *testing.T) {
	a, b := net.Pipe()
	laptop, pod := newConn(t, a, a), newConn(t, b, b)
	done := make(chan error, 1)
	go func() {
		build, err := pod.Hello(SidePod, "agent 1")
		if err == nil && build != "plugin 2" {
			err = fmt.Errorf("build %q", build)
		}
		done <- err
	}()
	build, err := laptop.Hello(SideLaptop, "plugin 2")
	if err != nil || build != "agent 1" {
		t.Errorf("laptop: %q, %v", build, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestVersionError(t *testing.T) {
	for _, c := range []struct {
		side          Side
		local, remote uint16
		want          string
	}{
		{SideLaptop, 1, 2, "upgrade kubectl-okteto on the laptop"},
		{SideLaptop, 2, 1, "upgrade the agent image in the pod"},
		{SidePod, 1, 2, "upgrade the agent image in the pod"},
		{SidePod, 2, 1, "upgrade kubectl-okteto on the laptop"},
	} {
		err := &VersionError{Side: c.side, Local: c.local, Remote: c.remote}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %s", c, err)
		}
	}
}

func TestWriteTooLarge(t *testing.T) {
	var buf bytes.Buffer
	c := newConn(t, &buf, &buf)
	if err := c.Write(&Ignore{Lines: strings.Repeat("x", MaxPayload)}); err == nil || buf.Len() > 0 {
		t.Errorf("error %v, %d bytes written", err, buf.Len())
	}
}

func TestVerifyPath(t *testing.T) {
	for _, p := range []string{"a", "a/b", "...", "a\nb", "\xff", strings.Repeat("n", 255), "a/..b"} {
		if err := VerifyPath(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\x00", strings.Repeat("n", 256)} {
		if VerifyPath(p) == nil {
			t.Errorf("%q is accepted", p)
		}
	}
}

// FuzzRead feeds arbitrary bytes to a reader: it must neither panic nor take
// much more memory than a frame, and what it accepts must survive a round
// trip.
func FuzzRead(f *testing.F) {
	for _, m := range samples() {
		var buf bytes.Buffer
		if err := newConn(f, &buf, &buf).Write(m); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
	}
	f.Add([]byte{0, 0, 0, 9, 3, 1, 0xff, 0xff, 0x3f, 0x28, 0xb5, 0x2f, 0xfd, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newConn(t, bytes.NewReader(data), io.Discard)
		for {
			m, err := c.Read()
			if err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrMalformed) {
					return
				}
				t.Fatal(err)
			}
			again, err := decode(m.Type(), m.appendTo(nil))
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%+v is not stable: %+v, %v", m, again, err)
			}
		}
	})
}

// FuzzHello feeds arbitrary bytes to the hello.
func FuzzHello(f *testing.F) {
	f.Add(appendHello(nil, Version, "build"))
	f.Add([]byte("Last login: yesterday\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newConn(t, bytes.NewReader(data), io.Discard)
		_, err := c.Hello(SidePod, "")
		var version *VersionError
		if err != nil && !errors.Is(err, ErrNotSync) && !errors.As(err, &version) {
			t.Fatal(err)
		}
	})
}
