package stage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// tempName returns a name that nothing else has.
func tempName() string { return syncproto.TempPrefix + rand.Text() }

// put writes a file beside its target and renames it into place.
func (s *Stage) put(ctx context.Context, t target, source Source) error {
	t.temp = tempName()
	var err error
	if t.Inline {
		err = s.create(ctx, t)
	} else {
		var done bool
		if done, err = s.peek(t); done || err != nil {
			return err
		}
		err = s.write(ctx, t, source)
	}
	if err == nil {
		err = s.place(t, t.temp)
	}
	if err == nil {
		s.drop(s.cfg.Partials.take(t.Path))
	} else if !s.cfg.Partials.Keeps(t.tempPath()) {
		_ = t.dir.Remove(t.temp)
	}
	return err
}

// write makes the temporary file of t.
func (s *Stage) write(ctx context.Context, t target, source Source) error {
	f, err := t.dir.OpenFile(t.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = s.fill(ctx, f, t, source)
	if err == nil && s.cfg.Modes {
		err = f.Chmod(fs.FileMode(t.Entry.Mode))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	s.own(t.dir, t.temp)
	mtime := time.Unix(0, t.Entry.MTime)
	return t.dir.Chtimes(t.temp, mtime, mtime)
}

// peek runs the check before any content is fetched, so that a change that is
// done or refused anyway costs nothing.
func (s *Stage) peek(t target) (done bool, err error) {
	defer s.cfg.Index.Lock(t.Path)()
	_, done, err = s.check(t)
	return done, err
}

// place checks once more, retires the old entry and puts temp in its place.
func (s *Stage) place(t target, temp string) error {
	defer s.cfg.Index.Lock(t.Path)()
	if s.expectsNothing(t) {
		// Most files of a first sync: the rename itself looks whether a name
		// has appeared, and then says so.
		switch err := renameNew(t.at, temp, t.name); {
		case err == nil:
			return s.cfg.Index.Placed(t.dir, t.name, t.Path, t.Entry)
		case !errors.Is(err, fs.ErrExist) && !errors.Is(err, errors.ErrUnsupported):
			return err
		}
	}
	now, done, err := s.check(t)
	if err != nil {
		return err
	}
	if done {
		return t.dir.Remove(temp)
	}
	if t.Expect.Type == syncproto.EntryDir {
		return fmt.Errorf("a folder is in the way: %w", errChanged)
	}
	if err := s.retire(t); err != nil {
		return err
	}
	if err := s.replace(t, temp, now); err != nil {
		return err
	}
	return s.cfg.Index.Placed(t.dir, t.name, t.Path, t.Entry)
}

// expectsNothing reports whether t is a new path for both sides.
func (s *Stage) expectsNothing(t target) bool {
	return !t.Expect.Exists() && !s.cfg.Root.Names().Folds() && !s.cfg.Index.Get(t.Path).Exists()
}

// fill writes the content of t to f and verifies its digest.
func (s *Stage) fill(ctx context.Context, f *os.File, t target, source Source) error {
	if !t.Inline && chunk.Large(t.Entry.Size) {
		return s.assemble(ctx, f, t, source)
	}
	h := tree.NewHasher()
	var size int64
	write := func(piece []byte) error {
		if size += int64(len(piece)); size > t.Entry.Size {
			return fmt.Errorf("%q: longer than announced: %w", t.Path, errContent)
		}
		_, _ = h.Write(piece) // a hash does not fail
		_, err := f.Write(piece)
		return err
	}
	var err error
	switch {
	case t.Inline:
		err = write(t.Content)
	case t.From != "":
		err = s.copyFrom(ctx, t.From, write)
	case t.Entry.Size > 0:
		err = source.Read(ctx, []Range{{Length: t.Entry.Size}}, write)
	}
	if err != nil {
		return err
	}
	if size != t.Entry.Size || h.Digest() != t.Entry.Digest {
		return fmt.Errorf("%q: %w", t.Path, errContent)
	}
	return nil
}

// copyFrom reads the content of another file of the root.
func (s *Stage) copyFrom(ctx context.Context, from string, write func([]byte) error) error {
	if err := syncproto.VerifyPath(from); err != nil {
		return fmt.Errorf("%w: %w", errInvalid, err)
	}
	if s.cfg.Index.Get(from).Type != syncproto.EntryFile {
		return fmt.Errorf("no content at %q: %w", from, errContent)
	}
	f, err := tree.OpenFile(s.cfg.Root, from)
	if err != nil {
		return ContentError(err)
	}
	defer f.Close()
	buf := make([]byte, 128<<10)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		if werr := write(buf[:n]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return ContentError(err)
		}
	}
	return ctx.Err()
}
