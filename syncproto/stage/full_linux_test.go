package stage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// small mounts a file system of that size on a folder until the test ends.
func small(t *testing.T, dir, size string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestTrashOfASmallDisk edits files on a small disk all day long.
func TestTrashOfASmallDisk(t *testing.T) {
	top := t.TempDir()
	small(t, top, "1m")
	b := newBenchIn(t, top, 1<<30)
	var now tree.Entry
	for i := range 30 {
		next := strings.Repeat(fmt.Sprint(i%10), 50_000)
		c := &syncproto.Change{Op: syncproto.OpPut, Path: "f", Expect: now, Entry: file(next), Inline: true, Content: []byte(next)}
		batch := b.stage.Begin(fmt.Sprintf("%02d", i))
		if r := batch.Apply(t.Context(), c, nil); r.Code != syncproto.CodeOK {
			t.Fatalf("edit %d: %+v", i, r)
		}
		batch.End()
		now = c.Entry
	}
	b.stage.cfg.Trash.freeing.Wait()
	list, err := os.ReadDir(b.trash)
	b.check(err)
	if len(list) < 2*3 || len(list) > 2*6 {
		t.Errorf("the trash holds %d files, want those of about five edits", len(list))
	}
}

// TestDeleteOnAFullDisk deletes where the trash has no room left.
func TestDeleteOnAFullDisk(t *testing.T) {
	b := newBench(t)
	content := strings.Repeat("x", 100_000)
	e := b.write("agreed", content)
	b.write("unknown", content)
	small(t, b.trash, "64k")
	trash, err := OpenTrash(b.trash, time.Hour, 1<<30, time.Now)
	b.check(err)
	defer trash.Close()
	trash.maxBytes = 1 << 30 // it is full of other things
	b.stage.cfg.Trash = trash
	batch := b.stage.Begin("batch")
	defer batch.End()
	for name, want := range map[string]syncproto.Code{"agreed": syncproto.CodeOK, "unknown": syncproto.CodeDiskFull} {
		r := batch.Apply(t.Context(), &syncproto.Change{Op: syncproto.OpDelete, Path: name, Expect: e, Keep: name == "unknown"}, nil)
		if r.Code != want {
			t.Errorf("deleting what is %s: %+v", name, r)
		}
	}
	if b.read("unknown") != content {
		t.Error("what nobody agreed on is lost")
	}
}

// TestTrashMakesRoom deletes files on a small disk to make room for others: it
// must not be the trash that takes it, unless it alone has something.
func TestTrashMakesRoom(t *testing.T) {
	for name, keep := range map[string]bool{"agreed": false, "unknown": true} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			small(t, top, "1m")
			b := newBenchIn(t, top, 1<<30)
			b.write("other", strings.Repeat("o", 300_000))
			batch := b.stage.Begin("1")
			for i := range 4 {
				p := fmt.Sprint("f", i)
				e := b.write(p, strings.Repeat(p, 50_000))
				r := batch.Apply(t.Context(), &syncproto.Change{Op: syncproto.OpDelete, Path: p, Expect: e, Keep: keep}, nil)
				if r.Code != syncproto.CodeOK {
					t.Fatalf("deleting %s: %+v", p, r)
				}
			}
			batch.End()
			batch = b.stage.Begin("2")
			defer batch.End()
			content := strings.Repeat("n", 500_000)
			r := batch.Apply(t.Context(), &syncproto.Change{Op: syncproto.OpPut, Path: "new", Entry: file(content), Inline: true, Content: []byte(content)}, nil)
			_, err := os.Stat(filepath.Join(b.trash, "1.list"))
			if want := map[bool]syncproto.Code{false: syncproto.CodeOK, true: syncproto.CodeDiskFull}[keep]; r.Code != want || keep != (err == nil) {
				t.Errorf("%+v; the trash: %v", r, err)
			}
		})
	}
}
