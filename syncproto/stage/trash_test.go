package stage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// can is a trash beside a root.
type can struct {
	*bench
	at    string
	trash *Trash
	now   time.Time // by the trash's clock
}

func newCan(t *testing.T, maxBytes int64) *can {
	t.Helper()
	c := &can{bench: newBench(t), at: t.TempDir(), now: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)}
	c.reopen(maxBytes)
	t.Cleanup(func() { _ = c.trash.Close() })
	return c
}

func (c *can) reopen(maxBytes int64) {
	c.t.Helper()
	if c.trash != nil {
		c.check(c.trash.Close())
	}
	var err error
	c.trash, err = OpenTrash(c.at, time.Hour, maxBytes, func() time.Time { return c.now })
	c.check(err)
}

func (c *can) put(name, batch string, e tree.Entry) error {
	return c.putFor(syncproto.WhyDeleted, name, batch, e)
}

func (c *can) putFor(why syncproto.Why, name, batch string, e tree.Entry) error {
	dir, err := c.root.OpenRoot(filepath.Dir(name))
	c.check(err)
	defer dir.Close()
	at, err := dir.Open(".")
	c.check(err)
	defer at.Close()
	var open bins
	defer open.close()
	_, err = c.trash.keep(target{dir: dir, at: at, batch: batch, bins: &open}, filepath.Base(name), record{path: name, entry: e, why: why})
	return err
}

// keep writes a file and puts it into a batch.
func (c *can) keep(name, content, batch string) {
	c.t.Helper()
	e := c.write(name, content)
	c.check(c.put(name, batch, e))
	c.check(os.Remove(filepath.Join(c.dir, name)))
}

// holds compares what the folder of the trash holds.
func (c *can) holds(want ...string) {
	c.t.Helper()
	c.trash.freeing.Wait()
	list, err := os.ReadDir(c.at)
	c.check(err)
	var names []string
	for _, d := range list {
		names = append(names, d.Name())
	}
	if !slices.Equal(names, want) {
		c.t.Errorf("the trash holds %q, want %q", names, want)
	}
}

func TestTrashSize(t *testing.T) {
	c := newCan(t, 1000)
	big := strings.Repeat("x", 400)
	for _, name := range []string{"1", "2", "3", "4"} {
		c.keep("f", big, name)
	}
	c.holds("3", "3.list", "4", "4.list")
	e := c.write("f", strings.Repeat("x", 501))
	if err := c.put("f", "5", e); !errors.Is(err, errTooLarge) {
		t.Errorf("a file larger than half the trash: %v", err)
	}
	c.reopen(1000) // what another process left counts too
	c.holds("3", "3.list", "4", "4.list")
	c.keep("f", big, "5")
	c.holds("4", "4.list", "5", "5.list")
	c.reopen(700)
	c.trash.Expire()
	c.holds("5", "5.list")
}

func TestTrashAge(t *testing.T) {
	c := newCan(t, 1000)
	batch := c.trash.Begin()
	c.keep("f", "one", batch)
	c.now = c.now.Add(2 * time.Hour)
	c.trash.Expire()
	c.holds(batch, batch+".list") // it is in progress
	c.trash.End(batch)
	c.trash.Expire()
	c.holds()

	batch = c.trash.Begin()
	c.keep("f", "one", batch)
	c.trash.End(batch)
	c.now = c.now.Add(30 * time.Minute)
	c.trash.Expire()
	c.reopen(1000)
	c.holds(batch, batch+".list")
	c.now = c.now.Add(2 * time.Hour)
	c.reopen(1000)
	c.holds()
}

func TestTrashInUse(t *testing.T) {
	c := newCan(t, 1000)
	first := c.trash.BeginUndo()
	c.keep("a", strings.Repeat("a", 400), first)
	c.keep("b", strings.Repeat("b", 400), "z1")
	c.keep("c", strings.Repeat("c", 400), "z2")
	c.holds(first, first+".list", "z2", "z2.list")
	c.trash.End(first)
	c.keep("d", strings.Repeat("d", 400), "z3")
	c.holds("z2", "z2.list", "z3", "z3.list")
}

