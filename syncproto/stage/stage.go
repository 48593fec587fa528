// Package stage applies changes to a root so that a reader sees the old entry
// or the new one and nothing between: content is written beside its target
// under a temporary name, verified, and renamed into place. What it overwrites
// or deletes goes to a trash first, and nothing is touched that is not what
// the sender believed. All work is done under os.Root: whatever a change says,
// nothing outside the root is read or written.
//
// SPEC.md, "Applying a change", is the specification.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Owner is who owns what a stage creates.
type Owner struct{ UID, GID int }

// Config of a stage.
type Config struct {
	Root  *os.Root
	Index *tree.Index
	Trash *Trash
	// Owner is given to what is created; nil leaves it to the system.
	Owner *Owner
	// Modes says whether the file system keeps permission bits.
	Modes bool
	// Deletable says of an entry that sync does not see whether it may go with
	// its folder; nil for never.
	Deletable func(p string, dir bool) bool
}

// Stage applies changes to one root. Apply may be called by several goroutines
// at once as long as no two changes concern the same path or a folder and
// what is in it.
type Stage struct{ cfg Config }

// New returns a stage. It does no I/O.
func New(cfg Config) *Stage { return &Stage{cfg: cfg} }

// Source yields the content of a put that carries none, in order.
type Source func(ctx context.Context, yield func(piece []byte) error) error

// Apply applies c and brings the index up to date, whatever the outcome. batch
// names the folder in the trash for what c removes. source is asked for the
// content of a put that is neither inline nor copied. A change that finds its
// work done already succeeds.
func (s *Stage) Apply(ctx context.Context, c *syncproto.Change, batch string, source Source) syncproto.Result {
	err := s.apply(ctx, c, batch, source)
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %w", err)
	}
	return result(err)
}

func (s *Stage) apply(ctx context.Context, c *syncproto.Change, batch string, source Source) error {
	if err := syncproto.VerifyPath(c.Path); err != nil {
		return fmt.Errorf("%w: %w", errInvalid, err)
	}
	if tree.IsTemp(c.Path) {
		return fmt.Errorf("%w: %q is a temporary name", errInvalid, c.Path)
	}
	parent, err := s.parent(tree.Parent(c.Path), c.Op != syncproto.OpDelete)
	if errors.Is(err, fs.ErrNotExist) && c.Op == syncproto.OpDelete {
		s.cfg.Index.Set(c.Path, tree.Record{})
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	t := target{Change: c, dir: parent, name: path.Base(c.Path), batch: batch}
	switch c.Op {
	case syncproto.OpPut:
		return s.put(ctx, t, source)
	case syncproto.OpSymlink:
		return s.symlink(t)
	case syncproto.OpMkdir:
		return s.mkdir(t)
	case syncproto.OpChmod:
		return s.chmod(t)
	case syncproto.OpDelete:
		return s.delete(t)
	default:
		return fmt.Errorf("%w: operation %d", errInvalid, c.Op)
	}
}

// target is a change and the open folder in which it happens.
type target struct {
	*syncproto.Change
	dir   *os.Root
	name  string
	batch string
}

// parent opens a folder of the root, making it if make is set. Every folder on
// the way must be a real one: os.Root would follow a symlink that stays inside
// the root, and the entry would be written where its path does not lead.
func (s *Stage) parent(dir string, create bool) (*os.Root, error) {
	for i := range len(dir) + 1 {
		if i < len(dir) && dir[i] != '/' || i == 0 {
			continue
		}
		if err := s.folder(dir[:i], create); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		dir = "."
	}
	return s.cfg.Root.OpenRoot(dir)
}

// folder makes sure that a is a folder.
func (s *Stage) folder(a string, create bool) error {
	if s.cfg.Index.Get(a).Type == syncproto.EntryDir {
		return nil
	}
	info, err := s.cfg.Root.Lstat(a)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err = s.cfg.Root.Mkdir(a, 0o755); err == nil {
			s.own(s.cfg.Root, a)
			return nil
		}
		if errors.Is(err, fs.ErrExist) { // another change was quicker
			info, err = s.cfg.Root.Lstat(a)
		}
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%q is not a folder: %w", a, errChanged)
	}
	return nil
}

// check compares the disk with what the sender believes. done means that the
// path already is what the change would make of it. The caller holds the lock
// of the path.
func (s *Stage) check(t target) (done bool, err error) {
	now, err := s.cfg.Index.Read(s.cfg.Root, t.Path)
	if errors.Is(err, tree.ErrBusy) {
		return false, errChanged
	}
	if err != nil {
		return false, err
	}
	s.cfg.Index.Set(t.Path, now)
	if s.same(now.Entry, t.Entry) {
		return true, nil
	}
	if !s.same(now.Entry, t.Expect) {
		return false, errChanged
	}
	if !now.Exists() {
		// What is no entry may still be in the way: a socket, a device.
		if _, err := t.dir.Lstat(t.name); err == nil {
			return false, fmt.Errorf("something that is not synced is in the way: %w", errChanged)
		}
	}
	return false, nil
}

func (s *Stage) same(a, b tree.Entry) bool {
	if s.cfg.Modes {
		return a.Same(b)
	}
	return a.SameContent(b)
}

// retire puts what t is about to remove into the trash. What nobody agreed on
// must get there; of the rest a single huge file may be let go.
func (s *Stage) retire(t target) error {
	if t.Expect.Type != syncproto.EntryFile && t.Expect.Type != syncproto.EntrySymlink {
		return nil
	}
	err := s.cfg.Trash.keep(s.cfg.Root, t.Path, t.batch, t.Expect.Size)
	if errors.Is(err, errTooLarge) && !t.Keep {
		return nil
	}
	return err
}

// own gives name in dir to the configured owner. Who is not root may not give
// files away; they stay its own.
func (s *Stage) own(dir *os.Root, name string) {
	if o := s.cfg.Owner; o != nil {
		_ = dir.Lchown(name, o.UID, o.GID)
	}
}
