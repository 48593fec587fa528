package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A log that is appended to for ever reaches the other side now and then, and
// what is there is always a beginning of it.
func TestFileThatGrowsForEver(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "f", "x")
	s := p.start()
	defer s.stop()
	p.settle()
	f, err := os.Create(filepath.Join(p.laptop, "log"))
	must(t, err)
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		block := strings.Repeat("0123456789abcde\n", 4096)
		for n := 0; ctx.Err() == nil && n < 2000; n++ { // at most 128 MiB
			if _, err := f.WriteString(block); err != nil {
				written <- err
				return
			}
			<-time.After(5 * time.Millisecond)
		}
		written <- nil
	}()
	size := func() int64 {
		info, err := os.Stat(filepath.Join(p.pod, "log"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	p.await(func() bool { return size() > 0 })
	content := read(t, p.pod, "log")
	if n := len(content); n%16 != 0 && strings.Trim(content, "0123456789abcde\n") != "" {
		t.Errorf("%d bytes that are no beginning of the log", n)
	}
	cancel()
	must(t, <-written)
	p.settle()
	if c := p.leader.Status().Conflicts; len(c) > 0 {
		t.Errorf("conflicts %q", c)
	}
}

func TestWriters(t *testing.T) {
	now := time.Unix(0, 0)
	ws := writers{}
	for i := range busyMost {
		if look, catch := ws.due(now); i > 0 && (len(look) != 1 || len(catch) != 0) {
			t.Fatalf("after %d looks: %q, %q", i, look, catch)
		}
		ws.met("log", true, now)
		now = now.Add(busyRetry)
	}
	wait := caughtSoon
	for range 10 {
		if _, catch := ws.due(now); len(catch) != 1 {
			t.Fatalf("not caught at %v", now)
		}
		ws.met("log", true, now)
		ws.caught("log", now)
		if at, ok := ws.next(); !ok || !at.Equal(now.Add(wait)) {
			t.Errorf("next at %v, want after %v", at, wait)
		}
		if look, catch := ws.due(now); len(look)+len(catch) > 0 {
			t.Errorf("again at once: %q, %q", look, catch)
		}
		now, wait = now.Add(wait), min(2*wait, caughtLate)
	}
	ws.met("log", false, now)
	if _, ok := ws.next(); ok || len(ws) > 0 {
		t.Error("a file at rest is looked at")
	}
}

// deep is a path that the kernel takes only in parts.
func deep() string { return strings.Repeat(strings.Repeat("n", 240)+"/", 25) + "end" } // 6,028 bytes

// A path beyond PATH_MAX is scanned, watched and applied like any other.
func TestDeepPaths(t *testing.T) {
	p := newPair(t)
	roots := map[string]*os.Root{}
	for _, dir := range []string{p.laptop, p.pod} {
		root, err := os.OpenRoot(dir)
		must(t, err)
		defer root.Close()
		roots[dir] = root
	}
	content := func(dir, path string) string {
		b, err := roots[dir].ReadFile(path)
		if err != nil {
			return ""
		}
		return string(b)
	}
	must(t, roots[p.laptop].MkdirAll(deep(), 0o755))
	must(t, roots[p.laptop].WriteFile(deep()+"/f", []byte("one"), 0o644))
	s := p.start()
	defer s.stop()
	p.leader.settleNow(t)
	if got := content(p.pod, deep()+"/f"); got != "one" {
		t.Fatalf("got %q", got)
	}
	must(t, roots[p.laptop].WriteFile(deep()+"/f", []byte("two"), 0o644))
	must(t, roots[p.pod].WriteFile(deep()+"/g", []byte(strings.Repeat("large", 100_000)), 0o644))
	must(t, roots[p.pod].Symlink("f", deep()+"/link"))
	p.leader.settleNow(t)
	if content(p.pod, deep()+"/f") != "two" || len(content(p.laptop, deep()+"/g")) != 500_000 {
		t.Error("an edit did not arrive")
	}
	if target, err := roots[p.laptop].Readlink(deep() + "/link"); err != nil || target != "f" {
		t.Errorf("link: %q, %v", target, err)
	}
	must(t, roots[p.pod].Remove(deep()+"/f"))
	must(t, roots[p.laptop].Rename(deep()+"/g", deep()+"/h"))
	p.leader.settleNow(t)
	if content(p.laptop, deep()+"/f") != "" || content(p.pod, deep()+"/g") != "" || len(content(p.pod, deep()+"/h")) != 500_000 {
		t.Error("a delete or a rename did not arrive")
	}
}

// What is written through one name of a file is seen under the other too.
func TestHardLinks(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "a/one", "first")
	must(t, os.MkdirAll(filepath.Join(p.laptop, "b"), 0o755))
	must(t, os.Link(filepath.Join(p.laptop, "a/one"), filepath.Join(p.laptop, "b/two")))
	s := p.start()
	defer s.stop()
	p.settle()
	write(t, p.laptop, "a/one", "second") // in place
	p.settle()
	if got := read(t, p.pod, "b/two"); got != "second" {
		t.Errorf("under the other name: %q", got)
	}
	// What arrives takes the place of one name, and leaves the other alone.
	write(t, p.pod, "a/one", "third")
	p.settle()
	if got := read(t, p.laptop, "b/two"); got != "second" {
		t.Errorf("under the other name: %q", got)
	}
}

// Names of any bytes, up to the longest, and two that only people take for one.
func TestNames(t *testing.T) {
	p := newPair(t)
	names := []string{
		"caf\u00e9", "cafe\u0301", "README", "readme", "CON", "nul.txt", "trailing.", "trailing ", "a:b", "back\\slash", "*?",
		"new\nline", "tab\t", "\x01\x7f", "bad\xff\xfe", "-rf", "~x", "\u202egnp.exe", strings.Repeat("n", 255), strings.Repeat("\u00e9", 127), " ", "...",
	}
	for i, name := range names {
		write(t, []string{p.laptop, p.pod}[i%2], "d/"+name, "of "+name)
	}
	s := p.start()
	p.settle()
	for _, name := range names {
		if read(t, p.laptop, "d/"+name) != "of "+name || read(t, p.pod, "d/"+name) != "of "+name {
			t.Errorf("%q did not arrive", name)
		}
	}
	// A conflict of the longest names: the copy fits too.
	s.stop()
	for _, name := range names {
		write(t, p.laptop, "d/"+name, "the laptop's")
		write(t, p.pod, "d/"+name, "the pod's")
	}
	s = p.start()
	defer s.stop()
	p.settle()
	if got := p.leader.Status().Conflicts; len(got) != len(names) {
		t.Errorf("%d conflicts for %d names", len(got), len(names))
	}
}

// Files and folders take each other's place, on both sides at once too; nothing
// is lost.
func TestTypesChange(t *testing.T) {
	p := newPair(t)
	for i := range 4 {
		write(t, p.laptop, fmt.Sprint("file", i), "file")
		write(t, p.laptop, fmt.Sprint("dir", i, "/in"), "in")
	}
	s := p.start()
	p.settle()
	s.stop()
	replace := func(root, name, by string) {
		must(t, os.RemoveAll(filepath.Join(root, name)))
		switch by {
		case "dir":
			write(t, root, name+"/new", "new "+root)
		case "link":
			must(t, os.Symlink("elsewhere", filepath.Join(root, name)))
		default:
			write(t, root, name, "new "+root)
		}
	}
	replace(p.laptop, "file0", "dir")
	replace(p.pod, "file0", "dir")
	replace(p.laptop, "file1", "dir")
	replace(p.pod, "file1", "file")
	replace(p.laptop, "file2", "link")
	replace(p.pod, "file2", "dir")
	replace(p.laptop, "dir0", "file")
	replace(p.pod, "dir0", "dir")
	replace(p.laptop, "dir1", "file")
	replace(p.pod, "dir1", "link")
	replace(p.laptop, "dir2", "link")
	replace(p.pod, "dir3", "file")
	s = p.start()
	defer s.stop()
	p.settle()
	for _, root := range []string{p.laptop, p.pod} {
		var all strings.Builder
		for _, v := range list(t, root) {
			all.WriteString(v + "\n")
		}
		for _, dir := range []string{p.laptop, p.pod} {
			if n := strings.Count(all.String(), "new "+dir); n < 3 {
				t.Errorf("what %s wrote is %d times in %s", dir, n, root)
			}
		}
	}
}

// mountVariable tells the test binary that it may mount.
const mountVariable = "ENGINE_TEST_MOUNT"

// TestMountPoints runs this test again in namespaces of its own, where it may
// mount.
func TestMountPoints(t *testing.T) {
	if os.Getenv(mountVariable) != "" {
		testMountPoints(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMountPoints$", "-test.v")
	cmd.Env = append(os.Environ(), mountVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skipf("no namespaces: %v", err)
	case err != nil:
		t.Errorf("%v:\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
}

func testMountPoints(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "disk/kept", "under the mount")
	write(t, p.laptop, "bound/kept", "under the mount")
	write(t, p.laptop, "src/f", "f")
	s := p.start()
	p.settle()
	disk, bound := filepath.Join(p.laptop, "disk"), filepath.Join(p.laptop, "bound")
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, ""); err != nil {
		s.stop()
		t.Skip(err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	must(t, unix.Mount(filepath.Join(p.laptop, "src"), bound, "", unix.MS_BIND, ""))
	defer unix.Unmount(bound, unix.MNT_DETACH)
	write(t, p.laptop, "disk/other", "of another file system")
	write(t, p.laptop, "src/g", "g")
	p.leader.settleNow(t)
	s.stop()
	s = p.start() // with a scan of everything
	p.leader.settleNow(t)
	if read(t, p.pod, "disk/kept") != "under the mount" || read(t, p.pod, "bound/kept") != "under the mount" {
		t.Error("what a mount hides was deleted")
	}
	if exists(p.pod, "disk/other") || exists(p.pod, "bound/f") || read(t, p.pod, "src/g") != "g" {
		t.Error("a mount was crossed")
	}
	// What the pod writes there does not land in the other file system.
	write(t, p.pod, "disk/from-pod", "x")
	write(t, p.pod, "bound/from-pod", "x")
	p.await(func() bool { return len(p.leader.Status().Held) == 2 })
	if exists(p.laptop, "disk/from-pod") || exists(p.laptop, "src/from-pod") {
		t.Error("something was written into a mount")
	}
	if p.told(Skipped, "mounted") == 0 {
		t.Error("not a word")
	}
	must(t, unix.Unmount(disk, 0))
	must(t, unix.Unmount(bound, 0))
	s.stop()
	s = p.start()
	defer s.stop()
	p.settle()
	if read(t, p.laptop, "disk/from-pod") != "x" || read(t, p.pod, "bound/kept") != "under the mount" {
		t.Error("after the mounts not all is as it was")
	}
}
