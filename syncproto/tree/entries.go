package tree

import (
	"iter"
	"maps"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// Entries are a tree that is kept for long, and know its digest. What is in it is
// never written to, so that trees that say the same of a path, as nearly all do
// of nearly every path, share an entry.
type Entries struct {
	byPath map[string]*Entry
	shared func(p string) *Entry
	sum    sum
}

// NewEntries returns an empty tree. The entries that shared returns are used
// where they are equal; nil for none.
func NewEntries(shared func(p string) *Entry) *Entries {
	return &Entries{byPath: map[string]*Entry{}, shared: shared}
}

// Len returns the number of entries.
func (t *Entries) Len() int { return len(t.byPath) }

// All returns the entries in no order. The caller must not write to them.
func (t *Entries) All() iter.Seq2[string, *Entry] { return maps.All(t.byPath) }

// Get returns the entry of p, an absent one if there is none.
func (t *Entries) Get(p string) Entry {
	if e := t.byPath[p]; e != nil {
		return *e
	}
	return Entry{}
}

// Set makes e the entry of p; an absent entry removes it.
func (t *Entries) Set(p string, e Entry) {
	t.sum.replace(p, t.Get(p), e)
	t.put(p, e)
}

// put is Set where the sum is known.
func (t *Entries) put(p string, e Entry) {
	if !e.Exists() {
		delete(t.byPath, p)
		return
	}
	if t.shared != nil {
		if have := t.shared(p); have != nil && *have == e {
			t.byPath[p] = have
			return
		}
	}
	kept := e
	t.byPath[p] = &kept
}

// Clone returns a copy.
func (t *Entries) Clone() *Entries {
	return &Entries{byPath: maps.Clone(t.byPath), shared: t.shared, sum: t.sum}
}

// Digest is Tree.Digest.
func (t *Entries) Digest() syncproto.Digest { return t.sum.digest() }
