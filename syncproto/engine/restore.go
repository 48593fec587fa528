package engine

import (
	"context"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// restored is what came of an undo on one side.
type restored struct {
	count    int // entries that are as they were
	failures []syncproto.Failure
	touched  []string // what may have changed
}

func (r *restored) fail(p, why string) {
	r.failures = append(r.failures, syncproto.Failure{Path: p, Text: why})
}

// restore brings a batch of the trash back into the root that is open. What is
// there now goes to the trash first, as a batch of its own. With absent, only
// what has nothing in its place now comes back.
func (r *replica) restore(ctx context.Context, batch string, absent bool) (*restored, error) {
	r.applying.Lock()
	defer r.applying.Unlock()
	if !r.attached() {
		return nil, fmt.Errorf("%w: the folder %s is gone", ErrStopped, r.cfg.Root)
	}
	want, content, err := r.trash.Recall(batch)
	if err != nil {
		return nil, err
	}
	defer r.trash.End(batch)
	out := &restored{count: len(want)}
	before, err := r.lookAt(ctx, want, out)
	if err != nil {
		return nil, err
	}
	r.sift(want, absent, out)

	changes := merge.Restore(want, r.entry, r.index.Below)
	undo := r.trash.BeginUndo()
	defer r.trash.End(undo)
	results := r.applyIn(ctx, undo, changes, func(c *syncproto.Change) stage.Source { return content(c.Path) })
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	failed := map[string]bool{}
	for i, res := range results {
		p := changes[i].Path
		out.touched = append(out.touched, p)
		_, asked := want[p]
		switch {
		case !asked || failed[p] || res.Code == syncproto.CodeNotEmpty:
		case res.Code != syncproto.CodeOK:
			failed[p] = true
			out.fail(p, res.Text)
		case !before[p].Exists():
			if err := r.trash.Absent(undo, p); err != nil {
				return out, err
			}
		}
	}
	out.count -= len(out.failures)
	if len(out.failures) > 0 {
		return out, nil
	}
	return out, r.trash.Restored(batch)
}

// lookAt brings the index up to date with the paths of want and returns what
// they are.
func (r *replica) lookAt(ctx context.Context, want map[string]tree.Entry, out *restored) (tree.Tree, error) {
	before := tree.Tree{}
	for p := range want {
		folder := r.now.Load().root.Folder(tree.Parent(p), 1)
		changed, _, err := r.look(ctx, folder, p)
		folder.Close()
		if err != nil {
			return nil, err
		}
		out.touched = append(out.touched, changed...)
		before.Set(p, r.entry(p))
	}
	return before, nil
}

// sift drops from want what cannot come back.
func (r *replica) sift(want map[string]tree.Entry, absent bool, out *restored) {
	ru := r.rules.Load()
	for p, e := range want {
		switch now := r.entry(p); {
		case !ru.visible(p, e):
			out.fail(p, "the path is ignored by now")
			delete(want, p)
		case absent && e.Exists() && (now.Exists() && !now.Same(e) || r.underFile(p)):
			out.fail(p, "the other side has something else there, and is not to be changed")
			delete(want, p)
		}
	}
}

// underFile reports whether a file or symlink is where p needs a folder.
func (r *replica) underFile(p string) bool {
	for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
		if e := r.entry(a); e.Exists() && e.Type != syncproto.EntryDir {
			return true
		}
	}
	return false
}
