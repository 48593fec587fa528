package stage

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// supply is a source that has a large content.
type supply struct {
	content []byte
	list    []syncproto.Chunk
	asked   func()                                    // before the first list
	forge   func([]syncproto.Chunk) []syncproto.Chunk // makes a list a lie; nil for none
	spoil   func([]byte)                              // changes what is read; nil for not
	parts   int                                       // chunks in one answer
	lists   int
	read    int64
}

func newSupply(content []byte) *supply {
	r := chunk.NewReader(chunk.NewCutter())
	_, list, _ := r.Content(bytes.NewReader(content), int64(len(content)), nil)
	return &supply{content: content, list: list, parts: 7}
}

func (s *supply) Chunks(_ context.Context, offset int64) ([]syncproto.Chunk, error) {
	if s.lists++; s.lists == 1 && s.asked != nil {
		s.asked()
	}
	list := s.list
	for ; offset > 0 && len(list) > 0; list = list[1:] {
		offset -= int64(list[0].Length)
	}
	list = slices.Clone(list[:min(len(list), s.parts)])
	if s.forge != nil {
		list = s.forge(list)
	}
	return list, nil
}

func (s *supply) Read(_ context.Context, ranges []Range, yield func([]byte) error) error {
	for _, r := range ranges {
		for b := s.content[r.Offset:][:r.Length]; len(b) > 0; {
			n := min(len(b), 100_000)
			piece := bytes.Clone(b[:n])
			b = b[n:]
			if s.spoil != nil {
				s.spoil(piece)
			}
			s.read += int64(n)
			if err := yield(piece); err != nil {
				return err
			}
		}
	}
	return nil
}

func random(seed byte, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// receive applies a put of a large content that s has.
func (b *bench) receive(path string, s *supply, want syncproto.Code) {
	b.t.Helper()
	c := &syncproto.Change{Op: syncproto.OpPut, Path: path, Entry: file(string(s.content)), Expect: b.index.Get(path).Entry}
	res := b.applyOne(c, s)
	if res.Code != want {
		b.t.Fatalf("%q: code %d, want %d: %s", path, res.Code, want, res.Text)
	}
	if same := b.read(path) == string(s.content); same != (want == syncproto.CodeOK) {
		b.t.Errorf("%q has the new content: %v", path, same)
	}
	left, err := filepath.Glob(filepath.Join(b.dir, syncproto.TempPrefix+"*"))
	if err != nil || len(left) > 0 {
		b.t.Errorf("left are %q, %v", left, err)
	}
}

const large = 3 << 20

func TestAssemble(t *testing.T) {
	b := newBenchWithTrash(t, 1<<30)
	old := random(1, large)
	b.write("f", string(old))
	edited := bytes.Clone(old)
	copy(edited[large/2:], "edited")
	s := newSupply(edited)
	b.receive("f", s, syncproto.CodeOK)
	if s.read == 0 || s.read > 2*syncproto.ChunkMax {
		t.Errorf("%d bytes were fetched for an edit", s.read)
	}
	s = newSupply(append([]byte("inserted"), edited...))
	b.receive("elsewhere", s, syncproto.CodeOK)
	if s.read == 0 || s.read > 3*syncproto.ChunkMax {
		t.Errorf("%d bytes were fetched for a copy with an insertion", s.read)
	}
	for _, known := range [][]byte{old, edited} { // in the trash, in the root
		s = newSupply(known)
		b.receive("again", s, syncproto.CodeOK)
		if s.read+int64(s.lists) > 0 {
			t.Errorf("%d bytes and %d lists were fetched for what is here", s.read, s.lists)
		}
	}
}

// TestAssembleFindsLostLists forgets all lists first: the old version is cut
// again.
func TestAssembleFindsLostLists(t *testing.T) {
	b := newBench(t)
	old := random(1, large)
	rec := b.write("f", string(old))
	b.index.Chunks().Remove(rec.Digest, chunk.Place{Path: "f"})
	s := newSupply(append(old, "appended"...))
	b.receive("f", s, syncproto.CodeOK)
	if s.read > 2*syncproto.ChunkMax {
		t.Errorf("%d bytes were fetched", s.read)
	}
}

// TestAssembleWhileCopiesChange lets what is copied from change after it was
// found: nothing wrong is written.
func TestAssembleWhileCopiesChange(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(path string) error
		much   bool // more than is worth fetching chunk by chunk
	}{
		{"a little", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("changed"), large/2)
			return err
		}, false},
		{"all of it", func(path string) error { return os.WriteFile(path, random(9, large), 0o644) }, true},
		{"cut off", func(path string) error { return os.Truncate(path, large-100_000) }, false},
		{"gone", os.Remove, true},
		{"a symlink", func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink("/etc/passwd", path)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			old := random(1, large)
			b.write("source", string(old))
			s := newSupply(append([]byte("new "), old...))
			s.asked = func() { b.check(c.change(filepath.Join(b.dir, "source"))) }
			b.receive("f", s, syncproto.CodeOK)
			if !c.much {
				return
			}
			// With all of the list known at once, all of it is planned to be
			// copied; the next try knows better.
			b = newBench(t)
			b.write("source", string(old))
			s.lists, s.parts = 0, syncproto.MaxChunks
			b.receive("f", s, syncproto.CodeContent)
			b.receive("f", s, syncproto.CodeOK)
		})
	}
}

