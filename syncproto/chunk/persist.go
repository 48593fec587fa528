package chunk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// errDamaged means that bytes are not what Encode returned.
var errDamaged = errors.New("damaged catalog")

// Changed reports whether Encode would return something.
func (c *Catalog) Changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Encode returns what Decode needs: the lists, and what lies in the trash. It
// forgets contents that lie nowhere. It returns nil if nothing changed since
// the last call.
func (c *Catalog) Encode() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed {
		return nil
	}
	out := []byte{}
	for _, k := range c.contents {
		if k.places == nil {
			c.keep(k, func(Place) bool { return true })
		} else if k.chunks != nil {
			out = k.appendTo(out)
		}
	}
	c.changed = false
	return out
}

func (k *content) appendTo(b []byte) []byte {
	b = append(b, k.digest[:]...)
	b = binary.AppendUvarint(b, uint64(len(k.chunks)))
	for _, ch := range k.chunks {
		b = binary.AppendUvarint(b, uint64(ch.Length))
		b = append(b, ch.Digest[:]...)
	}
	for _, p := range k.places {
		if p.Trash {
			b = append(binary.AppendUvarint(b, uint64(len(p.Path))), p.Path...)
		}
	}
	return append(b, 0) // an empty path ends the places
}

// Decode adds what Encode returned, which is no change. An error says that the
// bytes are damaged; what was read before the damage may have been added, which
// does no harm.
func (c *Catalog) Decode(b []byte) error {
	changed := c.Changed()
	r := bytes.NewReader(b)
	for r.Len() > 0 {
		k, err := readContent(r)
		if err != nil {
			return err
		}
		c.Describe(k.digest, k.chunks)
		for _, p := range k.places {
			c.Put(k.digest, p)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = changed
	return nil
}

func readContent(r *bytes.Reader) (*content, error) {
	k := &content{}
	if _, err := io.ReadFull(r, k.digest[:]); err != nil {
		return nil, errDamaged
	}
	n, err := binary.ReadUvarint(r)
	if err != nil || n > uint64(r.Len()/len(syncproto.Digest{})) {
		return nil, errDamaged
	}
	k.chunks = make([]syncproto.Chunk, n)
	for i := range k.chunks {
		length, err := binary.ReadUvarint(r)
		if err != nil || length > syncproto.ChunkMax {
			return nil, errDamaged
		}
		k.chunks[i].Length = uint32(length)
		if _, err := io.ReadFull(r, k.chunks[i].Digest[:]); err != nil {
			return nil, errDamaged
		}
	}
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > uint64(r.Len()) {
			return nil, errDamaged
		}
		if n == 0 {
			return k, nil
		}
		p := make([]byte, n)
		_, _ = io.ReadFull(r, p) // the length was checked
		k.places = append(k.places, Place{Trash: true, Path: string(p)})
	}
}
