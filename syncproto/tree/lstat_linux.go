package tree

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lstatReal is Lstat for a path whose parents are real folders. The kernel
// resolves the path in one step (openat2(2)), where os.Root opens each parent:
// this is the most frequent thing that sync does. Where the kernel cannot, or
// the path is longer than PATH_MAX, it walks.
func lstatReal(root *os.Root, p string) (fs.FileInfo, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := unix.Openat2(int(dir.Fd()), p, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case err == nil:
		f := os.NewFile(uintptr(fd), p)
		defer f.Close()
		return f.Stat()
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		// A parent is a symlink or no folder.
		return nil, &fs.PathError{Op: "openat2", Path: p, Err: fs.ErrNotExist}
	case errors.Is(err, unix.ENOENT):
		return nil, &fs.PathError{Op: "openat2", Path: p, Err: err}
	default:
		return lstatWalk(root, p)
	}
}
