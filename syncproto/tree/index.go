package tree

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
)

// Index is what one side knows of its root. All methods may be called at the
// same time; Lock orders those who look at a path and those who write it.
type Index struct {
	mu sync.RWMutex
	// records are never written to, so that others can share them. They are not
	// in the map itself: it has room for twice what it holds.
	records map[string]*Record
	below   map[string]int // by folder: its records, and its folders that have any below
	bytes   int64
	files   int

	seed  maphash.Seed
	locks [64]sync.Mutex
	pool  sync.Pool // of *chunk.Reader

	catalog *chunk.Catalog
	unsaved atomic.Bool // the records changed since they were saved
	version uint64      // grows with every change of a record
	sum     sum
}

// NewIndex returns an empty index.
func NewIndex() *Index { return newIndex(0) }

// newIndex returns an empty index with room for some records.
func newIndex(room int) *Index {
	return &Index{
		records: make(map[string]*Record, room),
		below:   map[string]int{},
		seed:    maphash.MakeSeed(),
		pool:    sync.Pool{New: newReader},
		catalog: chunk.NewCatalog(),
	}
}

// Lock keeps others from writing p on disk or in the index until the returned
// function is called. A goroutine holds at most one such lock.
func (x *Index) Lock(p string) (unlock func()) {
	l := &x.locks[maphash.String(x.seed, p)%uint64(len(x.locks))]
	l.Lock()
	return l.Unlock
}

// Get returns the record of p; its Type is EntryAbsent when there is none.
func (x *Index) Get(p string) Record {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.recordLocked(p)
}

// Shared returns the entry of p for others that keep it and do not write to it;
// nil when there is none.
func (x *Index) Shared(p string) *Entry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if r := x.records[p]; r != nil {
		return &r.Entry
	}
	return nil
}

func (x *Index) recordLocked(p string) Record {
	if r := x.records[p]; r != nil {
		return *r
	}
	return Record{}
}

// landed is Get, after a change of p that is being applied: its event may be
// quicker than its record, and would have all of the file read again.
func (x *Index) landed(p string) Record {
	defer x.Lock(p)()
	return x.Get(p)
}

// Set makes r the record of p; an absent record removes it.
func (x *Index) Set(p string, r Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.recordLocked(p)
	x.altered()
	x.sum.replace(p, old.Entry, r.Entry)
	x.count(old, -1)
	x.count(r, 1)
	x.locate(p, old, r)
	if !r.Exists() {
		delete(x.records, p)
	} else {
		kept := r
		x.records[p] = &kept
	}
	switch {
	case r.Exists() && !old.Exists():
		x.nest(p, 1)
	case old.Exists() && !r.Exists():
		x.nest(p, -1)
	}
}

// altered notes that the records are not what they were. The caller holds mu.
func (x *Index) altered() {
	x.unsaved.Store(true)
	x.version++
}

// nest counts a record of p, or a folder p that has something below it, for the
// folders above.
func (x *Index) nest(p string, sign int) {
	for a := Parent(p); a != ""; a = Parent(a) {
		before := x.below[a]
		if before+sign == 0 {
			delete(x.below, a)
		} else {
			x.below[a] = before + sign
		}
		if before != 0 && before+sign != 0 {
			return
		}
	}
}

// nested counts what is directly below a folder: records, and folders that have
// anything below them.
func (x *Index) nested(dir string) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.below[dir]
}

// HasBelow reports whether there are records below p, whatever p itself is.
func (x *Index) HasBelow(p string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.below[p] > 0
}

// count adds r to the sums, or takes it away.
func (x *Index) count(r Record, sign int) {
	if r.Type == syncproto.EntryFile {
		x.files += sign
		x.bytes += int64(sign) * r.Size
	}
}

// Files returns the number of regular files and the sum of their sizes.
func (x *Index) Files() (files int, bytes int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.files, x.bytes
}

// Unsaved reports whether the index, or its catalog of chunks, has changed since
// it was saved or loaded.
func (x *Index) Unsaved() bool { return x.unsaved.Load() || x.catalog.Changed() }

// state returns a number that grows with every change of a record, and the number
// of records.
func (x *Index) state() (version uint64, size int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.version, len(x.records)
}

// Size returns the number of entries.
func (x *Index) Size() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.records)
}

// Tree returns a copy of the entries.
func (x *Index) Tree() Tree {
	x.mu.RLock()
	defer x.mu.RUnlock()
	t := make(Tree, len(x.records))
	for p, r := range x.records {
		t[p] = r.Entry
	}
	return t
}

// Digest is Tree.Digest.
func (x *Index) Digest() syncproto.Digest {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.sum.digest()
}

// Each calls f with every entry, in no order, until it returns false. f must not
// call methods of the index.
func (x *Index) Each(f func(p string, e Entry) bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for p, r := range x.records {
		if !f(p, r.Entry) {
			return
		}
	}
}

// Below returns the paths under any of dirs, the dirs themselves included, in
// no order. It looks at every record once, however many dirs there are.
func (x *Index) Below(dirs map[string]bool) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var found []string
	for p := range x.records {
		if dirs[""] || UnderAny(p, dirs) {
			found = append(found, p)
		}
	}
	return found
}

// UnderAny reports whether p is one of dirs or lies below one. The root, "", is
// none that anything is found to lie below.
func UnderAny(p string, dirs map[string]bool) bool {
	for ; p != ""; p = Parent(p) {
		if dirs[p] {
			return true
		}
	}
	return false
}

// Drop forgets the paths for which drop is true, as if they had never been
// seen.
func (x *Index) Drop(drop func(p string, e Entry) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for p, r := range x.records {
		if drop(p, r.Entry) {
			x.altered()
			x.sum.replace(p, r.Entry, Entry{})
			x.count(*r, -1)
			x.locate(p, *r, Record{})
			delete(x.records, p)
			x.nest(p, -1)
		}
	}
}

// FindContent returns for each of the wanted digests a path that has it.
func (x *Index) FindContent(want map[syncproto.Digest]bool) map[syncproto.Digest]string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	found := make(map[syncproto.Digest]string)
	for p, r := range x.records {
		if r.Type == syncproto.EntryFile && want[r.Digest] {
			found[r.Digest] = p
		}
	}
	return found
}
