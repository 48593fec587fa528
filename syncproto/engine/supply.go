package engine

import (
	"context"
	"io"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// supplier answers the requests of the other end from this side's root. It
// reads nothing but files that are entries and have the digest that was asked
// for: what is ignored or excluded never leaves this side.
type supplier struct {
	r    *replica
	l    *link
	sent func(path string, bytes int) // hears of each piece that left; nil for nobody

	file   *os.File // the last one that was asked for
	path   string
	digest syncproto.Digest
}

// run answers until ctx ends.
func (s *supplier) run(ctx context.Context) error {
	defer s.drop()
	for {
		select {
		case req := <-s.l.requests:
			d := &syncproto.Data{ID: req.ID}
			d.Content, d.Code = s.piece(req)
			if err := s.l.conn.Write(d); err != nil {
				return err
			}
			if s.sent != nil && len(d.Content) > 0 {
				s.sent(req.Path, len(d.Content))
			}
			if len(s.l.requests) == 0 {
				s.drop() // an open file would keep a deleted one's space
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *supplier) piece(req *syncproto.Request) ([]byte, syncproto.Code) {
	rec := s.r.index.Get(req.Path)
	if rec.Type != syncproto.EntryFile || rec.Digest != req.Digest {
		return nil, syncproto.CodeChanged
	}
	if s.file == nil || s.path != req.Path || s.digest != req.Digest {
		s.drop()
		o := s.r.now.Load()
		if o == nil {
			return nil, syncproto.CodeFailed
		}
		f, err := tree.OpenFile(o.root, req.Path)
		if err != nil {
			return nil, syncproto.CodeContent
		}
		s.file, s.path, s.digest = f, req.Path, req.Digest
	}
	buf := make([]byte, req.Length)
	n, err := s.file.ReadAt(buf, int64(req.Offset))
	if err != nil && err != io.EOF {
		return nil, syncproto.CodeContent
	}
	return buf[:n], syncproto.CodeOK
}

func (s *supplier) drop() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
