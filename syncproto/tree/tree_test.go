package tree

import (
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

// folder is a root for a test.
type folder struct {
	t       *testing.T
	dir     string
	root    *Root
	index   *Index
	mu      sync.Mutex
	skipped map[string]string
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	dir := t.TempDir()
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return &folder{t: t, dir: dir, root: root, index: NewIndex(), skipped: map[string]string{}}
}

func (f *folder) write(name, content string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	f.check(os.MkdirAll(filepath.Dir(path), 0o755))
	f.check(os.WriteFile(path, []byte(content), 0o644))
}

func (f *folder) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// age makes a file's modification time one that can be trusted.
func (f *folder) age(name string) {
	old := time.Now().Add(-time.Hour)
	f.check(os.Chtimes(filepath.Join(f.dir, name), old, old))
}

func (f *folder) skip(p, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skipped[p] = why
}

func (f *folder) scan(opts Options) []string {
	f.t.Helper()
	opts.Skipped = f.skip
	changed, err := f.index.Scan(f.t.Context(), f.root, "", opts)
	f.check(err)
	slices.Sort(changed)
	return changed
}

func TestScan(t *testing.T) {
	f := newFolder(t)
	f.write("a/b/c.txt", "content")
	f.write("empty", "")
	f.write(".okteto-tmp-left", "x")
	f.write("new\nline", "n")
	f.write("bad\xffname", "b")
	f.check(os.Symlink("/etc", filepath.Join(f.dir, "out")))
	f.check(os.Mkdir(filepath.Join(f.dir, "dir"), 0o700))
	l, err := net.Listen("unix", filepath.Join(f.dir, "sock"))
	f.check(err)
	defer l.Close()
	want := []string{"a", "a/b", "a/b/c.txt", "bad\xffname", "dir", "empty", "new\nline", "out"}
	var temps []string
	if d := cmp.Diff(want, f.scan(Options{Temp: func(p string) { temps = append(temps, p) }})); d != "" {
		t.Error(d)
	}
	if !slices.Equal(temps, []string{".okteto-tmp-left"}) {
		t.Errorf("temporary names %q", temps)
	}
	if f.skipped["sock"] == "" || len(f.skipped) != 1 {
		t.Errorf("skipped %q", f.skipped)
	}
	if e := f.index.Get("a/b/c.txt"); e.Digest != Sum([]byte("content")) || e.Mode != 0o644 || e.Size != 7 {
		t.Errorf("entry %+v", e)
	}
	if e := f.index.Get("out"); e.Target != "/etc" {
		t.Errorf("symlink %+v", e)
	}
	if got := f.scan(Options{}); len(got) != 0 {
		t.Errorf("a second scan finds %q", got)
	}
	f.check(os.RemoveAll(filepath.Join(f.dir, "a")))
	f.check(os.Chmod(filepath.Join(f.dir, "empty"), 0o755))
	f.write("dir/more", "m")
	if d := cmp.Diff([]string{"a", "a/b", "a/b/c.txt", "dir/more", "empty"}, f.scan(Options{})); d != "" {
		t.Error(d)
	}
}

func TestScanReusesDigests(t *testing.T) {
	f := newFolder(t)
	f.write("old", "x")
	f.age("old")
	f.write("fresh", "y")
	f.scan(Options{})
	old, fresh := f.index.Get("old"), f.index.Get("fresh")
	f.scan(Options{})
	if f.index.Get("old") != old {
		t.Error("an old file was hashed again")
	}
	if f.index.Get("fresh").Checked == fresh.Checked {
		t.Error("a file written just before the scan was not hashed again, its time proves nothing")
	}
}

// TestRacyWrite writes twice within one tick of the clock, with the same size.
func TestRacyWrite(t *testing.T) {
	f := newFolder(t)
	f.write("f", "one")
	at := time.Now()
	f.check(os.Chtimes(filepath.Join(f.dir, "f"), at, at))
	f.scan(Options{})
	rec := f.index.Get("f")
	f.write("f", "two")
	f.check(os.Chtimes(filepath.Join(f.dir, "f"), at, at))
	// Hide what else would show: the change time.
	info, err := f.root.Lstat("f")
	f.check(err)
	rec.CTime, _ = statIdentity(info)
	rec.Checked = rec.MTime // a slow machine may have been late
	f.index.Set("f", rec)
	if changed := f.scan(Options{}); !slices.Equal(changed, []string{"f"}) {
		t.Errorf("changed %q", changed)
	}
}

func TestFilter(t *testing.T) {
	f := newFolder(t)
	f.write("keep/f", "1")
	f.write("prune/f", "2")
	f.write("skip/f", "3")
	f.scan(Options{Filter: func(p string, dir bool) Verdict {
		switch p {
		case "prune":
			return Prune
		case "skip":
			return Skip
		}
		return Keep
	}})
	if d := cmp.Diff([]string{"keep", "keep/f", "skip/f"}, f.index.Tree().Paths()); d != "" {
		t.Error(d)
	}
}

// TestFilterForgets scans a second time with a filter that lets less through,
// while something else is deleted: only that has changed.
func TestFilterForgets(t *testing.T) {
	f := newFolder(t)
	for _, p := range []string{"keep", "gone", "prune/f", "skip/f"} {
		f.write(p, "1")
	}
	f.scan(Options{})
	f.check(os.Remove(filepath.Join(f.dir, "gone")))
	changed := f.scan(Options{Filter: func(p string, dir bool) Verdict {
		switch {
		case Under(p, "prune"):
			return Prune
		case p == "skip":
			return Skip
		}
		return Keep
	}})
	if d := cmp.Diff([]string{"gone"}, changed); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"keep", "skip/f"}, f.index.Tree().Paths()); d != "" {
		t.Error(d)
	}
}

