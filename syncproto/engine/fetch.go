package engine

import (
	"context"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
)

// piecesAhead is how many pieces of one file are asked for before the first of
// them was used. It bounds the memory of a transfer to 4 MiB.
const piecesAhead = 16

// fetch returns a source that asks the other end for the content of c.
func (l *link) fetch(c *syncproto.Change) *remote { return &remote{link: l, change: c} }

// remote is the content of a change as the other end has it.
type remote struct {
	link   *link
	change *syncproto.Change
	early  *piece // the whole content, if it was asked for already; for one reader
}

// Chunks implements stage.Source.
func (r *remote) Chunks(ctx context.Context, offset int64) ([]syncproto.Chunk, error) {
	answer, err := r.link.ask(ctx, syncproto.TypeChunkList, func(id uint64) syncproto.Message {
		return &syncproto.Chunks{ID: id, Path: r.change.Path, Digest: r.change.Entry.Digest, Offset: uint64(offset)}
	})
	if err != nil {
		return nil, stage.ContentError(err)
	}
	select {
	case m := <-answer:
		l, ok := m.(*syncproto.ChunkList)
		if !ok || l.Code != syncproto.CodeOK {
			return nil, r.changed()
		}
		return l.Chunks, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *remote) changed() error {
	return stage.ContentError(fmt.Errorf("%q changed before it could be fetched", r.change.Path))
}

// piece is a request for a part of the content.
type piece struct {
	answer <-chan syncproto.Message
	length int
}

// Read implements stage.Source. It asks several pieces ahead of what yield
// took.
func (r *remote) Read(ctx context.Context, ranges []stage.Range, yield func([]byte) error) error {
	var queue []piece // on their way, in order
	if r.early != nil {
		queue, ranges, r.early = []piece{*r.early}, nil, nil
	}
	for len(ranges) > 0 || len(queue) > 0 {
		for len(ranges) > 0 && len(queue) < piecesAhead {
			next := &ranges[0]
			n := min(next.Length, syncproto.MaxPiece)
			p, err := r.ask(ctx, next.Offset, int(n))
			if err != nil {
				return stage.ContentError(err)
			}
			queue = append(queue, p)
			next.Offset, next.Length = next.Offset+n, next.Length-n
			if next.Length == 0 {
				ranges = ranges[1:]
			}
		}
		p := queue[0]
		queue = queue[1:]
		if err := r.take(ctx, p, yield); err != nil {
			return err
		}
	}
	return nil
}

func (r *remote) ask(ctx context.Context, offset int64, length int) (piece, error) {
	answer, err := r.link.ask(ctx, syncproto.TypeData, func(id uint64) syncproto.Message {
		return &syncproto.Request{
			ID: id, Path: r.change.Path, Digest: r.change.Entry.Digest, Offset: uint64(offset), Length: uint32(length),
		}
	})
	return piece{answer: answer, length: length}, err
}

// take waits for a piece and passes it on.
func (r *remote) take(ctx context.Context, p piece, yield func([]byte) error) error {
	select {
	case m := <-p.answer:
		d, ok := m.(*syncproto.Data)
		if !ok || d.Code != syncproto.CodeOK || len(d.Content) != p.length {
			return r.changed()
		}
		return yield(d.Content)
	case <-ctx.Done():
		return ctx.Err()
	}
}
