package stage

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestForbiddenLink is a user who may not link one file, which belongs to
// another: it is copied, and the next is linked all the same.
func TestForbiddenLink(t *testing.T) {
	const user = 1234
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user: run it as root")
	}
	if v, err := os.ReadFile("/proc/sys/fs/protected_hardlinks"); err != nil || string(v) != "1\n" {
		t.Skip("links are not protected here")
	}
	c := newCan(t, 1<<20)
	theirs, ours := c.write("theirs", "theirs"), c.write("ours", "ours")
	for _, p := range []string{c.at, c.dir, filepath.Join(c.dir, "ours")} {
		c.check(os.Chown(p, user, user))
	}
	func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c.check(unix.Setfsuid(user))
		defer func() { c.check(unix.Setfsuid(0)) }()
		c.check(c.put("theirs", "batch", theirs))
		c.check(c.put("ours", "batch", ours))
	}()
	for name, want := range map[string]bool{"theirs": false, "ours": true} {
		at, err := os.Stat(filepath.Join(c.dir, name))
		c.check(err)
		kept, err := os.Stat(filepath.Join(c.at, "batch", name))
		c.check(err)
		if os.SameFile(at, kept) != want {
			t.Errorf("%s is a link in the trash: %v", name, !want)
		}
	}
}
