package tree

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// lstatReal is LstatReal for names that the file system does not fold.
func (r *Root) lstatReal(p string) (fs.FileInfo, error) {
	fd, err := r.openat2(p, unix.O_PATH)
	if errors.Is(err, errors.ErrUnsupported) {
		return r.lstatWalk(p)
	}
	if err != nil {
		return nil, err
	}
	info := &stat{name: path.Base(p)}
	err = unix.Fstat(fd, &info.Stat_t)
	_ = unix.Close(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "fstat", Path: p, Err: err}
	}
	return info, nil
}

// openReal opens the file at p, whose parents are real folders, for reading.
func (r *Root) openReal(p string) (*os.File, error) {
	f, err := r.openBeneath(p, unix.O_RDONLY|openFlags)
	if errors.Is(err, errors.ErrUnsupported) {
		return r.openWalk(p)
	}
	return f, err
}

// OpenFolder opens the folder at p, "" for the root; it and its parents are real
// folders.
func (r *Root) OpenFolder(p string) (*os.Root, error) {
	if p == "" {
		return r.OpenRoot(".")
	}
	f, err := r.openBeneath(p, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, errors.ErrUnsupported) {
		return r.openFolderWalk(p)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// What was resolved must not be resolved again: proc(5) leads to it.
	if open, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(int(f.Fd()))); err == nil {
		return open, nil
	}
	return r.openFolderWalk(p)
}

// OpenDir opens the folder at p, for system calls and for reading its list; it
// and its parents are real folders where the kernel can tell.
func (r *Root) OpenDir(p string) (*os.File, error) {
	f, err := r.openBeneath(p, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, errors.ErrUnsupported) {
		return r.Open(p)
	}
	return f, err
}

// openBeneath lets the kernel resolve the path in one step (openat2(2)), where
// os.Root opens each parent: this is the most frequent thing that sync does.
// Where the kernel cannot, or the path is longer than PATH_MAX, the error is
// errors.ErrUnsupported.
func (r *Root) openBeneath(p string, flags uint64) (*os.File, error) {
	fd, err := r.openat2(p, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p), nil
}

// openat2 is openBeneath that returns a descriptor.
func (r *Root) openat2(p string, flags uint64) (fd int, err error) {
	if cerr := r.raw.Control(func(dir uintptr) {
		fd, err = unix.Openat2(int(dir), p, &unix.OpenHow{
			Flags:   flags | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
		})
	}); cerr != nil {
		return -1, cerr
	}
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		// It or a parent is a symlink, or a parent is no folder.
		return -1, &fs.PathError{Op: "openat2", Path: p, Err: fs.ErrNotExist}
	case errors.Is(err, unix.EXDEV):
		return -1, &fs.PathError{Op: "openat2", Path: p, Err: ErrMounted}
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES):
		return -1, &fs.PathError{Op: "openat2", Path: p, Err: err}
	default:
		return -1, errors.ErrUnsupported
	}
}

// isMounted reports whether a folder is where another file system, or a part of
// the same, is mounted.
func (r *Root) isMounted(folder *os.File) bool {
	raw, err := folder.SyscallConn()
	if err != nil {
		return false
	}
	mounted := false
	_ = raw.Control(func(fd uintptr) {
		var st unix.Statx_t
		err := unix.Statx(int(fd), "", unix.AT_EMPTY_PATH, unix.STATX_TYPE, &st)
		mounted = err == nil && st.Attributes&st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0
	})
	return mounted
}
