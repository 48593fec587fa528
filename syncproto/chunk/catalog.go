package chunk

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// maxChunks bounds the chunks that a catalog holds, and with them its memory
// to some 80 MiB; they stand for 128 GiB. The lists of large contents beyond
// it are not kept: such contents are cut again when they are sent, and their
// chunks not found when others are received.
const maxChunks = 1 << 20

// MaxList is the length from which a chunk list is not kept: that of some
// 32 GiB.
const MaxList = 1 << 18

// Place is where a content lies.
type Place struct {
	Trash bool   // the path is one of the trash, not of the root
	Path  string // separated by slashes
}

// Catalog remembers the chunk lists of large contents, and where these lie. It
// never looks: what it says was so once, and who reads a chunk where it should
// be compares its digest. All methods may be called at the same time.
type Catalog struct {
	mu       sync.Mutex
	contents map[syncproto.Digest]*content
	spots    map[uint64]spot // by the head of a chunk's digest
	chunks   int             // in all lists
	hidden   bool            // chunks have no spot since a content that hid theirs was forgotten
	changed  bool            // since the last Encode
}

// content is a large content of which the list, the places or both are known.
// Neither slice is written to: a change replaces it.
type content struct {
	digest syncproto.Digest
	chunks []syncproto.Chunk
	places []Place
	hides  bool // it took spots from other contents
}

// spot is where a chunk is in a content.
type spot struct {
	content *content
	chunk   int
	offset  int64
}

// NewCatalog returns an empty catalog.
func NewCatalog() *Catalog {
	return &Catalog{contents: map[syncproto.Digest]*content{}, spots: map[uint64]spot{}}
}

// Describe notes the chunks of the content with digest d. The caller must not
// write to them any more.
func (c *Catalog) Describe(d syncproto.Digest, chunks []syncproto.Chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.get(d)
	if k.chunks != nil || len(chunks) == 0 || c.chunks+len(chunks) > maxChunks {
		return
	}
	k.chunks = chunks
	c.chunks += len(chunks)
	c.changed = true
	c.show(k)
}

// show makes the chunks of a content that lies somewhere known. The newest one
// takes the spots that it shares with others, since it is likely to stay the
// longest.
func (c *Catalog) show(k *content) {
	if k.places == nil {
		return
	}
	var offset int64
	for i, ch := range k.chunks {
		h := head(ch.Digest)
		if old, ok := c.spots[h]; ok && old.content != k {
			k.hides = true
		}
		c.spots[h] = spot{content: k, chunk: i, offset: offset}
		offset += int64(ch.Length)
	}
}

// hide forgets the chunks of a content that lies nowhere.
func (c *Catalog) hide(k *content) {
	for _, ch := range k.chunks {
		if h := head(ch.Digest); c.spots[h].content == k {
			delete(c.spots, h)
		}
	}
	c.hidden = c.hidden || k.hides
}

// unhide gives spots to the chunks that lost theirs to a content that is
// forgotten by now.
func (c *Catalog) unhide() {
	clear(c.spots)
	for _, k := range c.contents {
		k.hides = false
		c.show(k)
	}
	c.hidden = false
}

func head(d syncproto.Digest) uint64 { return binary.BigEndian.Uint64(d[:]) }

func (c *Catalog) get(d syncproto.Digest) *content {
	k := c.contents[d]
	if k == nil {
		k = &content{digest: d}
		c.contents[d] = k
	}
	return k
}

// Put notes that the content with digest d lies at p.
func (c *Catalog) Put(d syncproto.Digest, p Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.get(d)
	if slices.Contains(k.places, p) {
		return
	}
	first := k.places == nil
	k.places = append(slices.Clip(k.places), p)
	c.changed = c.changed || p.Trash
	if first {
		c.show(k)
	}
}

// Remove notes that the content with digest d lies at p no more. A content
// that lies nowhere is forgotten.
func (c *Catalog) Remove(d syncproto.Digest, p Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.contents[d]; k != nil {
		c.keep(k, func(o Place) bool { return o != p })
	}
}

// Retain removes the places for which keep is false, and forgets the contents
// that lie nowhere.
func (c *Catalog) Retain(keep func(Place) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.contents {
		c.keep(k, keep)
	}
}

func (c *Catalog) keep(k *content, keep func(Place) bool) {
	var left []Place
	for _, p := range k.places {
		if keep(p) {
			left = append(left, p)
		}
	}
	c.changed = c.changed || len(left) != len(k.places)
	k.places = left
	if left != nil {
		return
	}
	delete(c.contents, k.digest)
	c.chunks -= len(k.chunks)
	c.hide(k)
}

// Chunks returns the chunks of the content with digest d, nil if they are not
// known. The caller must not write to them.
func (c *Catalog) Chunks(d syncproto.Digest) []syncproto.Chunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.contents[d]; k != nil {
		return k.chunks
	}
	return nil
}

// Lacks reports whether the chunks of the content with digest d, which has size
// bytes, are not known but would be kept if they were.
func (c *Catalog) Lacks(d syncproto.Digest, size int64) bool {
	most := size/syncproto.ChunkMin + 1
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.contents[d]
	return (k == nil || k.chunks == nil) && Large(size) && most <= MaxList && int64(c.chunks)+most <= maxChunks
}

// Find returns the digest of a content that has the chunk, the places where it
// lies, and the offset of the chunk in it; no places if there is none.
func (c *Catalog) Find(ch syncproto.Chunk) (d syncproto.Digest, places []Place, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hidden {
		c.unhide()
	}
	s, ok := c.spots[head(ch.Digest)]
	if !ok || s.content.chunks[s.chunk] != ch {
		return d, nil, 0
	}
	return s.content.digest, s.content.places, s.offset
}