func TestAssembleRefuses(t *testing.T) {
	list := func(lengths ...uint32) func([]syncproto.Chunk) []syncproto.Chunk {
		return func([]syncproto.Chunk) (l []syncproto.Chunk) {
			for _, n := range lengths {
				l = append(l, syncproto.Chunk{Length: n})
			}
			return l
		}
	}
	forged := map[string]func([]syncproto.Chunk) []syncproto.Chunk{
		"nothing":         list(),
		"an empty chunk":  list(0),
		"a tiny chunk":    list(1),
		"a huge chunk":    list(1 << 30),
		"too much":        list(slices.Repeat([]uint32{syncproto.ChunkMax}, 100)...),
		"another content": list(slices.Repeat([]uint32{syncproto.ChunkMax}, large/syncproto.ChunkMax)...),
		"a wrong digest":  func(l []syncproto.Chunk) []syncproto.Chunk { l[0].Digest[0]++; return l },
		"a wrong order":   func(l []syncproto.Chunk) []syncproto.Chunk { slices.Reverse(l); return l },
	}
	for name, forge := range forged {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := newSupply(random(1, large))
			s.forge = forge
			b.receive("f", s, syncproto.CodeContent)
		})
	}
	t.Run("wrong bytes", func(t *testing.T) {
		b := newBench(t)
		s := newSupply(random(1, large))
		s.spoil = func(p []byte) { p[0]++ }
		b.receive("f", s, syncproto.CodeContent)
	})
}

func TestAssembleHoles(t *testing.T) {
	b := newBench(t)
	content := make([]byte, 8<<20)
	copy(content[3<<20:], random(1, 100_000))
	s := newSupply(content)
	b.receive("sparse", s, syncproto.CodeOK)
	if s.read > 2*syncproto.ChunkMax {
		t.Errorf("%d bytes of zeros were fetched", s.read)
	}
	if n := allocated(t, filepath.Join(b.dir, "sparse")); n > 4<<20 {
		t.Errorf("%d bytes are allocated", n)
	}
}

// TestReaderOfPlacesStaysInside holds that a place that leads out of the root
// or the trash is not read.
func TestReaderOfPlacesStaysInside(t *testing.T) {
	b := newBench(t)
	secret := random(1, large)
	b.check(os.WriteFile(filepath.Join(b.outside, "large"), secret, 0o644))
	d := tree.Sum(secret)
	s := newSupply(secret)
	b.index.Chunks().Describe(d, s.list)
	for _, p := range []chunk.Place{{Path: "../outside/large"}, {Trash: true, Path: "../outside/large"}} {
		b.index.Chunks().Put(d, p)
	}
	res := b.applyOne(&syncproto.Change{Op: syncproto.OpPut, Path: "f", Entry: file(string(secret))}, nobody{})
	if res.Code != syncproto.CodeContent {
		t.Errorf("code %d: %s", res.Code, res.Text)
	}
}