// TestFolderNames lists a folder that takes several reads.
func TestFolderNames(t *testing.T) {
	f := newFolder(t)
	want := map[string]bool{}
	for i := range 300 {
		name := fmt.Sprintf("%03d%s", i, strings.Repeat("n", i%250))
		want[name] = i%2 == 0
		if want[name] {
			f.check(os.MkdirAll(filepath.Join(f.dir, "folder", name), 0o755))
		} else {
			f.write("folder/"+name, "")
		}
	}
	folder, err := f.root.openDirectory("folder")
	f.check(err)
	defer folder.Close()
	list, err := folder.names()
	f.check(err)
	got := map[string]bool{}
	for _, l := range list {
		got[l.name] = l.dir
	}
	if d := cmp.Diff(want, got); d != "" || len(list) != len(want) {
		t.Errorf("%d names: %s", len(list), d)
	}
}

// TestEnter makes sure that a scan tells of a folder before it reads it, and of
// those above before those below.
func TestEnter(t *testing.T) {
	f := newFolder(t)
	f.write("a/b/c/f", "1")
	f.write("d/f", "1")
	f.write("prune/f", "1")
	var mu sync.Mutex
	entered := map[string]bool{}
	f.scan(Options{
		Enter: func(dir string) {
			mu.Lock()
			defer mu.Unlock()
			if dir != "" && !entered[Parent(dir)] {
				t.Errorf("%q before what holds it", dir)
			}
			entered[dir] = true
		},
		Filter: func(p string, _ bool) Verdict {
			mu.Lock()
			defer mu.Unlock()
			if !entered[Parent(p)] {
				t.Errorf("%q was read before its folder was told of", p)
			}
			if p == "prune" {
				return Prune
			}
			return Keep
		},
	})
	if d := cmp.Diff([]string{"", "a", "a/b", "a/b/c", "d"}, slices.Sorted(maps.Keys(entered))); d != "" {
		t.Error(d)
	}
}

