package convergence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// A run carries out a plan.
type run struct {
	plan  plan
	limit time.Duration // for what is awaited; then the run hangs
	dir   string
	ends  *ends
	users [2]*user
	last  bool // the side that acted last is the pod
}

// perform carries out a plan in a new folder below dir, and returns how it
// broke a promise.
func perform(p plan, dir string, limit time.Duration) error {
	return within(p, dir, limit, func(r *run) error {
		for _, s := range p.steps {
			if err := r.step(s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

// within gives do a run in a new folder below dir, and verifies afterwards what
// must hold.
func within(p plan, dir string, limit time.Duration, do func(*run) error) (err error) {
	dir, err = os.MkdirTemp(dir, "run")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, d := range []string{"laptop", "pod", "leader", "follower", "outside"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "outside", "file"), []byte("not ours"), 0o644); err != nil {
		return err
	}
	r := &run{plan: p, dir: dir, limit: limit}
	if r.ends, err = newEnds(dir); err != nil {
		return err
	}
	defer r.ends.close()
	for i, s := range []string{"laptop", "pod"} {
		if r.users[i], err = newUser(strings.ToUpper(s[:1]), filepath.Join(dir, s)); err != nil {
			return err
		}
		defer r.users[i].root.Close()
	}
	if err := do(r); err != nil {
		return err
	}
	want := r.tree(r.last)
	if err := r.heal(); err != nil {
		return err
	}
	return r.verify(want)
}

func (r *run) step(s step) error {
	switch s.kind {
	case use:
		u := r.users[0]
		if s.pod {
			u = r.users[1]
		}
		u.do(s.op)
		if r.plan.turns {
			r.last = s.pod
		}
	case connect:
		r.ends.disconnect()
		r.ends.connect(newWire(s.fault, r.plan.room))
	case pause:
		r.pause(s.n)
	case settle:
		return r.settle()
	case cut:
		r.ends.cut(r.plan.seed%2 == 0)
	case restart:
		return r.ends.restart(s.pod)
	case kill:
		return r.ends.kill(s.pod)
	case clock:
		r.ends.set(s.pod, time.Duration(s.n)*time.Second)
	}
	return nil
}

// pause lets some frames pass, if there are any.
func (r *run) pause(frames int) {
	if r.ends.wire == nil {
		return
	}
	limit := time.NewTimer(2 * time.Millisecond)
	defer limit.Stop()
	for range frames {
		select {
		case <-r.ends.wire.progress:
		case <-limit.C:
			return
		}
	}
}

// settle waits until both sides have what happened before, unless the session
// ends meanwhile. Guards that stop sync are told to let it pass.
func (r *run) settle() error {
	if r.ends.wire == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	for {
		err := r.once(ctx)
		switch {
		case errors.Is(err, engine.ErrStopped):
			r.ends.leader.Resume()
			r.await(ctx)
		case ctx.Err() != nil:
			return fmt.Errorf("no end in sight: status %+v", r.ends.leader.Status())
		default:
			return nil
		}
	}
}

// once is Settle, but gives up when an end of the session is gone.
func (r *run) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case err := <-r.ends.over:
			r.ends.over <- err
			cancel()
		case <-ctx.Done():
		}
	})
	return r.ends.leader.Settle(ctx)
}

// await waits for news of the leader, or a moment.
func (r *run) await(ctx context.Context) {
	select {
	case <-r.ends.news:
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
	}
}

// heal gives the ends a connection that lasts, and waits until both sides are
// the same.
func (r *run) heal() error {
	if !r.plan.turns {
		r.ends.disconnect()
		if err := errors.Join(r.ends.boot(false), r.ends.boot(true)); err != nil {
			return err
		}
	}
	if !r.plan.turns || r.ends.wire == nil { // a plan that was shortened may have lost its connection
		r.ends.connect(newWire(fault{}, r.plan.room))
	}
	for range 10 {
		if err := r.settle(); err != nil {
			return err
		}
		if r.difference() == "" && r.calm() {
			return nil
		}
	}
	st := r.ends.leader.Status()
	if d := r.difference(); d != "" {
		return errors.Join(fmt.Errorf("the sides differ:\n%sstatus %+v", d, st), r.ends.ended())
	}
	return errors.Join(fmt.Errorf("both sides are the same, but the status is %+v", st), r.ends.ended())
}

