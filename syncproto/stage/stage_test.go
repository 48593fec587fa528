package stage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// bench is a root with a stage, beside a folder that nothing may touch.
type bench struct {
	t            *testing.T
	dir, outside string
	trash        string
	index        *tree.Index
	root         *tree.Root
	stage        *Stage
}

func newBench(t *testing.T) *bench { return newBenchWithTrash(t, 1<<20) }

func newBenchWithTrash(t *testing.T, trashBytes int64) *bench {
	t.Helper()
	return newBenchIn(t, t.TempDir(), trashBytes)
}

func newBenchIn(t *testing.T, top string, trashBytes int64) *bench {
	t.Helper()
	b := &bench{t: t, dir: filepath.Join(top, "root"), outside: filepath.Join(top, "outside"), trash: filepath.Join(top, "trash"), index: tree.NewIndex()}
	b.check(os.Mkdir(b.dir, 0o755))
	b.check(os.Mkdir(b.outside, 0o755))
	b.check(os.WriteFile(filepath.Join(b.outside, "secret"), []byte("secret"), 0o644))
	var err error
	b.root, err = tree.OpenRoot(b.dir)
	b.check(err)
	trash, err := OpenTrash(b.trash, time.Hour, trashBytes, time.Now)
	b.check(err)
	t.Cleanup(func() {
		_ = b.root.Close()
		_ = trash.Close()
	})
	b.stage = New(Config{
		Root: b.root, Index: b.index, Trash: trash, Modes: true,
		Deletable: func(p string, _ bool) bool { return strings.HasSuffix(p, ".pyc") },
	})
	return b
}

func (b *bench) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) write(name, content string) tree.Entry {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	b.check(os.MkdirAll(filepath.Dir(path), 0o755))
	b.check(os.WriteFile(path, []byte(content), 0o644))
	_, err := b.index.Scan(b.t.Context(), b.root, "", tree.Options{Skipped: func(string, string) {}})
	b.check(err)
	return b.index.Get(name).Entry
}

func (b *bench) read(name string) string {
	got, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(got)
}

func file(content string) tree.Entry {
	return tree.Entry{Type: syncproto.EntryFile, Mode: 0o640, Size: int64(len(content)), MTime: 1e18, Digest: tree.Sum([]byte(content))}
}

func put(path, content string, expect tree.Entry) *syncproto.Change {
	return &syncproto.Change{Op: syncproto.OpPut, Path: path, Entry: file(content), Expect: expect, Inline: true, Content: []byte(content)}
}

// nobody is a source that has nothing.
type nobody struct{}

func (nobody) Chunks(context.Context, int64) ([]syncproto.Chunk, error) {
	return nil, ContentError(errors.New("nobody has it"))
}

func (nobody) Read(context.Context, []Range, func([]byte) error) error {
	return ContentError(errors.New("nobody has it"))
}

// apply applies c and checks the result and that nothing of ours is left.
func (b *bench) apply(c *syncproto.Change, want syncproto.Code) {
	b.t.Helper()
	res := b.applyOne(c, nobody{})
	if res.Code != want {
		b.t.Errorf("%q: code %d, want %d: %s", c.Path, res.Code, want, res.Text)
	}
	b.check(filepath.WalkDir(b.dir, func(p string, _ fs.DirEntry, err error) error {
		if tree.IsTemp(filepath.ToSlash(p)) {
			b.t.Errorf("%s is left", p)
		}
		return err
	}))
	got, err := os.ReadFile(filepath.Join(b.outside, "secret"))
	list, _ := os.ReadDir(b.outside)
	if err != nil || string(got) != "secret" || len(list) != 1 {
		b.t.Fatalf("%q reached outside of the root", c.Path)
	}
}

// applyOne applies c as a batch of its own.
func (b *bench) applyOne(c *syncproto.Change, source Source) syncproto.Result {
	batch := b.stage.Begin("batch")
	defer batch.End()
	return batch.Apply(b.t.Context(), c, source)
}

func (b *bench) trashed(name, content string) {
	b.t.Helper()
	got, err := os.ReadFile(filepath.Join(b.trash, "batch", name))
	if err != nil || string(got) != content {
		b.t.Errorf("trash holds %q, %v at %s", got, err, name)
	}
}

