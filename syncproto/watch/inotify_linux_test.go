package watch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rjeczalik/notify"
	"golang.org/x/sys/unix"
)

func write(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.WriteFile(p, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func mkdir(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.MkdirAll(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Trees that appear, disappear and appear again in a hurry: nothing goes
// unheard, neither then nor later.
func TestNoFolderGoesDeaf(t *testing.T) {
	root := t.TempDir()
	w := newWatcher(t, root, Options{})
	const trees = 60
	name := func(i int) string { return filepath.Join(root, fmt.Sprint("n", i)) }
	for i := range trees {
		mkdir(t, name(i)+"/a/b/c")
		write(t, name(i)+"/a/b/c/f")
	}
	for i := range trees {
		if err := os.RemoveAll(name(i)); err != nil {
			t.Fatal(err)
		}
		mkdir(t, name(i)+"/a/b/c")
	}
	if got, _ := settle(t, w); len(got) != trees {
		t.Errorf("%d paths for %d new trees", len(got), trees)
	}
	for i := range trees {
		write(t, name(i)+"/a/b/c/f")
	}
	got, rescan := settle(t, w)
	if len(got) != trees || rescan {
		t.Errorf("%d of %d files were heard of, rescan %v", len(got), trees, rescan)
	}
}

// When the kernel's queue overflows, the batch is a rescan, and everything that
// was made, moved or removed unheard is watched, or not, as it should be.
func TestOverflowIsARescan(t *testing.T) {
	queue := sysctl("fs.inotify.max_queued_events")
	if queue == 0 || queue > 100_000 {
		t.Skipf("the queue holds %d events", queue)
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	mkdir(t, root+"/moved/sub", root+"/swapped", root+"/gone")
	var stall atomic.Bool
	reading, resume := make(chan struct{}), make(chan struct{})
	w := newWatcher(t, root, Options{Skip: func(string, bool) bool {
		if stall.CompareAndSwap(true, false) {
			close(reading)
			<-resume
		}
		return false
	}})
	stall.Store(true)
	write(t, root+"/stall")
	<-reading
	for i := range queue + 1 { // by turns, because equal neighbours are merged
		if err := os.Chmod([]string{root, root + "/stall"}[i%2], 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, root+"/made/below")
	err := errors.Join(
		os.Rename(root+"/moved", dir+"/away"),
		os.Rename(root+"/gone", root+"/came"),
		os.Remove(root+"/swapped"), os.Mkdir(root+"/swapped", 0o755),
	)
	if err != nil {
		t.Fatal(err)
	}
	close(resume)
	if _, rescan := settle(t, w); !rescan {
		t.Fatal("no rescan")
	}
	write(t, root+"/made/below/f", root+"/came/f", root+"/swapped/f", dir+"/away/sub/f")
	got, rescan := settle(t, w)
	if want := []string{"came/f", "made/below/f", "swapped/f"}; rescan || !slices.Equal(got, want) {
		t.Errorf("got %q, rescan %v, want %q", got, rescan, want)
	}
}

func TestRootGone(t *testing.T) {
	for name, end := range map[string]func(root string) error{
		"removed": os.RemoveAll,
		"removed while it is open": func(root string) error {
			f, err := os.Open(root)
			if err != nil {
				return err
			}
			t.Cleanup(func() { f.Close() })
			return os.RemoveAll(root)
		},
		"moved":    func(root string) error { return os.Rename(root, root+"2") },
		"replaced": func(root string) error { return errors.Join(os.Mkdir(root+"2", 0o755), syscall.Rename(root+"2", root)) },
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			mkdir(t, root)
			w := newWatcher(t, root, Options{})
			if err := end(root); err != nil {
				t.Fatal(err)
			}
			var last Batch
			for b := range w.Batches() {
				last = b
			}
			if !last.Rescan || !errors.Is(w.Err(), ErrRootGone) {
				t.Errorf("last batch %+v, error %v", last, w.Err())
			}
			if err := w.Sync(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("Sync: %v", err)
			}
		})
	}
}

// A new file is not complete before it is closed; a new link is, and there is
// nothing to wait for.
func TestKindsOfChanges(t *testing.T) {
	root := t.TempDir()
	src, err := newSource(root, Options{Skip: func(string, bool) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan change)
	go func() {
		defer close(changes)
		if err := src.read(func(cs []change) {
			for _, c := range cs {
				changes <- c
			}
		}); err != nil {
			t.Error(err)
		}
	}()
	want := func(path string, k kind) {
		t.Helper()
		if got := <-changes; got.path != path || got.kind != k {
			t.Errorf("got %+v, want %s of kind %d", got, path, k)
		}
	}
	f, err := os.Create(root + "/f")
	if err != nil {
		t.Fatal(err)
	}
	want("f", writing)
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	want("f", writing)
	if err := f.Chmod(0o600); err != nil {
		t.Fatal(err)
	}
	want("f", touched)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want("f", changed)
	if err := errors.Join(os.Link(root+"/f", root+"/hard"), os.Symlink("f", root+"/soft"), os.Mkdir(root+"/d", 0o755)); err != nil {
		t.Fatal(err)
	}
	want("hard", changed)
	want("soft", changed)
	want("d", changed)
	src.close()
	for c := range changes {
		t.Errorf("left over: %+v", c)
	}
}

// limitVariable tells the test binary that it runs with the limit that it
// names.
const limitVariable = "WATCH_TEST_LIMIT"

// TestLimits runs this test again in a user namespace, where limits can be set
// without harm to others.
func TestLimits(t *testing.T) {
	if limit := os.Getenv(limitVariable); limit != "" {
		testLimit(t, limit)
		return
	}
	for _, limit := range []string{"max_inotify_watches=20", "max_inotify_instances=0"} {
		t.Run(limit, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLimits$", "-test.v")
			cmd.Env = append(os.Environ(), limitVariable+"="+limit)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err != nil && !errors.As(err, &exit):
				t.Skipf("no user namespace: %v", err)
			case err != nil:
				t.Errorf("%v:\n%s", err, out)
			case strings.Contains(string(out), "--- SKIP"):
				t.Skipf("%s", out)
			}
		})
	}
}

func testLimit(t *testing.T, limit string) {
	key, value, _ := strings.Cut(limit, "=")
	if err := os.WriteFile("/proc/sys/user/"+key, []byte(value), 0); err != nil {
		t.Skip(err)
	}
	root := t.TempDir()
	mkdir(t, root+"/skip")
	for i := range 30 {
		mkdir(t, filepath.Join(root, "d", strconv.Itoa(i)), filepath.Join(root, "skip", strconv.Itoa(i)))
	}
	// What changed last is watched first.
	if err := os.WriteFile(filepath.Join(root, "d/17/recent"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for i := range 30 {
		if i != 17 {
			if err := os.Chtimes(filepath.Join(root, "d", strconv.Itoa(i)), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	skip := Options{Skip: func(path string, _ bool) bool { return path == "skip" }}
	w, err := New(root, skip)
	if key == "max_inotify_instances" {
		var le *LimitError
		if !errors.As(err, &le) || le.Sysctl != "fs.inotify.max_user_instances" || le.Needed != 1 {
			t.Errorf("error %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	g := w.Widen()
	// d and what is in it, the root, the one above, and the mark.
	if g.Limit == nil || g.Limit.Sysctl != "fs.inotify.max_user_watches" || g.Limit.Needed != 34 {
		t.Fatalf("gaps %+v", g)
	}
	t.Log(g.Limit, "\n", g.Limit.Hint())
	if g.Unwatched != len(g.Folders) || g.Unwatched != 34-20 || slices.Contains(g.Folders, "d/17") {
		t.Errorf("gaps %+v", g)
	}
	// What is watched is heard of, and a mark needs no watch of its own.
	write(t, root+"/d/17/f")
	if got, rescan := settle(t, w); rescan || !slices.Equal(got, []string{"d/17/f"}) {
		t.Errorf("got %q, rescan %v", got, rescan)
	}
	// New folders are reported, although there is no watch for them.
	mkdir(t, root+"/e/x")
	if got, _ := settle(t, w); !covers(got, "e") {
		t.Errorf("got %q", got)
	}
	if g := w.Gaps(); g.Unwatched != 34-20+1 {
		t.Errorf("gaps %+v", g)
	}
	// As soon as there are watches again, they are used.
	for i := range 25 {
		if err := os.RemoveAll(filepath.Join(root, "d", strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, rescan := settle(t, w); rescan {
		t.Error("a rescan")
	}
	if g := w.Widen(); !slices.Contains(g.Folders, "e") {
		t.Errorf("gaps %+v", g)
	}
	if g := w.Gaps(); g.Unwatched != 0 {
		t.Errorf("gaps %+v", g)
	}
	write(t, root+"/e/x/f")
	if got, rescan := settle(t, w); rescan || !slices.Equal(got, []string{"e/x/f"}) {
		t.Errorf("got %q, rescan %v", got, rescan)
	}
}

// A folder below a path that is longer than the kernel takes is watched like
// any other.
func TestDeepFolders(t *testing.T) {
	root := t.TempDir()
	top, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	name := strings.Repeat("n", 240)
	deep := strings.Repeat(name+"/", 25) + name // 6,265 bytes
	if err := top.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWatcher(t, root, Options{})
	for _, path := range []string{deep + "/f", deep + "/new/g"} {
		if err := errors.Join(top.MkdirAll(parent(path), 0o755), top.WriteFile(path, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
		if got, rescan := settle(t, w); rescan || !covers(got, path) || covers(got, deep) {
			t.Errorf("got %d paths, rescan %v", len(got), rescan)
		}
	}
	if err := top.WriteFile(deep+"/new/g", []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, rescan := settle(t, w); rescan || !slices.Equal(got, []string{deep + "/new/g"}) {
		t.Errorf("got %d paths, rescan %v", len(got), rescan)
	}
	if err := top.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	if got, _ := settle(t, w); !covers(got, name) {
		t.Errorf("got %d paths", len(got))
	}
}

func TestProbe(t *testing.T) {
	root := t.TempDir()
	w := newWatcher(t, root, Options{Probe: "probe", Skip: func(path string, _ bool) bool { return path == "probe" }})
	if g := w.Gaps(); g.Silent != "" {
		t.Errorf("gaps %+v", g)
	}
	write(t, root+"/f")
	if got, rescan := settle(t, w); rescan || !slices.Equal(got, []string{"f"}) {
		t.Errorf("got %q, rescan %v", got, rescan)
	}
	// Without the root's watch it is as if the file system made no events.
	n := &inotify{root: root}
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	defer n.file.Close()
	for wd := range n.tree.folders {
		if _, err := unix.InotifyRmWatch(n.fd, uint32(wd)); err != nil {
			t.Fatal(err)
		}
	}
	if n.probe("probe") {
		t.Error("events without a watch")
	}
}

func TestRemoteKind(t *testing.T) {
	for magic, want := range map[uint32]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.FUSE_SUPER_MAGIC: "FUSE", unix.V9FS_MAGIC: "9p", unix.SMB2_SUPER_MAGIC: "SMB",
		unix.CIFS_SUPER_MAGIC: "SMB", unix.CEPH_SUPER_MAGIC: "Ceph",
		unix.EXT4_SUPER_MAGIC: "", unix.TMPFS_MAGIC: "", unix.OVERLAYFS_SUPER_MAGIC: "", unix.BTRFS_SUPER_MAGIC: "", unix.XFS_SUPER_MAGIC: "",
	} {
		if got := remoteKind(magic); got != want {
			t.Errorf("%#x: %q, want %q", magic, got, want)
		}
	}
}

func TestLimitErrorHint(t *testing.T) {
	for _, tt := range []struct {
		e    LimitError
		want string
	}{
		{LimitError{Sysctl: "k", Limit: 8192, Needed: 20000}, "sudo sysctl -w k=65536"},
		{LimitError{Sysctl: "k", Limit: 65536, Needed: 20000}, "sudo sysctl -w k=131072"},
		{LimitError{Sysctl: "k", Limit: 128, Needed: 1}, "sudo sysctl -w k=256"},
		{LimitError{Sysctl: "k", Needed: 1}, "sudo sysctl -w k=128"},
	} {
		if got := tt.e.Hint(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.e, got, tt.want)
		}
	}
}

// TestLibraryGoesDeaf holds the reason why inotify_linux.go exists. A folder is
// renamed and another one takes its name: the library has a watch under that
// name and sets no other. If this test fails, the library has learned it, and
// it is time to look at the other reasons in the package comment.
func TestLibraryGoesDeaf(t *testing.T) {
	root := t.TempDir()
	mkdir(t, root+"/a")
	events := make(chan notify.EventInfo, 1000)
	if err := notify.Watch(root+"/...", events, notify.All); err != nil {
		t.Fatal(err)
	}
	defer notify.Stop(events)
	heard := map[string]bool{}
	await := func(name string) {
		for !heard[name] {
			e := <-events
			heard[strings.TrimPrefix(e.Path(), root+"/")] = true
		}
	}
	if err := os.Rename(root+"/a", root+"/b"); err != nil {
		t.Fatal(err)
	}
	await("b")
	await("a")
	clear(heard)
	mkdir(t, root+"/a")
	await("a")
	// The watch of a new folder is set in the background. That of this one
	// is set after it, so that it is in place, if ever, when this one's is.
	mkdir(t, root+"/c")
	for i := 0; !heard["c/f"]; i++ {
		write(t, root+"/c/f")
		select {
		case e := <-events:
			heard[strings.TrimPrefix(e.Path(), root+"/")] = true
		default:
		}
	}
	write(t, root+"/a/f", root+"/end")
	await("end")
	if heard["a/f"] {
		t.Error("the library has heard of a/f")
	}
}

// BenchmarkNew is the cost of watching 20,000 folders.
func BenchmarkNew(b *testing.B) {
	root := b.TempDir()
	for i := range 20_000 {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprint(i%200), fmt.Sprint(i)), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		w, err := New(root, Options{})
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
}

// BenchmarkSave is the time from the beginning of a save to its batch.
func BenchmarkSave(b *testing.B) {
	root := b.TempDir()
	w, err := New(root, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	for b.Loop() {
		if err := os.WriteFile(root+"/f", []byte("x"), 0o644); err != nil {
			b.Fatal(err)
		}
		<-w.Batches()
	}
}
