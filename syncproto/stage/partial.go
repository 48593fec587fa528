package stage

import (
	"os"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
)

const (
	// partialBytes is what an interrupted put must have written to be worth
	// keeping.
	partialBytes = 1 << 20
	// partialAge is how long it is kept if the put is not tried again.
	partialAge = 24 * time.Hour
)

// Partials are the temporary files of large puts that were interrupted: their
// chunks need not be sent again. The zero value has none. They outlive a
// stage, not the process.
type Partials struct {
	mu   sync.Mutex
	kept map[string]partial // by the path of the put
}

type partial struct {
	temp   string // path of the file
	digest syncproto.Digest
	size   int64
	since  time.Time
}

// Keeps reports whether the file at p is one of the temporary files, and young
// enough to stay.
func (ps *Partials) Keeps(p string) bool {
	if ps == nil {
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, k := range ps.kept {
		if k.temp == p {
			return time.Since(k.since) < partialAge
		}
	}
	return false
}

// add makes k the partial of a path unless there is a longer one, and returns
// the one that is kept no more.
func (ps *Partials) add(p string, k partial) (left partial) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.kept == nil {
		ps.kept = map[string]partial{}
	}
	left = k
	if old := ps.kept[p]; old.size < k.size {
		ps.kept[p], left = k, old
	}
	return left
}

// take removes the partial of a path, and returns it.
func (ps *Partials) take(p string) partial {
	if ps == nil {
		return partial{}
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	k := ps.kept[p]
	delete(ps.kept, p)
	return k
}

// suspend keeps what an interrupted assembly has written to f: a file like any
// other in the catalog, whose content is the beginning of the one to come.
func (a *assembly) suspend(f *os.File) {
	var size int64
	n := 0
	for ; n < len(a.list) && size+int64(a.list[n].Length) <= a.written; n++ {
		size += int64(a.list[n].Length)
	}
	sum := chunk.NewSummer()
	if a.s.cfg.Partials == nil || size < partialBytes || sum.Add(a.list[:n], size) != nil || f.Truncate(size) != nil {
		return
	}
	k := partial{temp: a.t.tempPath(), digest: sum.Digest(), size: size, since: time.Now()}
	c := a.s.cfg.Index.Chunks()
	c.Describe(k.digest, a.list[:n:n])
	c.Put(k.digest, chunk.Place{Path: k.temp})
	a.s.drop(a.s.cfg.Partials.add(a.t.Path, k))
}

// drop removes a partial, if it is one.
func (s *Stage) drop(k partial) {
	if k.temp != "" {
		_ = s.cfg.Root.Remove(k.temp) // the next session removes what is left
		s.cfg.Index.Chunks().Remove(k.digest, chunk.Place{Path: k.temp})
	}
}
