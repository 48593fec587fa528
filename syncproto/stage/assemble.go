package stage

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"golang.org/x/sync/errgroup"
)

// Range is a stretch of a content, in bytes.
type Range struct{ Offset, Length int64 }

// Source has the content of a put that brings none.
type Source interface {
	// Chunks returns chunks of a large content: those from offset on, where one
	// begins, and as many as one answer holds.
	Chunks(ctx context.Context, offset int64) ([]syncproto.Chunk, error)
	// Read yields the ranges in order, in pieces of any size, each of which is
	// valid until yield returns. It returns the errors of yield as they are.
	Read(ctx context.Context, ranges []Range, yield func(piece []byte) error) error
}

// An assembly is written in aligned blocks, which costs the system half of what
// chunks of odd lengths would. While one is written, the next is filled.
const (
	blockSize = 512 << 10
	buffers   = 3
)

// maxSurprises is how many chunks may turn out not to be where they should be
// before a put is given up for the time being: each costs a round trip.
const maxSurprises = 16

// assembly puts a large file together from the chunks that this side has and
// those that it must fetch. Whatever is written was compared with its digest
// in the list before, and the list with the digest of the content; so where
// the bytes come from need not be trusted, and may change meanwhile.
type assembly struct {
	// config
	s      *Stage
	t      target
	source Source
	// state
	sum   *chunk.Summer
	count int               // of chunks in the list
	list  []syncproto.Chunk // what the catalog will know of the content
	open  *os.File          // the file from which the last chunk was copied
	place chunk.Place       // its place
	flow
}

// flow is what moves through an assembly.
type flow struct {
	filled    int64 // bytes that were read and verified
	written   int64 // bytes that were written
	surprises int   // chunks that were not where they should be
	block     block // the one that is being filled
	free      chan []byte
	ready     chan block
}

// block is a stretch of verified content that waits to be written.
type block struct {
	buf    []byte // what is filled; its capacity has room for another chunk
	offset int64
}

// assemble writes the large content of t to f.
func (s *Stage) assemble(ctx context.Context, f *os.File, t target, source Source) error {
	a := &assembly{
		s: s, t: t, source: source, sum: chunk.NewSummer(),
		flow: flow{free: make(chan []byte, buffers), ready: make(chan block, buffers)},
	}
	for range buffers {
		buf := s.blocks.Get().(*[]byte)
		defer s.blocks.Put(buf)
		a.free <- *buf
	}
	for _, p := range []string{t.Path, t.From} {
		a.describe(p)
	}
	if err := f.Truncate(t.Entry.Size); err != nil { // what is not written is zero
		return err
	}
	parts := make(chan []syncproto.Chunk)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { defer close(parts); return a.lists(ctx, parts) })
	g.Go(func() error { defer close(a.ready); return a.fill(ctx, parts) })
	g.Go(func() error { return a.write(ctx, f) })
	if err := g.Wait(); err != nil {
		if !IsDiskFull(err) {
			a.suspend(f)
		}
		return err
	}
	s.cfg.Index.Chunks().Describe(t.Entry.Digest, a.list)
	return nil
}

// describe makes sure that the chunks of a file of the root can be found.
func (a *assembly) describe(p string) {
	x := a.s.cfg.Index
	rec := x.Get(p)
	if rec.Type != syncproto.EntryFile || !chunk.Large(rec.Size) {
		return
	}
	x.Chunks().Put(rec.Digest, chunk.Place{Path: p})
	if x.Chunks().Chunks(rec.Digest) != nil {
		return
	}
	f, err := tree.OpenFile(a.s.cfg.Root, p)
	if err != nil {
		return // its chunks will be fetched
	}
	defer f.Close()
	_ = x.Describe(f, rec.Digest) // likewise
}