// TestIndexDigest compares the digest of an index, and of what is loaded after it
// was saved, with that of its tree as both change.
func TestIndexDigest(t *testing.T) {
	x, dir := NewIndex(), t.TempDir()
	file := Record{Entry: Entry{Type: syncproto.EntryFile, Size: 1}}
	for _, change := range []func(){
		func() {},
		func() { x.Set("a", file) },
		func() { x.Set("b", file) },
		func() {},
		func() { x.Set("a", Record{}) },
		func() { x.Drop(func(string, Entry) bool { return true }) },
	} {
		change()
		want := x.Tree().Digest()
		if got := x.Digest(); got != want {
			t.Errorf("the digest of %q is %x, want %x", x.Tree().Paths(), got, want)
		}
		if err := x.Save(dir, Identity{}); err != nil {
			t.Fatal(err)
		}
		if loaded, _ := LoadIndex(dir); loaded.Digest() != want || !maps.Equal(loaded.Tree(), x.Tree()) {
			t.Errorf("what was saved of %q has the digest %x, want %x", x.Tree().Paths(), loaded.Digest(), want)
		}
	}
}

func TestLookDoesNotFollowParents(t *testing.T) {
	f := newFolder(t)
	f.write("real/f", "1")
	f.check(os.Symlink("real", filepath.Join(f.dir, "link")))
	changed, err := f.index.Look(f.root, "link/f", f.skip)
	if changed || err != nil || f.index.Get("link/f").Exists() {
		t.Errorf("an entry below a symlink: %v, %v", changed, err)
	}
	f.check(os.Symlink("/etc/passwd", filepath.Join(f.dir, "out")))
	if _, err := OpenFile(f.root, "out"); err == nil {
		t.Error("a symlink was opened as a file")
	}
}

// TestDeepTree goes beyond PATH_MAX.
func TestDeepTree(t *testing.T) {
	f := newFolder(t)
	dir, err := os.OpenRoot(f.dir)
	f.check(err)
	name := strings.Repeat("d", 200)
	for range 25 {
		f.check(dir.Mkdir(name, 0o755))
		next, err := dir.OpenRoot(name)
		f.check(err)
		_ = dir.Close()
		dir = next
	}
	f.check(dir.WriteFile("f", []byte("deep"), 0o644))
	f.check(dir.Close())
	f.scan(Options{})
	p := strings.Repeat(name+"/", 25) + "f"
	if got := f.index.Get(p); got.Digest != Sum([]byte("deep")) {
		t.Errorf("a path of %d bytes has %+v", len(p), got)
	}
}

func TestIndexSurvives(t *testing.T) {
	f := newFolder(t)
	f.write("a/f", "1")
	f.check(os.Symlink("x", filepath.Join(f.dir, "l")))
	f.scan(Options{})
	state := t.TempDir()
	id := Identity{ID: [16]byte{1}, Inode: 42}
	f.check(f.index.Save(state, id))
	got, gotID := LoadIndex(state)
	if d := cmp.Diff(f.index.records, got.records); d != "" || gotID != id {
		t.Error(gotID, d)
	}
	if n, b := got.Files(); got.Size() != 3 || n != 1 || b != 1 {
		t.Errorf("%d entries, %d files, %d bytes", got.Size(), n, b)
	}
	path := filepath.Join(state, indexFile)
	whole, err := os.ReadFile(path)
	f.check(err)
	for i := 0; i < len(whole); i += 7 {
		damaged := slices.Clone(whole)
		damaged[i] ^= 0x40
		f.check(os.WriteFile(path, damaged, 0o600))
		if got, id := LoadIndex(state); len(got.records) != 0 || id != (Identity{}) {
			t.Fatalf("damage at byte %d goes unnoticed", i)
		}
	}
}

