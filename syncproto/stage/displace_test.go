package stage

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// TestWrittenAtTheLastMoment lets a local program write between the last check
// of a path and the rename or removal that follows it.
func TestWrittenAtTheLastMoment(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs renameat2")
	}
	moved := func(b *bench) {
		b.check(os.WriteFile(filepath.Join(b.dir, "other"), []byte("user's"), 0o644))
		b.check(os.Rename(filepath.Join(b.dir, "other"), filepath.Join(b.dir, "f")))
	}
	inPlace := func(b *bench) { b.check(os.WriteFile(filepath.Join(b.dir, "f"), []byte("user's"), 0o644)) }
	folder := func(b *bench) {
		b.check(os.RemoveAll(filepath.Join(b.dir, "f")))
		b.check(os.Mkdir(filepath.Join(b.dir, "f"), 0o755))
		b.check(os.WriteFile(filepath.Join(b.dir, "f/in"), []byte("user's"), 0o644))
	}
	for _, c := range []struct {
		name   string
		before string // content of f, "" for no file
		op     syncproto.Op
		user   func(*bench)
		path   string
	}{
		{"created", "", syncproto.OpPut, moved, "f"},
		{"folder created", "", syncproto.OpPut, folder, "f/in"},
		{"replaced", "old", syncproto.OpPut, moved, "f"},
		{"written in place", "old", syncproto.OpPut, inPlace, "f"},
		{"replaced by a folder", "old", syncproto.OpPut, folder, "f/in"},
		{"deleted: replaced", "old", syncproto.OpDelete, moved, "f"},
		{"deleted: written in place", "old", syncproto.OpDelete, inPlace, "f"},
		{"deleted: replaced by a folder", "old", syncproto.OpDelete, folder, "f/in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			change := &syncproto.Change{Op: c.op, Path: "f"}
			if c.before != "" {
				change.Expect = b.write("f", c.before)
			}
			if c.op == syncproto.OpPut {
				change.Entry = file("pod's")
			}
			batch := b.stage.Begin("1")
			defer batch.End()
			dir, err := batch.parent(change)
			b.check(err)
			target := target{Change: change, dir: dir.Root, at: dir.at, name: "f", batch: "1", bins: &batch.bins}
			b.check(os.WriteFile(filepath.Join(b.dir, syncproto.TempPrefix+"x"), []byte("pod's"), 0o640))
			now, _, err := b.stage.check(target)
			b.check(err)
			b.check(b.stage.retire(target))
			c.user(b)
			if c.op == syncproto.OpDelete {
				err = b.stage.remove(target, now)
			} else {
				err = b.stage.replace(target, syncproto.TempPrefix+"x", now)
			}
			if code(err) != syncproto.CodeChanged {
				t.Errorf("the change ended with %v", err)
			}
			if got := b.read(c.path); got != "user's" {
				t.Errorf("%s holds %q", c.path, got)
			}
		})
	}
}

// TestFileTookFolder removes a folder whose name a file has taken.
func TestFileTookFolder(t *testing.T) {
	b := newBench(t)
	b.check(os.Mkdir(filepath.Join(b.dir, "f"), 0o755))
	batch := b.stage.Begin("1")
	defer batch.End()
	change := &syncproto.Change{Op: syncproto.OpDelete, Path: "f", Expect: tree.Entry{Type: syncproto.EntryDir, Mode: 0o755}}
	dir, err := batch.parent(change)
	b.check(err)
	b.check(os.Remove(filepath.Join(b.dir, "f")))
	b.write("f", "user's")
	err = b.stage.remove(target{Change: change, dir: dir.Root, at: dir.at, name: "f", batch: "1", bins: &batch.bins}, tree.Record{Entry: change.Expect})
	if runtime.GOOS == "linux" && (code(err) != syncproto.CodeChanged || b.read("f") != "user's") {
		t.Errorf("%v, f holds %q", err, b.read("f"))
	}
}

// TestPlacedByOther lets a local program put an older file of the same size in
// the place of one that was just written: its content must be looked at.
func TestPlacedByOther(t *testing.T) {
	b := newBench(t)
	e := b.write("f", "ours")
	b.write("other", "user")
	old := filepath.Join(b.dir, "other")
	at := mustStat(t, filepath.Join(b.dir, "f")).ModTime().AddDate(-1, 0, 0)
	b.check(os.Chtimes(old, at, at))
	b.check(os.Rename(old, filepath.Join(b.dir, "f")))
	b.check(b.index.Placed(b.root.Root, "f", "f", e))
	if _, err := b.index.Look(b.root, "f", func(string, string) {}); err != nil {
		t.Fatal(err)
	}
	if got := b.index.Get("f").Digest; got != tree.Sum([]byte("user")) {
		t.Error("the index holds the content that was there before")
	}
}

func mustStat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return info
}
