// Package chunk cuts large contents into chunks whose ends depend on the bytes
// around them alone, so that an insertion moves chunks but does not change
// them; says what the digest of a content is; and remembers which chunks a
// side has, and where.
//
// SPEC.md, "Chunks", is the specification: both ends cut alike.
package chunk

import (
	"encoding/binary"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/zeebo/blake3"
)

// A chunk ends where the hash of the last window bytes is below a limit, which
// one in 65536 is, so that the average chunk has 128 KiB. A minimum of half of
// that spares the hash of every other byte. Gathering the lengths around the
// average, as FastCDC does, would make cuts find their way back to the old
// ones much later after an insertion.
const (
	window = 64
	limit  = 1 << (64 - 16)
)

// Cutter finds the ends of chunks. It does not change: any number of
// goroutines may use one.
type Cutter struct{ gear [256]uint64 }

// NewCutter returns a Cutter. The value of a byte in its hash is the beginning
// of that byte's digest.
func NewCutter() *Cutter {
	c := &Cutter{}
	for i := range c.gear {
		d := blake3.Sum256([]byte{byte(i)})
		c.gear[i] = binary.BigEndian.Uint64(d[:])
	}
	return c
}

// Cut returns the length of the first chunk of b, or 0 if more bytes could
// make it longer. final says that no more follow b.
func (c *Cutter) Cut(b []byte, final bool) int {
	whole := final || len(b) >= syncproto.ChunkMax
	b = b[:min(len(b), syncproto.ChunkMax)]
	if len(b) > syncproto.ChunkMin {
		var h uint64
		for _, x := range b[syncproto.ChunkMin-window : syncproto.ChunkMin] {
			h = h<<1 + c.gear[x]
		}
		for i, x := range b[syncproto.ChunkMin:] {
			if h = h<<1 + c.gear[x]; h < limit {
				return syncproto.ChunkMin + i + 1
			}
		}
	}
	if whole {
		return len(b)
	}
	return 0
}
