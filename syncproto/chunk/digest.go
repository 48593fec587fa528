package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/zeebo/blake3"
)

// context separates the digests of chunk lists from those of contents.
const context = "kubectl-okteto sync 1 chunk list"

// ErrInvalid means that chunks cannot be those of a content.
var ErrInvalid = errors.New("not the chunks of this content")

// Large reports whether a content of size bytes travels as chunks, and has the
// digest of its chunk list.
func Large(size int64) bool { return size > syncproto.MaxInline }

// Sum returns the digest of a chunk, or of a content that is not Large.
func Sum(b []byte) syncproto.Digest { return blake3.Sum256(b) }

// Summer computes the digest of a large content from its chunks.
type Summer struct {
	h    *blake3.Hasher
	size int64 // of the chunks so far
}

// NewSummer returns a Summer that has seen no chunk yet.
func NewSummer() *Summer { return &Summer{h: blake3.NewDeriveKey(context)} }

// Add adds the next chunks of a content of size bytes. The error wraps
// ErrInvalid where there are none, or where the lengths do not fit the size or
// the limits of a chunk.
func (s *Summer) Add(chunks []syncproto.Chunk, size int64) error {
	if len(chunks) == 0 {
		return fmt.Errorf("%w: they end after %d of %d bytes", ErrInvalid, s.size, size)
	}
	var line [4 + len(syncproto.Digest{})]byte
	for _, c := range chunks {
		left := size - s.size
		n := int64(c.Length)
		if n > left || n > syncproto.ChunkMax || n == 0 || n < syncproto.ChunkMin && n != left {
			return fmt.Errorf("%w: one of %d bytes, where %d of %d are left", ErrInvalid, n, left, size)
		}
		s.size += n
		binary.BigEndian.PutUint32(line[:], c.Length)
		copy(line[4:], c.Digest[:])
		_, _ = s.h.Write(line[:]) // a hash does not fail
	}
	return nil
}

// Size returns the length of the chunks so far, in bytes.
func (s *Summer) Size() int64 { return s.size }

// Digest returns the digest of a content that has the chunks so far.
func (s *Summer) Digest() (d syncproto.Digest) {
	s.h.Sum(d[:0])
	return d
}
