package chunk

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/zeebo/blake3"
)

// Sizes of the buffers of a Reader. A block holds two of the largest chunks,
// so that at least one ends in it.
const (
	smallBuffer = 128 << 10
	blockSize   = 2 * syncproto.ChunkMax
	blocks      = 3 // one is filled, one waits, one is hashed
)

// Reader reads contents for their digests and chunks. It keeps its buffers, a
// few MiB once it has read a large content; one goroutine may use it.
type Reader struct {
	cutter *Cutter
	h      *blake3.Hasher
	small  []byte
	free   chan *block
}

// block is a stretch of a content and the ends of the chunks in it.
type block struct {
	buf  []byte
	ends []int
}

// NewReader returns a Reader that cuts with c.
func NewReader(c *Cutter) *Reader {
	return &Reader{cutter: c, h: blake3.New(), small: make([]byte, smallBuffer)}
}

// Content reads a content of size bytes to its end and returns its digest, and
// its chunks if it is Large and they are no more than MaxList. A content of
// another length is io.ErrUnexpectedEOF.
func (r *Reader) Content(src io.Reader, size int64) (syncproto.Digest, []syncproto.Chunk, error) {
	if Large(size) {
		return r.large(src, size)
	}
	r.h.Reset()
	n, err := io.CopyBuffer(r.h, onlyReader{io.LimitReader(src, size+1)}, r.small)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	var d syncproto.Digest
	r.h.Sum(d[:0])
	return d, nil, err
}

// onlyReader hides a WriterTo, which would not use our buffer.
type onlyReader struct{ io.Reader }

func (r *Reader) large(src io.Reader, size int64) (syncproto.Digest, []syncproto.Chunk, error) {
	s := NewSummer()
	list := make([]syncproto.Chunk, 0, min(size/syncproto.ChunkMin+1, MaxList+1))
	var short error
	err := r.each(io.LimitReader(src, size), math.MaxInt, func(chunks []syncproto.Chunk) {
		if short == nil {
			short = s.Add(chunks, size)
		}
		list = append(list, chunks[:min(len(chunks), MaxList+1-len(list))]...)
	})
	if err == nil && (short != nil || s.Size() != size || !ended(src)) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return syncproto.Digest{}, nil, err
	}
	if len(list) > MaxList {
		list = nil
	}
	return s.Digest(), slices.Clone(list), nil
}

// ended reports whether nothing is left to read.
func ended(src io.Reader) bool {
	n, err := src.Read(make([]byte, 1))
	return n == 0 && err == io.EOF
}

// Chunks reads src, which begins at the beginning of a chunk, up to its end or
// the end of the given number of chunks.
func (r *Reader) Chunks(src io.Reader, limit int) (list []syncproto.Chunk, err error) {
	err = r.each(src, limit, func(chunks []syncproto.Chunk) { list = append(list, chunks...) })
	return list, err
}

// each reads src up to its end or that of the given number of chunks, and
// passes the chunks on. It cuts one stretch while another goroutine, which
// calls emit and ends before each returns, hashes the one before.
func (r *Reader) each(src io.Reader, limit int, emit func([]syncproto.Chunk)) error {
	if r.free == nil {
		r.free = make(chan *block, blocks)
		for range blocks {
			r.free <- &block{buf: make([]byte, blockSize)}
		}
	}
	work := make(chan *block, blocks)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var chunks []syncproto.Chunk
		for b := range work {
			if chunks = b.appendTo(chunks[:0]); len(chunks) > 0 {
				emit(chunks)
			}
			r.free <- b
		}
	}()
	err := r.cut(src, limit, work)
	close(work)
	<-done
	return err
}

// appendTo appends the chunks of the block.
func (b *block) appendTo(chunks []syncproto.Chunk) []syncproto.Chunk {
	from := 0
	for _, end := range b.ends {
		chunks = append(chunks, syncproto.Chunk{Length: uint32(end - from), Digest: Sum(b.buf[from:end])})
		from = end
	}
	return chunks
}

// cut fills blocks from src and sends them to work.
func (r *Reader) cut(src io.Reader, limit int, work chan<- *block) error {
	b := <-r.free
	have := 0 // bytes of b that came with the block before it
	for {
		n, err := io.ReadFull(src, b.buf[have:])
		have += n
		final := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !final {
			r.free <- b
			return fmt.Errorf("reading chunks: %w", err)
		}
		b.ends = b.ends[:0]
		from := 0
		for len(b.ends) < limit && from < have {
			n := r.cutter.Cut(b.buf[from:have], final)
			if n == 0 {
				break
			}
			from += n
			b.ends = append(b.ends, from)
		}
		limit -= len(b.ends)
		if final || limit == 0 {
			work <- b
			return nil
		}
		next := <-r.free
		have = copy(next.buf, b.buf[from:have])
		work <- b
		b = next
	}
}
