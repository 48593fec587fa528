package tree

import (
	"fmt"
	"io"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
)

// LookGrowing is Look for a file that is appended to all the time: what it held
// at one moment becomes its record, as long as that. The content is read twice,
// and only what is the same both times can have been there between the two. A
// file that changes otherwise returns ErrBusy.
func (x *Index) LookGrowing(root *Root, p string) (changed bool, err error) {
	old := x.Get(p)
	f, err := root.openReal(p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false, fmt.Errorf("%q: %w", p, ErrBusy)
	}
	now := identify(info, time.Now())
	now.Type = syncproto.EntryFile
	r := x.pool.Get().(*chunk.Reader)
	defer x.pool.Put(r)
	var digests [2]syncproto.Digest
	for i := range digests {
		d, chunks, err := r.Content(io.NewSectionReader(f, 0, now.Size), now.Size, nil)
		if err != nil { // it may be shorter by now
			return false, fmt.Errorf("%q: %w: %w", p, ErrBusy, err)
		}
		if chunks != nil {
			x.catalog.Describe(d, chunks)
		}
		digests[i] = d
	}
	if digests[0] != digests[1] {
		return false, fmt.Errorf("%q: %w", p, ErrBusy)
	}
	now.Digest = digests[0]
	defer x.Lock(p)()
	if x.Get(p) != old {
		return false, fmt.Errorf("%q: %w", p, ErrBusy)
	}
	// The path may lead elsewhere by now. The next look at it says so: the
	// record is of another file.
	x.Set(p, now)
	return !old.Same(now.Entry), nil
}
