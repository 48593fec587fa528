//go:build linux

package runner

import "sync/atomic"

// blockSize is the step in which a ring grows and forgets.
const blockSize = 64 << 10

// ownBlocks are what each ring may have without asking the budget.
const ownBlocks = 4

// budget is what all rings together may grow by, in blocks.
type budget struct{ left atomic.Int64 }

func (b *budget) take() bool {
	if b.left.Add(-1) >= 0 {
		return true
	}
	b.left.Add(1)
	return false
}

// ring keeps the end of a stream. It knows its bytes by their offsets in the
// stream. It uses no more memory than there was output, at most so many blocks.
type ring struct {
	budget *budget
	most   int

	blocks [][]byte
	// begin is the offset of the first byte that is kept, end of the one after
	// the last.
	begin, end int64
}

// write appends; where there is no more room the oldest is forgotten.
func (r *ring) write(p []byte) {
	for len(p) > 0 {
		at := int(r.end - r.begin)
		if at == len(r.blocks)*blockSize {
			r.extend()
			at = int(r.end - r.begin)
		}
		n := copy(r.blocks[at/blockSize][at%blockSize:], p)
		r.end += int64(n)
		p = p[n:]
	}
}

// extend makes room for a block, of new memory or of the oldest.
func (r *ring) extend() {
	if n := len(r.blocks); n < ownBlocks || n < r.most && r.budget.take() {
		r.blocks = append(r.blocks, make([]byte, blockSize))
		return
	}
	oldest := r.blocks[0]
	copy(r.blocks, r.blocks[1:])
	r.blocks[len(r.blocks)-1] = oldest
	r.begin += blockSize
}

// read copies from an offset that is kept, and returns how much.
func (r *ring) read(from int64, p []byte) int {
	n := 0
	for n < len(p) && from < r.end {
		at := int(from - r.begin)
		block := r.blocks[at/blockSize][at%blockSize:]
		copied := copy(p[n:], block[:min(int64(len(block)), r.end-from)])
		n += copied
		from += int64(copied)
	}
	return n
}

// release forgets everything.
func (r *ring) release() {
	r.budget.left.Add(int64(max(0, len(r.blocks)-ownBlocks)))
	r.blocks, r.begin = nil, r.end
}
