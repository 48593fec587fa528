package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// A local program may write between the check and the rename or removal that
// follows it. So nothing is overwritten or removed unseen: what is at the path
// is displaced to a temporary name in one step, compared with what was checked,
// and put back if it is something else.

// replace puts temp in the place of now, which is in the trash already.
func (s *Stage) replace(t target, temp string, now tree.Record) error {
	if !now.Exists() {
		err := renameNew(t.at, temp, t.name)
		if errors.Is(err, errors.ErrUnsupported) {
			err = s.renameUnless(t, temp)
		}
		return err
	}
	ours, err := t.dir.Lstat(temp)
	if err != nil {
		return err
	}
	err = exchange(t.at, temp, t.name)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return t.dir.Rename(temp, t.name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("it is gone: %w", errChanged)
	case err != nil:
		return err
	case unwritten(t.dir, temp, now):
		return s.discard(t, temp, now.Size)
	}
	if err := exchange(t.at, temp, t.name); err != nil {
		return s.keepDisplaced(t, temp, err)
	}
	if back, err := t.dir.Lstat(temp); err != nil || !os.SameFile(back, ours) {
		return s.keepDisplaced(t, temp, err)
	}
	return fmt.Errorf("written at the last moment: %w", errChanged)
}

// discard removes what was displaced to temp and has that size. A large file
// that the trash did not take is freed when it is closed, for which nobody
// waits.
func (s *Stage) discard(t target, temp string, size int64) error {
	if chunk.Large(size) {
		if f, err := tree.OpenFile(s.cfg.Root, path.Join(tree.Parent(t.Path), temp)); err == nil {
			defer s.cfg.Trash.freeing.Go(func() { _ = f.Close() })
		}
	}
	return t.dir.Remove(temp)
}

// remove removes now, which is in the trash already.
func (s *Stage) remove(t target, now tree.Record) error {
	if now.Type == syncproto.EntryDir {
		err := removeFolder(t.at, t.name)
		if errors.Is(err, errors.ErrUnsupported) {
			err = t.dir.Remove(t.name)
		}
		return err
	}
	temp := tempName()
	if err := t.dir.Rename(t.name, temp); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it is gone: %w", errChanged)
		}
		return err
	}
	if unwritten(t.dir, temp, now) {
		return t.dir.Remove(temp)
	}
	err := renameNew(t.at, temp, t.name)
	if errors.Is(err, errors.ErrUnsupported) {
		err = s.renameUnless(t, temp)
	}
	if err != nil {
		return s.keepDisplaced(t, temp, err)
	}
	return fmt.Errorf("written at the last moment: %w", errChanged)
}

// renameUnless renames temp to the name of t unless that exists, as well as a
// system without a step of its own for that can.
func (s *Stage) renameUnless(t target, temp string) error {
	if _, err := t.dir.Lstat(t.name); err == nil {
		return fs.ErrExist
	}
	return t.dir.Rename(temp, t.name)
}

// keepDisplaced puts into the trash what was displaced and whose place is
// taken by now: the same path was written twice within two system calls.
func (s *Stage) keepDisplaced(t target, temp string, why error) error {
	found, _, err := s.cfg.Index.Read(t.dir, temp, t.Path)
	if err == nil {
		_, err = s.cfg.Trash.keep(t, temp, record{path: t.Path, entry: found.Entry, why: syncproto.WhyConflict})
	}
	if err != nil {
		return errors.Join(errChanged, why, err) // it stays under its temporary name
	}
	return errors.Join(errChanged, why, t.dir.RemoveAll(temp))
}

// unwritten reports whether name is now, neither written nor replaced since it
// was looked at. The change time is not asked: displacing and keeping in the
// trash alter it.
func unwritten(dir *os.Root, name string, now tree.Record) bool {
	if now.Type == syncproto.EntrySymlink {
		target, err := dir.Readlink(name)
		return err == nil && target == now.Target
	}
	info, err := dir.Lstat(name)
	return err == nil && info.Mode().IsRegular() && now.Unwritten(info)
}