func TestGather(t *testing.T) {
	c := newCan(t, 1000)
	first := c.trash.Begin()
	if first != "20260102-030405-678" {
		t.Errorf("a batch is called %q", first)
	}
	c.now = c.now.Add(gatherGap / 2)
	if got := c.trash.Begin(); got != first {
		t.Errorf("soon after %s comes %s", first, got)
	}
	c.trash.End(first)
	c.trash.End(first)
	if n := len(c.trash.batches); n != 0 {
		t.Errorf("%d batches that nothing is in", n)
	}
	first = c.trash.Begin()
	c.keep("f", "x", first)
	c.trash.End(first)
	c.now = c.now.Add(gatherGap * 2)
	if got := c.trash.Begin(); got == first {
		t.Error("a batch never ends")
	}
	second := c.trash.Begin()
	for range 3 {
		c.trash.End(second)
	}
	undo := c.trash.BeginUndo()
	if undo == first {
		t.Error("two batches have one name")
	}
	if got := c.trash.Begin(); got == undo {
		t.Error("something joins the batch of an undo")
	}
}

// The order of batches is that in which they were made, whatever the clock says
// and in another process too; what belongs together is one batch nevertheless.
func TestTrashWhenTheClockIsSetBack(t *testing.T) {
	c := newCan(t, 1000)
	first := c.trash.Begin()
	c.keep("f", "1", first)
	c.trash.End(first)
	c.now = c.now.Add(-time.Hour)
	second := c.trash.Begin()
	c.keep("f", "2", second)
	c.trash.End(second)
	c.now = c.now.Add(time.Second)
	if got := c.trash.Begin(); got != second {
		t.Errorf("what follows after a second is not in %s, but in %s", second, got)
	}
	c.trash.End(second)
	c.reopen(1000)
	list, err := c.trash.Batches(10)
	c.check(err)
	if len(list) != 2 || list[0].Name != second || list[1].Name != first {
		t.Errorf("after %s and %s the trash lists %+v", first, second, list)
	}
}

func TestHardLinks(t *testing.T) {
	c := newCan(t, 1<<20)
	e := c.write("a", "shared")
	c.check(os.Link(filepath.Join(c.dir, "a"), filepath.Join(c.dir, "b")))
	c.check(c.put("a", "batch", e))
	c.check(os.Remove(filepath.Join(c.dir, "a")))
	c.check(os.WriteFile(filepath.Join(c.dir, "b"), []byte("later!"), 0o644))
	if got, err := os.ReadFile(filepath.Join(c.at, "batch", "a")); err != nil || string(got) != "shared" {
		t.Errorf("the trash holds %q, %v", got, err)
	}
	c.trash.links = false // where none can be made, a copy
	c.keep("f", "copied", "batch")
	if got, err := os.ReadFile(filepath.Join(c.at, "batch", "f")); err != nil || string(got) != "copied" {
		t.Errorf("the trash holds %q, %v", got, err)
	}
}