func TestPut(t *testing.T) {
	b := newBench(t)
	b.apply(put("a/b/f", "one", tree.Entry{}), syncproto.CodeOK)
	info, err := os.Stat(filepath.Join(b.dir, "a/b/f"))
	b.check(err)
	if b.read("a/b/f") != "one" || info.Mode().Perm() != 0o640 || info.ModTime().UnixNano() != 1e18 {
		t.Errorf("file is %v, %v", info.Mode(), info.ModTime())
	}
	if got := b.index.Get("a/b/f"); !got.Same(file("one")) {
		t.Errorf("index has %+v", got)
	}
	b.apply(put("a/b/f", "two", file("one")), syncproto.CodeOK)
	b.trashed("a/b/f", "one")
	b.apply(put("a/b/f", "two", file("one")), syncproto.CodeOK) // done already
	b.apply(put("a/b/f", "three", file("one")), syncproto.CodeChanged)
	if b.read("a/b/f") != "two" {
		t.Error("a refused change was applied")
	}
	c := put("a/b/f", "four", file("two"))
	c.Entry.Digest = tree.Sum([]byte("five"))
	b.apply(c, syncproto.CodeContent)
	c = put("g", "x", tree.Entry{})
	c.Inline, c.Content = false, nil
	b.apply(c, syncproto.CodeContent)
	c.Entry, c.From = file("two"), "a/b/f"
	b.apply(c, syncproto.CodeOK)
	if b.read("g") != "two" {
		t.Errorf("a copy holds %q", b.read("g"))
	}
	c.Path, c.Entry = "h", file("other")
	b.apply(c, syncproto.CodeContent)
}

// TestChangedBehindTheIndex edits files without telling the index.
func TestChangedBehindTheIndex(t *testing.T) {
	b := newBench(t)
	was := b.write("f", "known")
	b.check(os.WriteFile(filepath.Join(b.dir, "f"), []byte("edits"), 0o644))
	b.apply(put("f", "from afar", was), syncproto.CodeChanged)
	b.apply(&syncproto.Change{Op: syncproto.OpDelete, Path: "f", Expect: was}, syncproto.CodeChanged)
	if b.read("f") != "edits" {
		t.Error("an edit was overwritten")
	}
	if !b.index.Get("f").SameContent(tree.Entry{Type: syncproto.EntryFile, Size: 5, Digest: tree.Sum([]byte("edits"))}) {
		t.Error("the index does not know better now")
	}
	b.check(os.WriteFile(filepath.Join(b.dir, "new"), []byte("x"), 0o644))
	b.apply(put("new", "from afar", tree.Entry{}), syncproto.CodeChanged)
}

