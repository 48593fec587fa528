package chunk

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"pgregory.net/rapid"
)

// random returns the same bytes for the same seed.
func random(seed byte, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// cut is the plain way to cut a content.
func cut(c *Cutter, b []byte) (chunks []syncproto.Chunk) {
	for len(b) > 0 {
		n := c.Cut(b, true)
		chunks = append(chunks, syncproto.Chunk{Length: uint32(n), Digest: Sum(b[:n])})
		b = b[n:]
	}
	return chunks
}

// sample returns what a name in the golden file stands for.
func sample(t *testing.T, name string) []byte {
	var size int
	kind, _, _ := strings.Cut(name, "-")
	if _, err := fmt.Sscanf(name, kind+"-%d", &size); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	b := make([]byte, size)
	switch kind {
	case "zeros":
	case "counter": // each u32 in turn, big-endian
		for i := range b {
			b[i] = byte(i / 4 >> (8 * (3 - i%4)))
		}
	case "squares": // the low byte of i*i/256
		for i := range b {
			b[i] = byte(i * i >> 8)
		}
	case "chacha8": // the output of ChaCha8 for a seed of 32 zero bytes
		b = random(0, size)
	default:
		t.Fatalf("no content %q", kind)
	}
	return b
}

// TestGolden holds the chunks of some contents against a file, which is part
// of the specification: name, digest, lengths.
func TestGolden(t *testing.T) {
	f, err := os.Open("testdata/chunks.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := NewReader(NewCutter())
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		name, _, _ := strings.Cut(s.Text(), " ")
		b := sample(t, name)
		d, chunks, err := r.Content(bytes.NewReader(b), int64(len(b)), nil)
		got := fmt.Sprint(name, " ", d)
		for _, c := range chunks {
			got += fmt.Sprint(" ", c.Length)
		}
		if err != nil || got != s.Text() {
			t.Errorf("got  %s, %v\nwant %s", got, err, s.Text())
		}
	}
	if lines < 6 {
		t.Errorf("only %d contents", lines)
	}
}

// TestReader reads in pieces of any size, and finds the chunks that the plain
// way finds.
func TestReader(t *testing.T) {
	c := NewCutter()
	r := NewReader(c)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(syncproto.MaxInline+1, 3<<20).Draw(t, "size")
		b := random(rapid.Byte().Draw(t, "seed"), size)
		for range rapid.IntRange(0, 3).Draw(t, "zeros") { // as in sparse files
			from := rapid.IntRange(0, size).Draw(t, "from")
			clear(b[from:min(size, from+rapid.IntRange(0, 2<<20).Draw(t, "length"))])
		}
		var src io.Reader = bytes.NewReader(b)
		if rapid.Bool().Draw(t, "halves") {
			src = iotest.HalfReader(src)
		}
		want := cut(c, b)
		var old []syncproto.Chunk // of a content that is like this one here and there
		if rapid.Bool().Draw(t, "old") {
			before := bytes.Clone(b)
			for range rapid.IntRange(0, 3).Draw(t, "edits") {
				from := rapid.IntRange(0, len(before)-1).Draw(t, "at")
				end := min(len(before), from+rapid.IntRange(0, 300_000).Draw(t, "replaced"))
				added := random(rapid.Byte().Draw(t, "by"), rapid.IntRange(0, 300_000).Draw(t, "added"))
				before = append(append(bytes.Clone(before[:from]), added...), before[end:]...)
				if len(before) == 0 {
					break
				}
			}
			old = cut(c, before)
		}
		d, got, err := r.Content(src, int64(size), old)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
		s := NewSummer()
		at := 0
		for len(want) > 0 { // in parts, as it travels
			n := rapid.IntRange(1, len(want)).Draw(t, "part")
			if err := s.Add(want[:n], int64(size)); err != nil {
				t.Fatal(err)
			}
			want = want[n:]
			at += n
			rest, err := r.Chunks(bytes.NewReader(b[s.Size():]), 2)
			if err != nil || fmt.Sprint(rest) != fmt.Sprint(got[at:min(len(got), at+2)]) {
				t.Fatalf("from chunk %d on: %v, %v", at, rest, err)
			}
		}
		if s.Size() != int64(size) || s.Digest() != d {
			t.Fatal("the digest is not that of the list")
		}
	})
}

// TestLostEnd takes away the end of each chunk in turn, so that what was hashed
// ahead of its turn began elsewhere than the next chunk does.
func TestLostEnd(t *testing.T) {
	c := NewCutter()
	r := NewReader(c)
	before := random(9, 6<<20)
	old := cut(c, before)
	end := 0
	for i, k := range old {
		end += int(k.Length)
		after := bytes.Clone(before)
		copy(after[end-window:end], random(byte(i), window))
		want := cut(c, after)
		_, got, err := r.Content(bytes.NewReader(after), int64(len(after)), old)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("chunk %d: got %v, %v, want %v", i, got, err, want)
		}
	}
}

