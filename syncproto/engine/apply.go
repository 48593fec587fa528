package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// apply applies changes in their order, those that do not depend on each other
// at once, and returns a result for each. source yields the content of a put
// that brings none.
func (r *replica) apply(ctx context.Context, changes []syncproto.Change, source func(*syncproto.Change) stage.Source) []syncproto.Result {
	r.applying.Lock()
	defer r.applying.Unlock()
	name := r.trash.Begin()
	defer r.trash.End(name)
	return r.applyIn(ctx, name, changes, source)
}

// applyIn is apply with the name of the batch of the trash to which removals
// belong. The caller holds applying.
func (r *replica) applyIn(ctx context.Context, name string, changes []syncproto.Change, source func(*syncproto.Change) stage.Source) []syncproto.Result {
	results := make([]syncproto.Result, len(changes))
	o := r.now.Load()
	if o == nil {
		for i := range results {
			results[i] = syncproto.Result{Code: syncproto.CodeFailed, Text: errRootGone.Error()}
		}
		return results
	}
	batch := o.stage.Begin(name)
	defer batch.End()
	one := func(i int) {
		c := &changes[i]
		if c.Entry.Exists() && !r.rules.Load().visible(c.Path, c.Entry) {
			results[i] = syncproto.Result{Code: syncproto.CodeIgnored, Text: "the path is ignored"}
			return
		}
		results[i] = batch.Apply(ctx, c, source(c))
	}
	for i := 0; i < len(changes); {
		end := independent(changes, i)
		inParallel(i, end, one)
		i = end
	}
	return results
}

// inParallel calls do with each of the numbers from start to end, by a few
// goroutines: one for each call would spend a tenth of its time on growing its
// stack.
func inParallel(start, end int, do func(int)) {
	var next atomic.Int64
	next.Store(int64(start))
	var g sync.WaitGroup
	for range min(tree.Workers(), end-start) {
		g.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= end {
					return
				}
				do(i)
			}
		})
	}
	g.Wait()
}

// independent returns the end of the run of changes from start that may be
// applied in any order: single entries or new folders, no path twice, none in
// another one, and none that another one of the run copies from.
func independent(changes []syncproto.Change, start int) int {
	written, read := map[string]bool{}, map[string]bool{}
	for i := start; i < len(changes); i++ {
		c := &changes[i]
		dir := c.Entry.Type == syncproto.EntryDir || c.Expect.Type == syncproto.EntryDir
		if dir && c.Op == syncproto.OpMkdir && !c.Expect.Exists() {
			dir = tree.UnderAny(tree.Parent(c.Path), written)
		}
		if dir || c.Op != changes[start].Op || written[c.Path] || read[c.Path] || written[c.From] {
			return max(i, start+1)
		}
		written[c.Path] = true
		if c.From != "" {
			read[c.From] = true
		}
	}
	return len(changes)
}
