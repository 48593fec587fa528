package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Batch applies changes one after the other or together. It keeps the folders
// open in which it works: most changes of a batch share a few of them. Apply
// may be called by several goroutines at once as long as no two changes concern
// the same path or a folder and what is in it.
type Batch struct {
	stage *Stage
	name  string // the folder in the trash for what is removed

	mu      sync.Mutex
	folders map[string]*folder
	bins    bins
}

// folder is an open folder of a root.
type folder struct {
	*os.Root
	at    *os.File // the folder itself, for system calls that os.Root has no name for
	paths []string // that were changed in it
}

// close closes what is open of the folder.
func (f *folder) close() {
	_ = f.at.Close()
	_ = f.Close()
}

// Begin starts a batch; name is its folder in the trash.
func (s *Stage) Begin(name string) *Batch {
	return &Batch{stage: s, name: name, folders: map[string]*folder{}}
}

// End closes the folders. What was written into one that was moved away
// meanwhile is looked at again: it is not where its change says.
func (b *Batch) End() {
	s := b.stage
	for dir, f := range b.folders {
		if len(f.paths) > 0 && !s.stillAt(dir, f.Root) {
			for _, p := range f.paths {
				_, _ = s.cfg.Index.Look(s.cfg.Root, p, func(string, string) {})
			}
		}
		f.close()
	}
	b.bins.close()
}

// stillAt reports whether an open folder is the one at its path.
func (s *Stage) stillAt(dir string, open *os.Root) bool {
	have, err := open.Stat(".")
	if err != nil {
		return false
	}
	at, err := s.cfg.Root.LstatReal(dir)
	return err == nil && tree.SameInode(have, at)
}

// Apply applies c and brings the index up to date, whatever the outcome.
// source is asked for the content of a put that is neither inline nor copied. A
// change that finds its work done already succeeds. On a full disk the trash
// makes room.
func (b *Batch) Apply(ctx context.Context, c *syncproto.Change, source Source) syncproto.Result {
	err := b.apply(ctx, c, source)
	for IsDiskFull(err) && sameDisk(b.stage.cfg.Root.Root, b.stage.cfg.Trash.root.Root) && b.stage.cfg.Trash.makeRoom() {
		err = b.apply(ctx, c, source)
	}
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %w", err)
	}
	return result(err)
}

func (b *Batch) apply(ctx context.Context, c *syncproto.Change, source Source) error {
	if err := syncproto.VerifyPath(c.Path); err != nil {
		return fmt.Errorf("%w: %w", errInvalid, err)
	}
	if tree.IsTemp(c.Path) {
		return fmt.Errorf("%w: %q is a temporary name", errInvalid, c.Path)
	}
	s := b.stage
	parent, err := b.parent(c)
	if errors.Is(err, fs.ErrNotExist) && c.Op == syncproto.OpDelete {
		s.cfg.Index.Set(c.Path, tree.Record{})
		return nil
	}
	if err != nil {
		return err
	}
	if c.Expect.Type == syncproto.EntryDir && c.Entry.Type != syncproto.EntryDir {
		b.forget(c.Path)
	}
	t := target{Change: c, dir: parent.Root, at: parent.at, name: path.Base(c.Path), batch: b.name, bins: &b.bins}
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

// parent returns the open folder that holds the path of c, and makes it if it
// is missing and needed.
func (b *Batch) parent(c *syncproto.Change) (*folder, error) {
	dir := tree.Parent(c.Path)
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.folders[dir]; f != nil {
		f.paths = append(f.paths, c.Path)
		return f, nil
	}
	root, err := b.stage.openFolder(dir, c.Op != syncproto.OpDelete)
	if err != nil {
		return nil, err
	}
	at, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	f := &folder{Root: root, at: at, paths: []string{c.Path}}
	b.folders[dir] = f
	return f, nil
}

// forget closes what is open of a folder that is about to be replaced.
func (b *Batch) forget(p string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for dir, f := range b.folders {
		if tree.Under(dir, p) {
			f.close()
			delete(b.folders, dir)
		}
	}
}
