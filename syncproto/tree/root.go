package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Root is an open folder that is synced. All names are resolved below it,
// whatever they say (os.Root). It may be used by several goroutines at once.
type Root struct {
	*os.Root
	// dir is the folder itself, for system calls that os.Root has no name for.
	dir *os.File
	raw syscall.RawConn
	// names are the rules for names, as far as they were probed.
	names Names
}

// ErrMounted means that a path leads into another file system, which is not
// synced: should that be unmounted, everything would seem deleted.
var ErrMounted = errors.New("another file system is mounted here, which is not synced")

// OpenRoot opens the folder dir.
func OpenRoot(dir string) (*Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		_ = root.Close()
		return nil, err
	}
	return &Root{Root: root, dir: f, raw: raw}, nil
}

// LstatReal is Lstat for a path whose parents are real folders, with names
// written as in p; below anything else there is nothing. What another file
// system holds that is mounted in the root is ErrMounted. What it returns is not
// for os.SameFile; see SameInode.
func (r *Root) LstatReal(p string) (fs.FileInfo, error) {
	if p == "" {
		p = "."
	}
	info, err := r.lstatReal(p)
	if err == nil && p != "." && r.aliased(p) {
		return nil, &fs.PathError{Op: "lstat", Path: p, Err: fs.ErrNotExist}
	}
	return info, err
}

// Close releases the folder. What is in progress ends in good order.
func (r *Root) Close() error {
	_ = r.dir.Close()
	return r.Root.Close()
}

// OpenFile opens the regular file at p for reading. Every folder above it is a
// real one; it neither follows a symlink that took the file's place nor waits
// for the other end of a fifo.
func OpenFile(root *Root, p string) (*os.File, error) {
	f, err := root.openReal(p)
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !now.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("%q: %w", p, ErrBusy)
	}
	return f, nil
}

// lstatWalk is Lstat for a path whose parents are real folders: os.Root keeps
// a symlinked parent inside the root but would still follow it. It opens one
// parent after the other, so that a path of many costs no more than that.
func (r *Root) lstatWalk(p string) (fs.FileInfo, error) {
	at := r.Root
	defer func() {
		if at != r.Root {
			_ = at.Close()
		}
	}()
	for {
		name, rest, below := strings.Cut(p, "/")
		info, err := at.Lstat(name)
		if err != nil || !below {
			return info, err
		}
		if !info.IsDir() {
			return nil, fs.ErrNotExist
		}
		next, err := at.OpenRoot(name)
		if err != nil {
			return nil, err
		}
		if at != r.Root {
			_ = at.Close()
		}
		at, p = next, rest
		if now, err := at.Stat("."); err != nil || !os.SameFile(info, now) {
			return nil, fmt.Errorf("%q: %w", name, ErrBusy)
		}
	}
}

// openWalk opens the file at p for reading as lstatWalk looks at it.
func (r *Root) openWalk(p string) (*os.File, error) {
	info, err := r.lstatWalk(p)
	if err != nil {
		return nil, err
	}
	f, err := r.OpenFile(p, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		_ = f.Close()
		return nil, fmt.Errorf("%q: %w", p, ErrBusy)
	}
	return f, nil
}

// openFolderWalk opens the folder at p as lstatWalk looks at it.
func (r *Root) openFolderWalk(p string) (*os.Root, error) {
	info, err := r.lstatWalk(p)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fs.ErrNotExist
	}
	open, err := r.OpenRoot(p)
	if err != nil {
		return nil, err
	}
	if now, err := open.Stat("."); err != nil || !os.SameFile(info, now) {
		_ = open.Close()
		return nil, fmt.Errorf("%q: %w", p, ErrBusy)
	}
	return open, nil
}
