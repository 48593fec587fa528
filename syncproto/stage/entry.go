package stage

import (
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// symlink makes a symlink beside its target and renames it into place.
func (s *Stage) symlink(t target) error {
	temp := tempName()
	if err := t.dir.Symlink(t.Entry.Target, temp); err != nil {
		return err
	}
	s.own(t.dir, temp)
	err := s.place(t, temp)
	if err != nil {
		_ = t.dir.Remove(temp)
	}
	return err
}

func (s *Stage) mkdir(t target) error {
	defer s.cfg.Index.Lock(t.Path)()
	_, done, err := s.check(t)
	if done || err != nil {
		return err
	}
	if t.Expect.Exists() {
		return fmt.Errorf("something else is in the way: %w", errChanged)
	}
	if err := t.dir.Mkdir(t.name, 0o700); err != nil {
		return err
	}
	s.own(t.dir, t.name)
	if s.cfg.Modes {
		if err := t.dir.Chmod(t.name, fs.FileMode(t.Entry.Mode)); err != nil {
			return err
		}
	}
	return s.cfg.Index.Placed(t.dir, t.name, t.Path, t.Entry)
}

func (s *Stage) chmod(t target) error {
	defer s.cfg.Index.Lock(t.Path)()
	now, done, err := s.check(t)
	if done || err != nil {
		return err
	}
	if t.Entry.Type != syncproto.EntrySymlink {
		if err := t.dir.Chmod(t.name, fs.FileMode(t.Entry.Mode)); err != nil {
			return err
		}
	}
	e := t.Entry
	e.MTime = now.MTime // a change of mode brings none
	return s.cfg.Index.Placed(t.dir, t.name, t.Path, e)
}

// delete removes a file or symlink, or a folder with nothing in it but our own
// leftovers and what the ignore patterns allow to go with it.
func (s *Stage) delete(t target) error {
	defer s.cfg.Index.Lock(t.Path)()
	now, done, err := s.check(t)
	if done || err != nil {
		return err
	}
	folder := t.Expect.Type == syncproto.EntryDir
	if !folder {
		if err := s.retire(t); err != nil {
			return err
		}
	}
	err = s.remove(t, now)
	if isNotEmpty(err) {
		if err = s.empty(t); err == nil {
			err = s.remove(t, now)
		}
	}
	if err != nil {
		return err
	}
	if folder {
		_ = s.retire(t) // it was empty: only its mode would be lost
	}
	s.cfg.Index.Set(t.Path, tree.Record{})
	return nil
}

// empty removes from a folder what may go with it, if nothing else is there.
func (s *Stage) empty(t target) error {
	dir, err := t.dir.OpenRoot(t.name)
	if err != nil {
		return err
	}
	defer dir.Close()
	list, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range list {
		p := path.Join(t.Path, d.Name())
		if !tree.IsTemp(p) && (s.cfg.Deletable == nil || !s.cfg.Deletable(p, d.IsDir())) {
			return nil // the remove that follows reports a folder that is not empty
		}
	}
	for _, d := range list {
		if err := dir.RemoveAll(d.Name()); err != nil {
			return err
		}
	}
	return nil
}

// Clean removes a temporary file that an earlier process left behind. p must
// carry a temporary name.
func Clean(root *os.Root, p string) error {
	if !tree.IsTemp(p) {
		return fmt.Errorf("%q: %w", p, errInvalid)
	}
	return root.Remove(p)
}

// KeepsModes finds out whether the file system under root keeps permission
// bits, by way of a temporary file.
func KeepsModes(root *os.Root) (bool, error) {
	name := tempName()
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, fmt.Errorf("probing for permission bits: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = root.Remove(name)
	}()
	for _, mode := range []fs.FileMode{0o640, 0o711} {
		if err := f.Chmod(mode); err != nil {
			return false, nil
		}
		info, err := f.Stat()
		if err != nil {
			return false, fmt.Errorf("probing for permission bits: %w", err)
		}
		if info.Mode().Perm() != mode {
			return false, nil
		}
	}
	return true, nil
}