// calm reports whether the leader believes that there is nothing to do.
func (r *run) calm() bool {
	st := r.ends.leader.Status()
	return st.State == engine.Converged && st.PendingFiles == 0 && len(st.Held) == 0
}

// verify checks all promises but that both sides are the same.
func (r *run) verify(want map[string]string) error {
	tree := r.tree(false)
	for p := range tree {
		if strings.Contains(p, syncproto.TempPrefix) {
			return fmt.Errorf("%q was left behind", p)
		}
	}
	if r.plan.turns && !maps.Equal(tree, want) {
		return fmt.Errorf("the users took turns, and yet the tree is not what the last one left:\n%s", compare("left", want, "now", tree))
	}
	if lost := r.lost(); len(lost) > 0 {
		return fmt.Errorf("lost: %s", strings.Join(lost, "; "))
	}
	return r.outside()
}

// lost returns what is owed and nowhere to be found.
func (r *run) lost() []string {
	kept := map[string]bool{}
	for _, d := range []string{"laptop", "leader/trash", "follower/trash"} {
		root, err := os.OpenRoot(filepath.Join(r.dir, d))
		if err != nil {
			continue
		}
		walk(root, ".", func(p string, info fs.FileInfo) {
			if !info.Mode().IsRegular() {
				return
			}
			b, _ := root.ReadFile(p)
			for _, s := range segments(b) {
				kept[s.name] = true
			}
		})
		_ = root.Close()
	}
	var lost []string
	for _, u := range r.users {
		for name, how := range u.owed {
			if !kept[name] {
				lost = append(lost, name+" of "+how)
			}
		}
	}
	slices.Sort(lost)
	return lost
}

// outside checks that there is nothing but what the run made.
func (r *run) outside() error {
	b, err := os.ReadFile(filepath.Join(r.dir, "outside", "file"))
	if err != nil || string(b) != "not ours" {
		return errors.Join(fmt.Errorf("a file outside the roots is now %q", b), err)
	}
	for d, n := range map[string]int{"outside": 1, ".": 5} {
		if list, err := os.ReadDir(filepath.Join(r.dir, d)); err != nil || len(list) != n {
			return errors.Join(fmt.Errorf("outside the roots is now %v", list), err)
		}
	}
	return nil
}

// tree describes every entry of a side that is to be on both.
func (r *run) tree(pod bool) map[string]string {
	u := r.users[0]
	if pod {
		u = r.users[1]
	}
	tree := map[string]string{}
	walk(u.root, ".", func(p string, info fs.FileInfo) {
		mode := info.Mode()
		switch {
		case p == ".", path.Base(p) == besideName:
		case mode.IsRegular():
			b, _ := u.root.ReadFile(p)
			tree[p] = mode.String() + " " + string(b)
		case mode&fs.ModeSymlink != 0:
			to, _ := u.root.Readlink(p)
			tree[p] = "-> " + to
		default:
			tree[p] = mode.String()
		}
	})
	return tree
}

func (r *run) difference() string { return compare("laptop", r.tree(false), "pod", r.tree(true)) }

// compare describes how two trees differ, "" for not at all.
func compare(aName string, a map[string]string, bName string, b map[string]string) string {
	var out strings.Builder
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if a[p] != b[p] {
			fmt.Fprintf(&out, "\t%.60q: %s %.60q, %s %.60q\n", p, aName, a[p], bName, b[p])
		}
	}
	return out.String()
}