// lists sends the chunk list of the content, part by part and verified as far
// as that is possible before its end.
func (a *assembly) lists(ctx context.Context, parts chan<- []syncproto.Chunk) error {
	size := a.t.Entry.Size
	part := a.s.cfg.Index.Chunks().Chunks(a.t.Entry.Digest)
	for a.sum.Size() < size {
		if part == nil {
			var err error
			if part, err = a.source.Chunks(ctx, a.sum.Size()); err != nil {
				return err
			}
		}
		if err := a.sum.Add(part, size); err != nil {
			return ContentError(fmt.Errorf("%q: %w", a.t.Path, err))
		}
		if a.count += len(part); a.count <= chunk.MaxList {
			a.list = append(a.list, part...)
		} else {
			a.list = nil
		}
		if a.sum.Size() == size && a.sum.Digest() != a.t.Entry.Digest {
			return fmt.Errorf("%q: %w", a.t.Path, errContent)
		}
		select {
		case parts <- part:
			part = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// fill reads and verifies the chunks of the parts in their order.
func (a *assembly) fill(ctx context.Context, parts <-chan []syncproto.Chunk) error {
	defer a.close()
	for part := range parts {
		here, missing := a.plan(part)
		fetched, w := io.Pipe()
		g, gctx := errgroup.WithContext(ctx)
		g.Go(func() error {
			err := a.source.Read(gctx, missing, func(b []byte) error { _, err := w.Write(b); return err })
			_ = w.CloseWithError(err) // never fails
			return err
		})
		g.Go(func() error {
			err := a.fillPart(gctx, part, here, fetched)
			_ = fetched.CloseWithError(err) // never fails
			return err
		})
		if err := g.Wait(); err != nil {
			return err
		}
	}
	if a.block.buf != nil {
		a.ready <- a.block // it has room for all buffers
	}
	return ctx.Err()
}

// origin is where a chunk can be copied from; no places mean that it is
// fetched.
type origin struct {
	digest syncproto.Digest // of the content in the places
	places []chunk.Place
	offset int64
}

// plan finds the chunks of the next part on this side, and returns the ranges
// of those that are not there.
func (a *assembly) plan(part []syncproto.Chunk) (here []origin, missing []Range) {
	offset := a.filled
	here = make([]origin, len(part))
	for i, c := range part {
		o := &here[i]
		n := int64(c.Length)
		o.digest, o.places, o.offset = a.s.cfg.Index.Chunks().Find(c)
		if o.places == nil && c != a.s.zeros {
			if k := len(missing) - 1; k >= 0 && missing[k].Offset+missing[k].Length == offset {
				missing[k].Length += n
			} else {
				missing = append(missing, Range{Offset: offset, Length: n})
			}
		}
		offset += n
	}
	return here, missing
}

// fillPart reads and verifies the chunks of the next part: from here, or from
// fetched.
func (a *assembly) fillPart(ctx context.Context, part []syncproto.Chunk, here []origin, fetched io.Reader) error {
	for i, c := range part {
		if c == a.s.zeros {
			a.filled += int64(c.Length) // it stays a hole
			continue
		}
		if err := a.next(ctx); err != nil {
			return err
		}
		n := len(a.block.buf)
		buf := a.block.buf[n : n+int(c.Length)]
		if here[i].places == nil || !a.copy(buf, here[i], c.Digest) {
			if err := a.fetch(ctx, buf, fetched, here[i].places == nil); err != nil {
				return err
			}
			if chunk.Sum(buf) != c.Digest {
				return fmt.Errorf("%q: %w", a.t.Path, errContent)
			}
		}
		a.block.buf = a.block.buf[:n+len(buf)]
		a.filled += int64(c.Length)
	}
	return nil
}

// next makes room for a chunk: it passes the block on if that is full, or ends
// at a hole.
func (a *assembly) next(ctx context.Context) error {
	full := a.block
	var rest []byte
	if full.buf != nil {
		end := full.offset + int64(len(full.buf))
		limit := full.offset/blockSize*blockSize + blockSize
		if end == a.filled && end < limit {
			return nil
		}
		if end > limit && end == a.filled {
			n := limit - full.offset
			full.buf, rest = full.buf[:n], full.buf[n:]
		}
	}
	select {
	case buf := <-a.free:
		a.block = block{buf: append(buf, rest...), offset: a.filled - int64(len(rest))}
	case <-ctx.Done():
		return ctx.Err()
	}
	if full.buf != nil {
		a.ready <- full // it has room for all buffers
	}
	return nil
}

// fetch fills buf with the next chunk: from the stream if that was planned, or
// by a request of its own.
func (a *assembly) fetch(ctx context.Context, buf []byte, fetched io.Reader, planned bool) error {
	if planned {
		if _, err := io.ReadFull(fetched, buf); err != nil {
			return ContentError(err)
		}
		return nil
	}
	if a.surprises++; a.surprises > maxSurprises {
		return fmt.Errorf("%q: what it was copied from changes: %w", a.t.Path, errContent)
	}
	rest := buf
	err := a.source.Read(ctx, []Range{{Offset: a.filled, Length: int64(len(buf))}}, func(piece []byte) error {
		rest = rest[copy(rest, piece):]
		return nil
	})
	if err == nil && len(rest) > 0 {
		err = ContentError(io.ErrUnexpectedEOF)
	}
	return err
}

// copy fills buf from one of the places of o, and reports whether it holds the
// chunk with digest d then. A place that does not hold what it should is
// forgotten; an entry's next event brings it back.
func (a *assembly) copy(buf []byte, o origin, d syncproto.Digest) bool {
	for _, p := range o.places {
		f, err := a.openPlace(p)
		if err == nil {
			_, err = f.ReadAt(buf, o.offset)
		}
		if err == nil && chunk.Sum(buf) == d {
			return true
		}
		a.s.cfg.Index.Chunks().Remove(o.digest, p)
	}
	return false
}

// openPlace opens the file at p. The last one stays open for the next chunk.
func (a *assembly) openPlace(p chunk.Place) (*os.File, error) {
	if a.open != nil && a.place == p {
		return a.open, nil
	}
	a.close()
	var f *os.File
	var err error
	if p.Trash {
		f, err = a.s.cfg.Trash.open(p.Path)
	} else {
		f, err = tree.OpenFile(a.s.cfg.Root, p.Path)
	}
	if err != nil {
		return nil, err
	}
	a.open, a.place = f, p
	return f, nil
}

func (a *assembly) close() {
	if a.open != nil {
		_ = a.open.Close()
		a.open = nil
	}
}

// write writes the blocks as they get ready.
func (a *assembly) write(ctx context.Context, f *os.File) error {
	for b := range a.ready {
		if _, err := f.WriteAt(b.buf, b.offset); err != nil {
			return err
		}
		a.written = b.offset + int64(len(b.buf))
		a.free <- b.buf[:0] // it has room for all buffers
	}
	return ctx.Err()
}