func TestRecall(t *testing.T) {
	c := newCan(t, 1<<20)
	c.keep("d/f", "one", "batch")
	c.keep("d/f", "two", "batch") // again in the same batch
	c.check(os.Symlink("target", filepath.Join(c.dir, "l")))
	link := tree.Entry{Type: syncproto.EntrySymlink, Target: "target"}
	c.check(c.putFor(syncproto.WhyOverwritten, "l", "batch", link))
	folder := tree.Entry{Type: syncproto.EntryDir, Mode: 0o700}
	c.check(c.put("d", "batch", folder))
	c.check(c.trash.Absent("batch", "new"))

	list, err := c.trash.Batches(10)
	c.check(err)
	want := Removed{
		Name: "batch", Began: list[0].Began, Entries: 5, Bytes: 6,
		Why: syncproto.WhyDeleted | syncproto.WhyOverwritten, Paths: []string{"d/f", "l", "d"},
	}
	if len(list) != 1 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("the trash lists %+v", list)
	}
	c.reopen(1 << 20)
	was, content, err := c.trash.Recall("batch")
	c.check(err)
	if len(was) != 4 || was["d"] != folder || was["l"] != link || was["new"].Exists() || was["d/f"].Digest != tree.Sum([]byte("one")) {
		t.Errorf("before the batch there was %+v", was)
	}
	var got bytes.Buffer
	c.check(content("d/f").Read(t.Context(), []Range{{Length: 3}}, func(b []byte) error { got.Write(b); return nil }))
	if got.String() != "one" {
		t.Errorf("content %q", got.String())
	}
	// A program that still has the file open writes to it.
	c.check(os.WriteFile(filepath.Join(c.at, "batch", "d/f"), []byte("later"), 0o644))
	was, _, err = c.trash.Recall("batch")
	c.check(err)
	if was["d/f"].Digest != tree.Sum([]byte("later")) || was["d/f"].Size != 5 {
		t.Errorf("what was written later is taken for %+v", was["d/f"])
	}
	c.check(c.trash.Restored("batch"))
	if list, err := c.trash.Batches(10); err != nil || len(list) != 0 {
		t.Errorf("after it was brought back the trash lists %+v, %v", list, err)
	}
	if _, _, err := c.trash.Recall("none"); !errors.Is(err, ErrNoBatch) {
		t.Errorf("no batch: %v", err)
	}
}

func TestDeletedFolder(t *testing.T) {
	b := newBench(t)
	b.check(os.Mkdir(filepath.Join(b.dir, "d"), 0o750))
	_, err := b.index.Scan(t.Context(), b.root, "", tree.Options{})
	b.check(err)
	was := b.index.Get("d").Entry
	b.apply(&syncproto.Change{Op: syncproto.OpDelete, Path: "d", Expect: was}, syncproto.CodeOK)
	got, _, err := b.stage.cfg.Trash.Recall("batch")
	if err != nil || got["d"] != was {
		t.Errorf("the trash remembers %+v, %v", got, err)
	}
}

func records() []record {
	return []record{
		{path: "a/b\n", entry: file("x"), why: syncproto.WhyDeleted, version: 1},
		{path: "l\xff", entry: tree.Entry{Type: syncproto.EntrySymlink, Target: "t"}, why: syncproto.WhyFirst, version: 2},
		{path: "d", entry: tree.Entry{Type: syncproto.EntryDir, Mode: 0o700}, why: syncproto.WhyOverwritten},
		{path: "new", why: syncproto.WhyUndone},
		{why: syncproto.WhyUndone},
	}
}

func TestRecordsCut(t *testing.T) {
	var all []byte
	var ends []int
	for _, r := range records() {
		all = r.appendTo(all)
		ends = append(ends, len(all))
	}
	for n := range len(all) + 1 {
		whole := 0
		for _, end := range ends {
			if end <= n {
				whole++
			}
		}
		if got := parseRecords(all[:n]); !reflect.DeepEqual(append([]record{}, got...), records()[:whole]) {
			t.Fatalf("of %d bytes were read %+v", n, got)
		}
	}
	if got := parseRecords(append(bytes.Clone(all), 3, 1, 1, 0)); len(got) != len(records()) {
		t.Errorf("behind the damage: %+v", got)
	}
}

// FuzzRecords reads arbitrary bytes as the list of a batch: what is accepted
// survives a round trip, and no path leads out of the trash.
func FuzzRecords(f *testing.F) {
	var all []byte
	for _, r := range records() {
		all = r.appendTo(all)
	}
	f.Add(all)
	f.Add([]byte("\x05\x01\x00\x02..\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := parseRecords(data)
		var again []byte
		for _, r := range got {
			if r.path != "" && syncproto.VerifyPath(r.path) != nil {
				t.Fatalf("path %q", r.path)
			}
			again = r.appendTo(again)
		}
		if !reflect.DeepEqual(parseRecords(again), got) {
			t.Fatalf("%+v is not stable", got)
		}
	})
}
