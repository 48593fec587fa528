package tree

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// TestBaseOnAFullDisk agrees on something while the disk is full, with more or
// less room for a part of it: when there is room again, nothing of it is
// missing, whatever comes next.
func TestBaseOnAFullDisk(t *testing.T) {
	for name, next := range map[string]func(b *Base) error{
		"agree": func(b *Base) error {
			return b.Agree([]syncproto.Item{{Path: "next", Entry: Entry{Type: syncproto.EntryDir, Mode: 0o755}}})
		},
		"set met": (*Base).SetMet,
		"close":   func(*Base) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
				t.Skipf("mounting a small file system: %v", err)
			}
			defer func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			}()
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			b, err := OpenBase(dir, nil)
			check(err)
			check(b.Reset([16]byte{1}))
			check(b.Agree([]syncproto.Item{{Path: "before", Entry: Entry{Type: syncproto.EntryDir, Mode: 0o755}}}))
			filler := filepath.Join(dir, "filler")
			if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			// More than is left of the log's page.
			long := string(bytes.Repeat([]byte{'x'}, 200))
			var failed error
			for i := range 100 {
				item := syncproto.Item{Path: long + string(rune('a'+i%26)) + string(rune('a'+i/26)), Entry: Entry{Type: syncproto.EntryDir, Mode: 0o755}}
				failed = errors.Join(failed, b.Agree([]syncproto.Item{item}))
			}
			if !errors.Is(failed, unix.ENOSPC) {
				t.Fatal(failed)
			}
			check(os.Remove(filler))
			b.unsaved.tried = b.unsaved.tried.Add(-retrySave)
			check(next(b))
			want, size := b.Digest(), b.Entries().Len()
			check(b.Close())
			b, err = OpenBase(dir, nil)
			check(err)
			defer b.Close()
			if b.Digest() != want || size < 101 {
				t.Errorf("of %d entries %d are left", size, b.Entries().Len())
			}
		})
	}
}
