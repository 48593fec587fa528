package stage

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// store puts a file or symlink into the trash, and returns which version of
// the path in its batch that is.
func (t *Trash) store(dir *os.Root, name, to string) (int, error) {
	batch, p, _ := strings.Cut(to, "/")
	for n := 1; ; n++ {
		err := t.place(dir, name, path.Join(versionName(batch, n), p))
		if (errors.Is(err, fs.ErrExist) || isNotDir(err)) && n < maxVersions {
			continue // the batch already holds another version
		}
		return n, err
	}
}

// place links or copies a file or symlink. A file that has other names is
// copied: what is written through those later must not reach the trash, and a
// link to it would take no room of its own.
func (t *Trash) place(dir *os.Root, name, to string) error {
	if err := t.root.MkdirAll(filepath.FromSlash(path.Dir(to)), 0o700); err != nil {
		return err
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	t.mu.Lock()
	links := t.links
	t.mu.Unlock()
	if links && !shared(info) {
		err := link(dir, name, t.root.Root, to)
		if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !errors.Is(err, fs.ErrPermission) { // which may be about this file alone
			t.mu.Lock()
			t.links = false // another file system
			t.mu.Unlock()
		}
	}
	return t.copy(dir, name, to, info)
}

func (t *Trash) copy(dir *os.Root, name, to string, info fs.FileInfo) (err error) {
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := dir.Readlink(name)
		if err != nil {
			return err
		}
		return t.root.Symlink(target, to)
	}
	from, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	if now, err := from.Stat(); err != nil || !os.SameFile(info, now) {
		return errChanged
	}
	f, err := t.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = t.root.Remove(to)
		return err
	}
	_ = t.root.Chtimes(to, info.ModTime(), info.ModTime()) // only for people who look
	return nil
}

// parentOf opens the folder that holds p; base is the name of p in it.
func parentOf(root *os.Root, p string) (dir *os.File, base string, err error) {
	name := tree.Parent(p)
	if name == "" {
		name = "."
	}
	dir, err = root.Open(name)
	return dir, path.Base(p), err
}
