package chunk

import "github.com/kubectl-okteto/kubectl-okteto/syncproto"

// forecast expects a content to go on like an older one. A chunk depends on its
// own bytes alone, so that one of the same length and digest as the old one
// that began there is the one that a Cutter would find; and to compare it
// costs less than to look for its end.
type forecast struct {
	old   []syncproto.Chunk
	index map[syncproto.Digest]int // of old
	at    int                      // the chunk of old that is expected; -1 for none
	seen  []syncproto.Digest       // of what comes next, as long as it is as expected
}

// newForecast returns a forecast by the chunks of an older content. Without any
// it expects nothing.
func newForecast(old []syncproto.Chunk) *forecast {
	f := &forecast{old: old, at: -1}
	if len(old) > 1 {
		// The last one may have ended with its content.
		f.old, f.at = old[:len(old)-1], 0
		f.index = make(map[syncproto.Digest]int, len(f.old))
		for i, c := range f.old {
			f.index[c.Digest] = i
		}
	}
	return f
}

// begin takes what was guessed of the next block, after which rest bytes are
// left of the one before, and reports whether the guess began where they do.
func (f *forecast) begin(g guess, rest int) bool {
	f.seen = nil
	if g.at != f.at || g.rest != rest {
		return false
	}
	f.seen = g.digests
	return true
}

// sum returns the digest of b, which comes next and is as long as what is
// expected.
func (f *forecast) sum(b []byte) syncproto.Digest {
	if len(f.seen) == 0 {
		return Sum(b)
	}
	d := f.seen[0]
	f.seen = f.seen[1:]
	return d
}

// next returns the first chunk of b as Cutter.Cut finds it, of length 0 if more
// bytes are needed. hashed says whether its digest is known.
func (f *forecast) next(cutter *Cutter, b []byte, final bool) (c syncproto.Chunk, hashed bool) {
	if f.at >= 0 && f.at < len(f.old) {
		want := f.old[f.at]
		if int(want.Length) > len(b) && !final {
			return c, false
		}
		if int(want.Length) <= len(b) && f.sum(b[:want.Length]) == want.Digest {
			f.at++
			return want, true
		}
	}
	f.seen = nil
	c.Length = uint32(cutter.Cut(b, final))
	if c.Length == 0 || f.index == nil {
		return c, false
	}
	// Look for the place where the old content goes on.
	c.Digest = Sum(b[:c.Length])
	if i, ok := f.index[c.Digest]; ok {
		f.at = i + 1
	} else if f.at >= 0 {
		f.at++ // an edit in the midst of a chunk leaves the next ones in place
	}
	return c, true
}