func TestOtherOperations(t *testing.T) {
	b := newBench(t)
	dir := tree.Entry{Type: syncproto.EntryDir, Mode: 0o751}
	link := tree.Entry{Type: syncproto.EntrySymlink, Target: "../outside/secret"}
	b.apply(&syncproto.Change{Op: syncproto.OpMkdir, Path: "d", Entry: dir}, syncproto.CodeOK)
	b.apply(&syncproto.Change{Op: syncproto.OpMkdir, Path: "d", Entry: dir}, syncproto.CodeOK)
	b.apply(&syncproto.Change{Op: syncproto.OpSymlink, Path: "d/l", Entry: link}, syncproto.CodeOK)
	b.apply(put("d/l", "a file now", link), syncproto.CodeOK)
	chmod := &syncproto.Change{Op: syncproto.OpChmod, Path: "d/l", Entry: file("a file now"), Expect: file("a file now")}
	chmod.Entry.Mode = 0o700
	b.apply(chmod, syncproto.CodeOK)
	if info, err := os.Lstat(filepath.Join(b.dir, "d/l")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("chmod: %v, %v", info, err)
	}
	gone := &syncproto.Change{Op: syncproto.OpDelete, Path: "d", Expect: dir}
	b.apply(gone, syncproto.CodeNotEmpty)
	b.apply(&syncproto.Change{Op: syncproto.OpDelete, Path: "d/l", Expect: chmod.Entry}, syncproto.CodeOK)
	b.trashed("../batch.2/d/l", "a file now") // the symlink went before it
	b.check(os.WriteFile(filepath.Join(b.dir, "d", "cache.pyc"), nil, 0o644))
	b.check(os.WriteFile(filepath.Join(b.dir, "d", syncproto.TempPrefix+"left"), nil, 0o644))
	b.check(os.WriteFile(filepath.Join(b.dir, "d", "mine"), nil, 0o644))
	res := b.applyOne(gone, nil)
	if res.Code != syncproto.CodeNotEmpty || b.read("d/cache.pyc") != "" {
		t.Errorf("a folder with a file of its own: %+v", res)
	}
	b.check(os.Remove(filepath.Join(b.dir, "d", "mine")))
	b.apply(gone, syncproto.CodeOK)
	b.apply(gone, syncproto.CodeOK) // gone already
	if _, err := os.Lstat(filepath.Join(b.dir, "d")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestHostilePeer tries to reach outside of the root, or to write where a path
// does not lead.
func TestHostilePeer(t *testing.T) {
	b := newBench(t)
	b.write("inside/f", "x")
	b.check(os.Symlink("../outside", filepath.Join(b.dir, "out")))
	b.check(os.Symlink("inside", filepath.Join(b.dir, "in")))
	b.check(os.Symlink("../outside/secret", filepath.Join(b.dir, "secret")))
	for _, p := range []string{"../outside/secret", "/etc/passwd", "a/../../outside/x", "", ".", "a//b", "a\x00b", syncproto.TempPrefix + "x"} {
		b.apply(put(p, "evil", tree.Entry{}), syncproto.CodeInvalid)
		b.apply(&syncproto.Change{Op: syncproto.OpDelete, Path: p, Expect: file("secret")}, syncproto.CodeInvalid)
	}
	for _, p := range []string{"out/secret", "out/new", "in/f", "in/new"} {
		b.apply(put(p, "evil", tree.Entry{}), syncproto.CodeChanged)
		b.apply(&syncproto.Change{Op: syncproto.OpMkdir, Path: p, Entry: tree.Entry{Type: syncproto.EntryDir, Mode: 0o777}}, syncproto.CodeChanged)
		b.apply(&syncproto.Change{Op: syncproto.OpDelete, Path: p, Expect: file("secret")}, syncproto.CodeChanged)
	}
	b.apply(put("secret", "evil", tree.Entry{}), syncproto.CodeChanged)
	b.apply(&syncproto.Change{Op: syncproto.OpChmod, Path: "secret", Entry: file("secret"), Expect: file("secret")}, syncproto.CodeChanged)
	steal := put("stolen", "secret", tree.Entry{})
	steal.Inline = false
	for _, from := range []string{"secret", "out/secret", "../outside/secret"} {
		steal.From = from
		if res := b.applyOne(steal, nil); res.Code == syncproto.CodeOK {
			t.Errorf("content was copied from %q", from)
		}
	}
	if b.read("inside/f") != "x" {
		t.Error("a file was written through a symlink")
	}
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("permission bits do not bind root")
	}
	b := newBench(t)
	b.check(os.Mkdir(filepath.Join(b.dir, "d"), 0o555))
	b.apply(put("d/f", "x", tree.Entry{}), syncproto.CodeDenied)
}

func TestKeepIsABarrier(t *testing.T) {
	b := newBench(t)
	was := b.write("f", strings.Repeat("x", 600_000)) // more than half the trash
	c := put("f", "new", was)
	c.Keep = true
	if res := b.applyOne(c, nil); res.Code == syncproto.CodeOK || b.read("f") == "new" {
		t.Errorf("content that nobody agreed on was let go: %+v", res)
	}
	c.Keep = false
	b.apply(c, syncproto.CodeOK)
}

func TestKeepsModes(t *testing.T) {
	b := newBench(t)
	if keeps, err := KeepsModes(b.root.Root); err != nil || !keeps {
		t.Errorf("%v, %v", keeps, err)
	}
	if list, _ := os.ReadDir(b.dir); len(list) != 0 {
		t.Errorf("the probe left %v", list)
	}
}