func TestBase(t *testing.T) {
	dir := t.TempDir()
	open := func() *Base {
		b, err := OpenBase(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := open()
		if err := b.Reset([16]byte{1}); err != nil {
			rt.Fatal(err)
		}
		want := Tree{}
		for range rapid.IntRange(0, 20).Draw(rt, "steps") {
			p := fmt.Sprint("p", rapid.IntRange(0, 5).Draw(rt, "path"))
			e := Entry{Type: syncproto.EntryType(rapid.IntRange(0, 2).Draw(rt, "type"))}
			want.Set(p, e)
			if err := b.Agree([]syncproto.Item{{Path: p, Entry: e}}); err != nil {
				rt.Fatal(err)
			}
			switch rapid.IntRange(0, 5).Draw(rt, "event") {
			case 0: // the process is killed and started again
				_ = b.Close()
				b = open()
			case 1:
				if err := b.compact(); err != nil {
					rt.Fatal(err)
				}
			}
		}
		_ = b.Close()
		b = open()
		defer b.Close()
		if got := plain(b.Entries()); !maps.Equal(got, want) || b.ID() != [16]byte{1} {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestBaseDamage(t *testing.T) {
	dir := t.TempDir()
	b, err := OpenBase(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := Entry{Type: syncproto.EntryDir, Mode: 0o755}
	for i := range 3 {
		if err := b.Agree([]syncproto.Item{{Path: fmt.Sprint("p", i), Entry: e}}); err != nil {
			t.Fatal(err)
		}
	}
	_ = b.Close()
	path := filepath.Join(dir, logFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := OpenBase(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for p, got := range plain(b.Entries()) {
			if !got.Same(e) {
				t.Fatalf("cut at %d: %q is %+v", cut, p, got)
			}
		}
		if err := b.Agree([]syncproto.Item{{Path: "after", Entry: e}}); err != nil {
			t.Fatal(err)
		}
		_ = b.Close()
		if b, err = OpenBase(dir, nil); err != nil || !b.Entries().Get("after").Exists() {
			t.Fatalf("cut at %d: what was agreed after it is lost", cut)
		}
		_ = b.Close()
	}
}

func TestDigest(t *testing.T) {
	a := Tree{"f": {Type: syncproto.EntryFile, Mode: 0o644, MTime: 1}, "d": {Type: syncproto.EntryDir}}
	b := maps.Clone(a)
	b["f"] = Entry{Type: syncproto.EntryFile, Mode: 0o644, MTime: 2}
	if a.Digest() != b.Digest() {
		t.Error("a modification time changes the digest")
	}
	b["f"] = Entry{Type: syncproto.EntryFile, Mode: 0o755}
	if a.Digest() == b.Digest() || a.Digest() == (Tree{}).Digest() {
		t.Error("different trees have the same digest")
	}
}

// TestDigestIsThatOfTheSpecification computes one as SPEC.md says it, with
// numbers of any size.
func TestDigestIsThatOfTheSpecification(t *testing.T) {
	tree, sum := Tree{}, new(big.Int)
	for i := range 100 {
		p := fmt.Sprintf("%d/%s", i, strings.Repeat("x", 5*i))
		e := Entry{Type: syncproto.EntryFile, Mode: 0o644, Size: int64(i), Digest: Sum([]byte{byte(i)})}
		d := blake3.Sum256(syncproto.AppendEntry([]byte(p+"\x00"), e))
		slices.Reverse(d[:]) // big.Int takes the first byte for the highest
		sum.Add(sum, new(big.Int).SetBytes(d[:]))
		e.MTime = int64(i)
		tree[p] = e
	}
	var want syncproto.Digest
	sum.Mod(sum, new(big.Int).Lsh(big.NewInt(1), 256)).FillBytes(want[:])
	slices.Reverse(want[:])
	if got := tree.Digest(); got != want {
		t.Errorf("the digest is %v, want %v", got, want)
	}
}

// FuzzIndex opens arbitrary bytes as an index: it must neither panic nor
// accept what was not written.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(indexMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		d := Sum(data)
		if err := os.WriteFile(filepath.Join(dir, indexFile), append(data, d[:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		x, _ := LoadIndex(dir)
		for _, p := range x.Tree().Paths() {
			if syncproto.VerifyPath(p) != nil {
				t.Fatalf("the path %q was accepted", p)
			}
		}
	})
}
