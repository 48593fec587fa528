package engine

import (
	"fmt"
	"io"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// parcel is a batch on its way into a frame. Its memory is used again.
type parcel struct {
	changes []merge.Change
	batch   syncproto.Batch
	content []byte
	frame   syncproto.Frame
	// missing tells why changes are not in the batch, by their index.
	missing map[int]error
	err     error
	// ready says that it was packed before its turn.
	ready bool
}

// carriesContent reports whether the batch of c brings its content.
func carriesContent(c *merge.Change) bool {
	return c.Op == syncproto.OpPut && c.From == "" && c.Entry.Size <= syncproto.MaxInline
}

// pack loads what the changes carry and encodes the batch. A change whose
// content is not the one that was merged stays out: its own event brings it.
func (p *parcel) pack(r *replica, enc *syncproto.Encoder) {
	if p.ready {
		return
	}
	p.missing = nil
	p.reserve()
	for i := range p.changes {
		c := p.changes[i].Change
		if carriesContent(&p.changes[i]) {
			if err := p.load(r, &c); err != nil {
				if p.missing == nil {
					p.missing = map[int]error{}
				}
				p.missing[i] = err
				continue
			}
		}
		p.batch.Changes = append(p.batch.Changes, c)
	}
	p.err = enc.Encode(&p.frame, &p.batch)
}

// reserve makes room for all contents: what is loaded must not move.
func (p *parcel) reserve() {
	var size int64
	for i := range p.changes {
		if carriesContent(&p.changes[i]) {
			size += p.changes[i].Entry.Size
		}
	}
	if int64(cap(p.content)) < size {
		p.content = make([]byte, 0, size)
	}
	p.content = p.content[:0]
}

// load reads the content of c. The digest is computed only where stat does not
// prove that the file is the one that the index knows.
func (p *parcel) load(r *replica, c *syncproto.Change) error {
	o := r.now.Load()
	if o == nil {
		return errRootGone
	}
	f, err := tree.OpenFile(o.root, c.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	start := len(p.content)
	buf := p.content[start : start+int(c.Entry.Size)]
	if _, err := io.ReadFull(f, buf); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	rec := r.index.Get(c.Path)
	if (rec.Digest != c.Entry.Digest || !rec.Describes(info)) && tree.Sum(buf) != c.Entry.Digest {
		return fmt.Errorf("%q: %w", c.Path, tree.ErrBusy)
	}
	p.content = p.content[:start+len(buf)]
	c.Inline, c.Content = true, buf
	return nil
}
