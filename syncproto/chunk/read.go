package chunk

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/zeebo/blake3"
)

// Sizes of the buffers of a Reader.
const (
	smallBuffer = 128 << 10
	blockSize   = 512 << 10 // what is read at once
	maxHashers  = 4         // blocks that are hashed at once
)

// hashers is how many blocks are hashed at once: to read and to cut costs less
// than to hash.
func hashers() int { return min(runtime.GOMAXPROCS(0), maxHashers) }

// Reader reads contents for their digests and chunks. It keeps its buffers, up
// to 7 MiB once it has read a large content; one goroutine may use it.
type Reader struct {
	cutter *Cutter
	h      *blake3.Hasher
	small  []byte
	free   chan *block
	rest   []byte // what is left of a block
}

// block is a stretch of a content and the chunks that end in it.
type block struct {
	buf    []byte // what is left of the block before it, then what was read
	from   int    // where in buf the content begins
	to     int    // and ends
	err    error  // why the content ends here; io.EOF in good order
	chunks []syncproto.Chunk
	hashed []bool // by chunk: its digest is known
	guess  guess
	work   sync.WaitGroup // what another goroutine computes of it
}

// NewReader returns a Reader that cuts with c.
func NewReader(c *Cutter) *Reader {
	return &Reader{cutter: c, h: blake3.New(), small: make([]byte, smallBuffer)}
}

// Content reads a content of size bytes to its end and returns its digest, and
// its chunks if it is Large and they are no more than MaxList. A content of
// another length is io.ErrUnexpectedEOF. old are the chunks of a content that
// may be like this one, nil for none: where it is, it is not cut anew.
func (r *Reader) Content(src io.Reader, size int64, old []syncproto.Chunk) (syncproto.Digest, []syncproto.Chunk, error) {
	if Large(size) {
		return r.large(src, size, old)
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

func (r *Reader) large(src io.Reader, size int64, old []syncproto.Chunk) (syncproto.Digest, []syncproto.Chunk, error) {
	s := NewSummer()
	list := make([]syncproto.Chunk, 0, min(size/syncproto.ChunkMin+1, MaxList+1))
	var short error
	err := r.each(io.LimitReader(src, size), math.MaxInt, newForecast(old), func(chunks []syncproto.Chunk) {
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
	err = r.each(src, limit, newForecast(nil), func(chunks []syncproto.Chunk) { list = append(list, chunks...) })
	return list, err
}

// each reads src up to its end or that of the given number of chunks, and
// passes the chunks on. One stretch is read and others are hashed, by
// goroutines that end before each returns, while it cuts the one between.
func (r *Reader) each(src io.Reader, limit int, f *forecast, emit func([]syncproto.Chunk)) error {
	if r.free == nil {
		blocks := hashers() + 3 // one is filled, one is cut, one is passed on
		r.rest = make([]byte, syncproto.ChunkMax)
		r.free = make(chan *block, blocks)
		for range blocks {
			r.free <- &block{buf: make([]byte, syncproto.ChunkMax+blockSize)}
		}
	}
	read, cut, stop := make(chan *block, cap(r.free)), make(chan *block, cap(r.free)), make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		defer close(read)
		r.fill(src, read, stop)
	})
	g.Go(func() {
		for b := range cut {
			if b.work.Wait(); len(b.chunks) > 0 {
				emit(b.chunks)
			}
			r.free <- b
		}
	})
	q := &queue{read: read}
	err := r.cut(q, cut, limit, f)
	close(stop)
	close(cut)
	q.drop(r.free)
	g.Wait()
	return err
}

// fill reads src block by block until it ends or nobody wants more.
func (r *Reader) fill(src io.Reader, read chan<- *block, stop <-chan struct{}) {
	for {
		var b *block
		select {
		case b = <-r.free:
		case <-stop:
			return
		}
		n, err := io.ReadFull(src, b.buf[syncproto.ChunkMax:])
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		b.from, b.to, b.err = syncproto.ChunkMax, syncproto.ChunkMax+n, err
		b.chunks, b.hashed = b.chunks[:0], b.hashed[:0]
		read <- b // it has room for all blocks
		if err != nil {
			return
		}
	}
}

// cut finds the chunks of the blocks that were read and passes them on.
func (r *Reader) cut(q *queue, cut chan<- *block, limit int, f *forecast) error {
	n := 0 // bytes that are left of the block before
	for b := q.next(f, nil); b != nil; b = q.next(f, r.rest[:n]) {
		if !f.begin(b.guess, n) {
			q.void()
		}
		b.from -= copy(b.buf[b.from-n:], r.rest[:n])
		final := errors.Is(b.err, io.EOF)
		at := b.from
		for len(b.chunks) < limit && at < b.to {
			c, hashed := f.next(r.cutter, b.buf[at:b.to], final)
			if c.Length == 0 {
				break
			}
			at += int(c.Length)
			b.chunks, b.hashed = append(b.chunks, c), append(b.hashed, hashed)
		}
		limit -= len(b.chunks)
		n = copy(r.rest, b.buf[at:b.to])
		err := b.err
		b.work.Go(b.hash)
		cut <- b // it has room for all blocks
		if errors.Is(err, io.EOF) || err == nil && limit == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading chunks: %w", err)
		}
	}
	return nil
}

// hash completes the chunks of the block.
func (b *block) hash() {
	at := b.from
	for i := range b.chunks {
		c := &b.chunks[i]
		end := at + int(c.Length)
		if !b.hashed[i] {
			c.Digest = Sum(b.buf[at:end])
		}
		at = end
	}
}
