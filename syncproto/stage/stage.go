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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Owner is who owns what a stage creates.
type Owner struct{ UID, GID int }

// Config of a stage.
type Config struct {
	Root  *tree.Root
	Index *tree.Index
	Trash *Trash
	// Owner is given to what is created; nil leaves it to the system.
	Owner *Owner
	// Partials keeps what interrupted puts have written; nil for not.
	Partials *Partials
	// Modes says whether the file system keeps permission bits.
	Modes bool
	// Deletable says of an entry that sync does not see whether it may go with
	// its folder; nil for never.
	Deletable func(p string, dir bool) bool
}

// Stage applies changes to one root.
type Stage struct {
	cfg    Config
	zeros  syncproto.Chunk // the chunk that a hole is made of
	blocks sync.Pool       // of *[]byte, what large files are assembled in
}

// New returns a stage. It does no I/O.
func New(cfg Config) *Stage {
	hole := make([]byte, syncproto.ChunkMax)
	return &Stage{
		cfg: cfg, zeros: syncproto.Chunk{Length: syncproto.ChunkMax, Digest: chunk.Sum(hole)},
		blocks: sync.Pool{New: func() any { b := make([]byte, 0, blockSize+syncproto.ChunkMax); return &b }},
	}
}

// target is a change and the open folder in which it happens.
type target struct {
	*syncproto.Change
	dir   *os.Root
	at    *os.File // dir, for system calls that os.Root has no name for
	name  string
	batch string
	bins  *bins  // folders of the trash
	temp  string // name of the temporary file of a put
}

// tempPath returns the path of the temporary file.
func (t target) tempPath() string { return path.Join(tree.Parent(t.Path), t.temp) }

// openFolder opens a folder of the root, and makes it if make is set. Every
// folder on the way must be a real one: os.Root would follow a symlink that
// stays inside the root, and the entry would be written where its path does
// not lead.
func (s *Stage) openFolder(dir string, create bool) (*os.Root, error) {
	open, err := s.cfg.Root.OpenFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.folders(dir, create); err != nil {
			return nil, err
		}
		open, err = s.cfg.Root.OpenFolder(dir)
	}
	if errors.Is(err, tree.ErrBusy) {
		err = fmt.Errorf("%q was replaced: %w", dir, errChanged)
	}
	return open, err
}

// folders makes sure that dir and what is above it are folders.
func (s *Stage) folders(dir string, create bool) error {
	for i := range len(dir) + 1 {
		if i < len(dir) && dir[i] != '/' || i == 0 {
			continue
		}
		if err := s.folder(dir[:i], create); err != nil {
			return err
		}
	}
	return nil
}

// folder makes sure that a is a folder.
func (s *Stage) folder(a string, create bool) error {
	info, err := s.cfg.Root.Lstat(a)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err = s.cfg.Root.Mkdir(a, 0o755); err == nil {
			s.own(s.cfg.Root.Root, a)
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

// check compares the disk, which it returns, with what the sender believes. done
// means that the path already is what the change would make of it. The caller
// holds the lock of the path.
func (s *Stage) check(t target) (now tree.Record, done bool, err error) {
	if s.cfg.Root.Aliased(t.dir, t.name) {
		s.cfg.Index.Set(t.Path, tree.Record{})
		return now, false, fmt.Errorf("another name that is the same here is in the way: %w", errChanged)
	}
	was := s.cfg.Index.Get(t.Path)
	now, present, err := s.cfg.Index.Read(t.dir, t.name, t.Path)
	if errors.Is(err, tree.ErrBusy) {
		return now, false, errChanged
	}
	if err != nil {
		return now, false, err
	}
	if now != was {
		s.cfg.Index.Set(t.Path, now)
	}
	if s.same(now.Entry, t.Entry) {
		return now, true, nil
	}
	if !s.same(now.Entry, t.Expect) {
		return now, false, errChanged
	}
	if present && !now.Exists() {
		return now, false, fmt.Errorf("something that is not synced is in the way: %w", errChanged)
	}
	return now, false, nil
}

func (s *Stage) same(a, b tree.Entry) bool {
	if s.cfg.Modes {
		return a.Same(b)
	}
	return a.SameContent(b)
}

// retire puts what t is about to remove into the trash. What nobody agreed on
// must get there; of the rest a single huge file may be let go, and on a full
// disk what is deleted, since nothing else would make room. The caller has
// checked t.
func (s *Stage) retire(t target) error {
	if !t.Expect.Exists() {
		return nil
	}
	kept, err := s.cfg.Trash.keep(t, t.name, record{path: t.Path, entry: s.cfg.Index.Get(t.Path).Entry, why: why(t.Change)})
	if !t.Keep && (errors.Is(err, errTooLarge) || t.Op == syncproto.OpDelete && IsDiskFull(err)) {
		return nil
	}
	if err == nil && t.Expect.Type == syncproto.EntryFile && chunk.Large(t.Expect.Size) {
		s.cfg.Index.Chunks().Put(t.Expect.Digest, chunk.Place{Trash: true, Path: kept})
	}
	return err
}

// why says why c removes what is there.
func why(c *syncproto.Change) syncproto.Why {
	switch {
	case c.Keep && c.First:
		return syncproto.WhyFirst
	case c.Keep:
		return syncproto.WhyConflict
	case c.Op == syncproto.OpDelete:
		return syncproto.WhyDeleted
	default:
		return syncproto.WhyOverwritten
	}
}

// own gives name in dir to the configured owner. Who is not root may not give
// files away; they stay its own.
func (s *Stage) own(dir *os.Root, name string) {
	if o := s.cfg.Owner; o != nil {
		_ = dir.Lchown(name, o.UID, o.GID)
	}
}
