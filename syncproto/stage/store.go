package stage

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// store puts a file or symlink into the trash, and returns which version of
// the path in its batch that is.
func (t *Trash) store(from target, name, p string) (int, error) {
	for n := 1; ; n++ {
		err := t.place(from, name, path.Join(versionName(from.batch, n), p))
		if (errors.Is(err, fs.ErrExist) || isNotDir(err)) && n < maxVersions {
			continue // the batch already holds another version
		}
		return n, err
	}
}

// place links or copies a file or symlink. A file that has other names is
// copied: what is written through those later must not reach the trash, and a
// link to it would take no room of its own.
func (t *Trash) place(from target, name, to string) error {
	folder, err := from.bins.folder(t, path.Dir(to))
	if err != nil {
		return err
	}
	info, err := from.dir.Lstat(name)
	if err != nil {
		return err
	}
	t.mu.Lock()
	links := t.links
	t.mu.Unlock()
	if links && !shared(info) {
		err := link(from.at, name, folder, path.Base(to))
		if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !errors.Is(err, fs.ErrPermission) { // which may be about this file alone
			t.mu.Lock()
			t.links = false // another file system
			t.mu.Unlock()
		}
	}
	return t.copy(from.dir, name, to, info)
}

// bins are the folders of the trash that are open for a batch: what it removes
// comes from few. The zero value has none.
type bins struct {
	mu   sync.Mutex
	open map[string]*os.File
}

// folder returns a folder of the trash, and makes it if need be. It stays open
// until close.
func (b *bins) folder(t *Trash, p string) (*os.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.open[p]; f != nil {
		return f, nil
	}
	f, err := t.folder(p)
	if err != nil {
		return nil, err
	}
	if b.open == nil {
		b.open = map[string]*os.File{}
	}
	b.open[p] = f
	return f, nil
}

func (b *bins) close() {
	for _, f := range b.open {
		_ = f.Close()
	}
}

// folder opens a folder of the trash, and makes it if need be.
func (t *Trash) folder(p string) (*os.File, error) {
	f, err := t.root.OpenDir(p)
	if errors.Is(err, fs.ErrNotExist) {
		if err := t.root.MkdirAll(filepath.FromSlash(p), 0o700); err != nil {
			return nil, err
		}
		f, err = t.root.OpenDir(p)
	}
	return f, err
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
