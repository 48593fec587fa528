package tree

import (
	"encoding/binary"
	"math/bits"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/zeebo/blake3"
)

// sum is the digest of a tree, as little-endian words (SPEC.md, "Tree digest").
// A change of one path changes it by the digests of what was there and of what
// is, however large the tree.
type sum [4]uint64

// replace takes what was at p out of the sum, and what is there into it.
func (s *sum) replace(p string, was, is Entry) {
	if was.Same(is) {
		return
	}
	if was.Exists() {
		d := sumOf(p, was)
		var borrow uint64
		for i := range s {
			s[i], borrow = bits.Sub64(s[i], d[i], borrow)
		}
	}
	if is.Exists() {
		d := sumOf(p, is)
		var carry uint64
		for i := range s {
			s[i], carry = bits.Add64(s[i], d[i], carry)
		}
	}
}

// sumOf returns the sum of a tree that has one entry.
func sumOf(p string, e Entry) sum {
	e.MTime = 0
	var room [256]byte
	line := append(append(room[:0], p...), 0)
	return sumFrom(blake3.Sum256(syncproto.AppendEntry(line, e)))
}

func sumFrom(d syncproto.Digest) (s sum) {
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(d[8*i:])
	}
	return s
}

func (s sum) digest() (d syncproto.Digest) {
	for i, word := range s {
		binary.LittleEndian.PutUint64(d[8*i:], word)
	}
	return d
}
