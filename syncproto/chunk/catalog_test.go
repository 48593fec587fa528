package chunk

import (
	"reflect"
	"slices"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"pgregory.net/rapid"
)

// list returns a list of chunks with these digests.
func list(heads ...byte) (l []syncproto.Chunk) {
	for _, h := range heads {
		l = append(l, syncproto.Chunk{Length: syncproto.ChunkMin, Digest: syncproto.Digest{h}})
	}
	return l
}

// TestCatalog compares the catalog with a plain model: a chunk that is found is
// where the catalog says, and one that was there before the rest is found.
func TestCatalog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewCatalog()
		lists := map[byte][]syncproto.Chunk{}
		places := map[byte]map[Place]bool{}
		digest := rapid.ByteRange(1, 6)
		place := rapid.Custom(func(t *rapid.T) Place {
			return Place{Trash: rapid.Bool().Draw(t, "trash"), Path: rapid.SampledFrom([]string{"a", "b/c"}).Draw(t, "path")}
		})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				d, p := digest.Draw(t, "digest"), place.Draw(t, "place")
				if places[d] == nil {
					places[d] = map[Place]bool{}
					lists[d] = list(rapid.SliceOfN(rapid.ByteRange(1, 9), 1, 5).Draw(t, "chunks")...)
					c.Describe(syncproto.Digest{d}, lists[d])
				}
				places[d][p] = true
				c.Put(syncproto.Digest{d}, p)
			},
			"remove": func(t *rapid.T) {
				d, p := digest.Draw(t, "digest"), place.Draw(t, "place")
				c.Remove(syncproto.Digest{d}, p)
				delete(places[d], p)
			},
			"retain": func(*rapid.T) {
				c.Retain(func(p Place) bool { return !p.Trash })
				for _, ps := range places {
					delete(ps, Place{true, "a"})
					delete(ps, Place{true, "b/c"})
				}
			},
			"restart": func(t *rapid.T) {
				b := c.Encode()
				if b == nil {
					return
				}
				c = NewCatalog()
				if err := c.Decode(b); err != nil {
					t.Fatal(err)
				}
				for d, ps := range places { // the index knows what is in the root
					for p := range ps {
						if !p.Trash {
							c.Put(syncproto.Digest{d}, p)
						}
					}
				}
				if c.Changed() {
					t.Fatal("what was read is taken for a change")
				}
				c.changed = true // for the next restart
			},
			"": func(t *rapid.T) {
				for d, ps := range places {
					if len(ps) == 0 {
						delete(places, d)
						delete(lists, d)
					}
				}
				for d, l := range lists {
					if !reflect.DeepEqual(c.Chunks(syncproto.Digest{d}), l) {
						t.Fatalf("content %d is described as %v, not %v", d, c.Chunks(syncproto.Digest{d}), l)
					}
				}
				for h := range byte(10) {
					d, at, offset := c.Find(list(h)[0])
					for x, l := range lists {
						if at == nil && slices.Contains(l, list(h)[0]) {
							t.Fatalf("chunk %d of content %d is not found", h, x)
						}
					}
					for _, p := range at {
						if !places[d[0]][p] || lists[d[0]][offset/syncproto.ChunkMin].Digest[0] != h {
							t.Fatalf("chunk %d is at %d of content %d in %v", h, offset, d[0], p)
						}
					}
				}
			},
		})
		c.Retain(func(Place) bool { return false })
		if len(c.contents) > 0 || c.chunks != 0 {
			t.Fatalf("%d contents with %d chunks lie nowhere", len(c.contents), c.chunks)
		}
	})
}

func TestCatalogFindsHiddenChunks(t *testing.T) {
	c := NewCatalog()
	first, second := syncproto.Digest{1}, syncproto.Digest{2}
	c.Describe(first, list(1, 2, 3))
	c.Put(first, Place{Path: "first"})
	c.Describe(second, list(1, 2, 4))
	c.Put(second, Place{Path: "second"})
	c.Remove(second, Place{Path: "second"})
	if d, at, offset := c.Find(list(2)[0]); d != first || len(at) != 1 || offset != syncproto.ChunkMin {
		t.Errorf("found in %v at %d of %v", at, offset, d)
	}
	if _, at, _ := c.Find(list(4)[0]); at != nil {
		t.Errorf("a chunk that is no more is found in %v", at)
	}
}

func TestCatalogIsBounded(t *testing.T) {
	c := NewCatalog()
	most := make([]syncproto.Chunk, maxChunks-1)
	for i := range most {
		most[i] = syncproto.Chunk{Length: syncproto.ChunkMin}
	}
	c.Describe(syncproto.Digest{1}, most)
	c.Describe(syncproto.Digest{2}, list(1, 2))
	if c.Chunks(syncproto.Digest{2}) != nil || c.Lacks(syncproto.Digest{2}, syncproto.MaxInline+1) {
		t.Error("a list beyond the bound is kept")
	}
	if c.Lacks(syncproto.Digest{3}, 5) {
		t.Error("a small content lacks its chunks")
	}
}

// FuzzDecode reads a damaged catalog: it neither panics nor takes more memory
// than the bytes say.
func FuzzDecode(f *testing.F) {
	c := NewCatalog()
	c.Describe(syncproto.Digest{1}, list(1, 2, 3))
	c.Put(syncproto.Digest{1}, Place{Trash: true, Path: "20260101T000000.000000000/f"})
	f.Add(c.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewCatalog()
		if c.Decode(b) != nil {
			return
		}
		c.changed = true
		again := NewCatalog()
		if err := again.Decode(c.Encode()); err != nil {
			t.Fatal(err)
		}
	})
}
