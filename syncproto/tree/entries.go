package tree

import (
	"maps"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// Entries are a Tree that is kept for long. What is in it is never written to,
// so that trees that say the same of a path, as nearly all do of nearly every
// path, share an entry.
type Entries map[string]*Entry

// Get returns the entry of p, an absent one if there is none.
func (t Entries) Get(p string) Entry {
	if e := t[p]; e != nil {
		return *e
	}
	return Entry{}
}

// Set makes e the entry of p, as the one that shared returns if that is equal;
// shared may be nil. An absent entry removes the key.
func (t Entries) Set(p string, e Entry, shared func(p string) *Entry) {
	if !e.Exists() {
		delete(t, p)
		return
	}
	if shared != nil {
		if have := shared(p); have != nil && *have == e {
			t[p] = have
			return
		}
	}
	kept := e
	t[p] = &kept
}

// Digest is Tree.Digest.
func (t Entries) Digest() syncproto.Digest { return digestOf(slices.Sorted(maps.Keys(t)), t.Get) }