// TestResynchronize inserts and deletes: all but a few chunks stay.
func TestResynchronize(t *testing.T) {
	c := NewCutter()
	before := random(7, 4<<20)
	have := map[syncproto.Chunk]bool{}
	for _, k := range cut(c, before) {
		if k.Length > syncproto.ChunkMax {
			t.Fatalf("a chunk of %d bytes", k.Length)
		}
		have[k] = true
	}
	if len(have) < 20 || len(have) > 50 {
		t.Errorf("%d chunks in 4 MiB", len(have))
	}
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(before)).Draw(t, "at")
		gone := rapid.IntRange(0, min(100_000, len(before)-at)).Draw(t, "deleted")
		added := random(rapid.Byte().Draw(t, "seed"), rapid.IntRange(0, 100_000).Draw(t, "inserted"))
		after := append(append(bytes.Clone(before[:at]), added...), before[at+gone:]...)
		changed := 0
		for _, k := range cut(c, after) {
			if !have[k] {
				changed += int(k.Length)
			}
		}
		if changed > len(added)+3*syncproto.ChunkMax {
			t.Fatalf("%d bytes in new chunks", changed)
		}
	})
}

func TestReaderErrors(t *testing.T) {
	r := NewReader(NewCutter())
	broken := errors.New("broken")
	for _, size := range []int{0, 1, syncproto.MaxInline, syncproto.MaxInline + 1, 3 << 20} {
		b := random(1, size)
		for _, claimed := range []int{size - 1, size + 1} {
			if claimed < 0 {
				continue
			}
			if _, _, err := r.Content(bytes.NewReader(b), int64(claimed), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes for %d: %v", size, claimed, err)
			}
		}
		src := io.MultiReader(bytes.NewReader(b), iotest.ErrReader(broken))
		if _, _, err := r.Content(src, int64(size)+1, nil); !errors.Is(err, broken) {
			t.Errorf("a reader that breaks after %d bytes: %v", size, err)
		}
		if _, _, err := r.Content(bytes.NewReader(b), int64(size), nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}

func TestSummerRefuses(t *testing.T) {
	list := func(lengths ...uint32) (l []syncproto.Chunk) {
		for _, n := range lengths {
			l = append(l, syncproto.Chunk{Length: n})
		}
		return l
	}
	const size = 1 << 20
	for name, l := range map[string][]syncproto.Chunk{
		"nothing":        {},
		"an empty chunk": list(0),
		"a short chunk":  list(1, syncproto.ChunkMax),
		"a long chunk":   list(syncproto.ChunkMax + 1),
		"too much":       list(syncproto.ChunkMax, syncproto.ChunkMax, 1),
		"the wrong last": list(syncproto.ChunkMax, 100, syncproto.ChunkMax-100, 1),
	} {
		if err := NewSummer().Add(l, size); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := NewSummer().Add(list(syncproto.ChunkMax, syncproto.ChunkMax-1, 1), size); err != nil {
		t.Errorf("a short chunk at the end: %v", err)
	}
}

// FuzzSummer adds chunk lists as they may arrive: what is accepted fits.
func FuzzSummer(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0}, int64(1<<20))
	f.Fuzz(func(t *testing.T, lengths []byte, size int64) {
		s := NewSummer()
		var sum int64
		for len(lengths) >= 3 {
			n := uint32(lengths[0])<<16 | uint32(lengths[1])<<8 | uint32(lengths[2])
			lengths = lengths[3:]
			if s.Add([]syncproto.Chunk{{Length: n}}, size) != nil {
				return
			}
			if sum += int64(n); sum != s.Size() || sum > size || n > syncproto.ChunkMax || n == 0 {
				t.Fatalf("%d bytes of %d accepted", sum, size)
			}
		}
	})
}

func BenchmarkContent(b *testing.B) {
	data := random(3, 64<<20)
	r := NewReader(NewCutter())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := r.Content(bytes.NewReader(data), int64(len(data)), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAgain reads a content of which little changed.
func BenchmarkAgain(b *testing.B) {
	data := random(3, 64<<20)
	r := NewReader(NewCutter())
	old := cut(r.cutter, data)
	data = append([]byte("inserted"), data...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := r.Content(bytes.NewReader(data), int64(len(data)), old); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCut(b *testing.B) {
	data := random(3, 64<<20)
	c := NewCutter()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for rest := data; len(rest) > 0; {
			rest = rest[c.Cut(rest, true):]
		}
	}
}
