package tree

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
)

const (
	// worthWaiting is the size from which hashing a file a second time costs
	// more than waiting until its modification time can be trusted.
	worthWaiting = 32 << 20
	// steadyStep is how often a file is looked at while it is read, in bytes.
	steadyStep = 16 << 20
)

// Chunks returns the catalog of the large files among the entries.
func (x *Index) Chunks() *chunk.Catalog { return x.catalog }

// newReader returns a reader of contents for the pool of an index.
func newReader() any { return chunk.NewReader(chunk.NewCutter()) }

// Sum returns the digest of the content b.
func Sum(b []byte) syncproto.Digest {
	if !chunk.Large(int64(len(b))) {
		return chunk.Sum(b)
	}
	d, _, _ := newReader().(*chunk.Reader).Content(bytes.NewReader(b), int64(len(b)), nil) // reading memory does not fail
	return d
}

// hash gives now the digest of its open file; old is the one that the path had
// before. A file that changes meanwhile is ErrBusy where that shows.
func (x *Index) hash(f *os.File, now *Record, old syncproto.Digest) error {
	var src io.Reader = f
	if now.Size >= worthWaiting {
		wait := racyFine - time.Duration(now.Checked-now.MTime)
		if now.Racy() && wait > 0 && wait <= racyFine {
			<-time.After(wait) // the clock is the event
			now.Checked = time.Now().UnixNano()
		}
		src = &steadyReader{f: f, was: *now}
	}
	r := x.pool.Get().(*chunk.Reader)
	defer x.pool.Put(r)
	d, chunks, err := r.Content(src, now.Size, x.catalog.Chunks(old))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrBusy
	}
	if err != nil {
		return err
	}
	if chunks != nil {
		x.catalog.Describe(d, chunks)
	}
	now.Digest = d
	return nil
}

// steadyReader reads a file and gives up when it is seen to change: to hash a
// large file that is being written to its end would be in vain.
type steadyReader struct {
	f    *os.File
	was  Record
	read int // since the file was looked at
}

// Read implements io.Reader; a file that changed is ErrBusy.
func (r *steadyReader) Read(b []byte) (int, error) {
	if r.read >= steadyStep {
		r.read = 0
		info, err := r.f.Stat()
		if err != nil {
			return 0, err
		}
		now := identify(info, time.Time{})
		now.Type = r.was.Type
		if !now.SameFile(r.was) {
			return 0, ErrBusy
		}
	}
	n, err := r.f.Read(b)
	r.read += n
	return n, err
}

// loadChunks reads the catalog that Save wrote.
func (x *Index) loadChunks(dir string) {
	if b, err := readState(dir, chunkFile, chunkMagic); err == nil {
		_ = x.catalog.Decode(b) // what is damaged is missing
	}
}

// Describe makes sure that the chunks of the large file with digest d, which f
// holds, are in the catalog: a state that was lost may have left them out.
func (x *Index) Describe(f *os.File, d syncproto.Digest) error {
	if x.catalog.Chunks(d) != nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r := x.pool.Get().(*chunk.Reader)
	defer x.pool.Put(r)
	sum, chunks, err := r.Content(f, info.Size(), nil)
	if err == nil && sum == d && chunks != nil {
		x.catalog.Describe(d, chunks)
	}
	return err
}

// locate keeps the places in the catalog up to date with a record of p that
// takes the place of another.
func (x *Index) locate(p string, old, now Record) {
	place := chunk.Place{Path: p}
	was := old.Type == syncproto.EntryFile && chunk.Large(old.Size)
	is := now.Type == syncproto.EntryFile && chunk.Large(now.Size)
	if is {
		x.catalog.Put(now.Digest, place)
	}
	if was && (!is || now.Digest != old.Digest) {
		x.catalog.Remove(old.Digest, place)
	}
}
