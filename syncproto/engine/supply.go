package engine

import (
	"context"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"golang.org/x/sync/errgroup"
)

// supplier answers the requests of the other end from this side's root. It
// reads nothing but files that are entries and have the digest that was asked
// for: what is ignored or excluded never leaves this side.
type supplier struct {
	r    *replica
	l    *link
	sent func(path string, bytes int) // hears of each piece that leaves; nil for nobody

	file   *os.File // the last one that was asked for
	path   string
	digest syncproto.Digest
	cutter *chunk.Reader // nil until a list is missing
	buf    []byte        // of the last piece
}

// suppliers is how many requests are answered at once: one reads and compresses
// while another sends.
const suppliers = 2

// supply has a few suppliers answer until ctx ends; sent is as in supplier.
func supply(ctx context.Context, g *errgroup.Group, r *replica, l *link, sent func(string, int)) {
	for range suppliers {
		g.Go(func() error { return (&supplier{r: r, l: l, sent: sent}).run(ctx) })
	}
}

// chunksAtOnce is how many chunks are cut for one answer where the list is not
// known, so that other requests do not wait long for it.
const chunksAtOnce = 256

// run answers until ctx ends.
func (s *supplier) run(ctx context.Context) error {
	defer s.drop()
	var frame syncproto.Frame
	for {
		select {
		case w := <-s.l.requests:
			if err := s.serve(ctx, &frame, w); err != nil {
				return err
			}
			if len(s.l.requests) == 0 {
				s.drop() // an open file would keep a deleted one's space
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// serve answers one request. While sync gives way, one is answered at a time,
// with a rest after it that is as long as it took.
func (s *supplier) serve(ctx context.Context, frame *syncproto.Frame, w wanted) error {
	if s.r.cfg.givesWay() {
		s.l.gentle.Lock()
		defer s.l.gentle.Unlock()
		began := time.Now()
		defer func() {
			select {
			case <-time.After(time.Since(began)):
			case <-ctx.Done():
			}
		}()
	}
	if err := s.l.conn.Encode(frame, s.answer(w)); err != nil {
		return err
	}
	return s.l.conn.WriteFrame(frame)
}

func (s *supplier) answer(w wanted) syncproto.Message {
	if req := w.chunks; req != nil {
		l := &syncproto.ChunkList{ID: req.ID}
		l.Chunks, l.Code = s.chunks(req)
		return l
	}
	d := &syncproto.Data{ID: w.piece.ID}
	d.Content, d.Code = s.piece(w.piece)
	if s.sent != nil && len(d.Content) > 0 {
		s.sent(w.piece.Path, len(d.Content))
	}
	return d
}

// open makes s.file the file at path, if that is an entry with the digest d.
func (s *supplier) open(path string, d syncproto.Digest) syncproto.Code {
	rec := s.r.index.Get(path)
	if rec.Type != syncproto.EntryFile || rec.Digest != d {
		return syncproto.CodeChanged
	}
	if s.file != nil && s.path == path && s.digest == d {
		return syncproto.CodeOK
	}
	s.drop()
	o := s.r.now.Load()
	if o == nil {
		return syncproto.CodeFailed
	}
	f, err := tree.OpenFile(o.root, path)
	if err != nil {
		return syncproto.CodeContent
	}
	s.file, s.path, s.digest = f, path, d
	return syncproto.CodeOK
}

// piece reads a piece, which is valid until the next one is read.
func (s *supplier) piece(req *syncproto.Request) ([]byte, syncproto.Code) {
	if code := s.open(req.Path, req.Digest); code != syncproto.CodeOK {
		return nil, code
	}
	s.buf = slices.Grow(s.buf[:0], int(req.Length))[:req.Length]
	n, err := s.file.ReadAt(s.buf, int64(req.Offset))
	if err != nil && err != io.EOF {
		return nil, syncproto.CodeContent
	}
	return s.buf[:n], syncproto.CodeOK
}

// chunks returns the chunks of a file from an offset on, from the catalog or,
// where they are not known, from the file itself.
func (s *supplier) chunks(req *syncproto.Chunks) ([]syncproto.Chunk, syncproto.Code) {
	if code := s.open(req.Path, req.Digest); code != syncproto.CodeOK {
		return nil, code
	}
	offset := int64(req.Offset)
	if list := s.r.index.Chunks().Chunks(req.Digest); list != nil {
		i := slices.IndexFunc(list, func(c syncproto.Chunk) bool {
			at := offset
			offset -= int64(c.Length)
			return at == 0
		})
		if i < 0 {
			return nil, syncproto.CodeInvalid
		}
		return list[i:min(len(list), i+syncproto.MaxChunks)], syncproto.CodeOK
	}
	if s.cutter == nil {
		s.cutter = chunk.NewReader(chunk.NewCutter())
	}
	list, err := s.cutter.Chunks(io.NewSectionReader(s.file, offset, math.MaxInt64-offset), chunksAtOnce)
	if err != nil {
		return nil, syncproto.CodeContent
	}
	return list, syncproto.CodeOK
}

func (s *supplier) drop() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
