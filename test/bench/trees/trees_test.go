package trees

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestGenerate looks at a small tree of the generator: its numbers, and that a
// second one is the same.
func TestGenerate(t *testing.T) {
	s := shape{folders: 200, files: 600, bytes: 12e6, huge: 2}
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if err := generate(dir, s); err != nil {
			t.Fatal(err)
		}
	}
	folders, files, size := count(t, first)
	if folders != s.folders || files != s.files {
		t.Errorf("%d folders and %d files, want %d and %d", folders, files, s.folders, s.files)
	}
	if size < s.bytes*99/100 || size > s.bytes*101/100 {
		t.Errorf("%d bytes, want %d", size, s.bytes)
	}
	if digest(t, first) != digest(t, second) {
		t.Error("two trees of the same shape differ")
	}
	for m := range Modules {
		if _, n, _ := count(t, filepath.Join(first, Module(m))); n != s.files/Modules {
			t.Errorf("%s has %d files", Module(m), n)
		}
	}
}

// TestText holds the text to compress as sources do.
func TestText(t *testing.T) {
	const size = 100_000
	var squeezed bytes.Buffer
	w, err := flate.NewWriter(&squeezed, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, newVocabulary(rand.New(rand.NewPCG(1, 2))), size); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ratio := size / float64(squeezed.Len()); ratio < 2.5 || ratio > 5 {
		t.Errorf("text compresses to 1/%.1f", ratio)
	}
}

func count(t *testing.T, dir string) (folders, files int, size int64) {
	t.Helper()
	walk(t, dir, func(path string, info fs.FileInfo) {
		switch {
		case info.IsDir():
			folders++
		default:
			files++
			size += info.Size()
		}
	})
	return folders, files, size
}

func digest(t *testing.T, dir string) [sha256.Size]byte {
	t.Helper()
	var all bytes.Buffer
	walk(t, dir, func(path string, info fs.FileInfo) {
		rel, _ := filepath.Rel(dir, path)
		all.WriteString(rel)
		if !info.IsDir() {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(content)
		}
	})
	return sha256.Sum256(all.Bytes())
}

func walk(t *testing.T, dir string, visit func(path string, info fs.FileInfo)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err == nil {
			visit(path, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
