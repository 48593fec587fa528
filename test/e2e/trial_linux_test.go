//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// trial is a sync of 10,000 small files that is disturbed while a user works on
// either side. The pod's files are reached through its node, so that it does
// not matter what is alive in the pod.
type trial struct {
	*place
	up         *session
	flags      []string // of every command
	agent, dev *container
	laptop     *author
	pod        *author
	// home is the plugin's home folder, state the agent's: the trashes are
	// there.
	home, state *os.Root
	// round counts the storms, picked the files that were edited meanwhile.
	round, picked int
}

// podFromElsewhere takes a workload into development from another folder than the
// test's, so that the first meeting of that one with the pod is among what is
// disturbed.
func (p *place) podFromElsewhere(manifest string) {
	p.t.Helper()
	p.deployed("api")
	other := *p
	other.src = p.t.TempDir()
	other.write("okteto.yaml", manifest)
	other.ok("up", "--", "true")
	p.write("okteto.yaml", manifest)
}

// newTrial returns a trial in whose pod no file is the laptop's yet. flags are
// for every command.
func newTrial(p *place, flags ...string) *trial {
	p.t.Helper()
	tr := &trial{
		place: p, flags: flags,
		agent: p.container("okteto-agent"), dev: p.container("main"),
	}
	tr.laptop = newAuthor("laptop", tr.open(p.src))
	tr.pod = newAuthor("pod", tr.open(tr.agent.path(config.WorkspaceDir+"/"+config.RootFolder("/app"))))
	tr.home, tr.state = tr.open(p.Home), tr.open(tr.agent.path(config.StateDir))
	return tr
}

// open opens a folder until the test ends.
func (tr *trial) open(dir string) *os.Root {
	tr.t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { _ = root.Close() })
	return root
}

// resume starts `up` again.
func (tr *trial) resume() {
	tr.t.Helper()
	tr.up = tr.start(slices.Concat([]string{"up"}, tr.flags, []string{"--", "cat"})...)
}

// disturb strikes at so many points of a sync, spread evenly: one in each
// stretch of it. strike returns false when there is nothing to be struck at the
// moment. A sync that gets through before there was a strike in each stretch is
// followed by another one.
func (tr *trial) disturb(points int, strike func() bool) {
	tr.t.Helper()
	const most = 20
	struck, began := make([]bool, points), time.Now()
	for left, storms := points, 0; left > 0; storms++ {
		if storms == most {
			tr.t.Fatalf("after %d storms there were no strikes in %d of %d stretches", storms, left, points)
		}
		tr.during(func(arrived int) {
			if at := (arrived - 1) * points / samples; arrived > 0 && !struck[at] && strike() {
				tr.t.Logf("%5.1f s: storm %d, struck at %d %%", time.Since(began).Seconds(), tr.round, 100*arrived/samples)
				struck[at] = true
				left--
			}
		})
	}
}

// during makes a storm and calls each until all that it changed on the laptop
// has arrived in the pod, with how many of the samples have.
func (tr *trial) during(each func(arrived int)) {
	tr.t.Helper()
	done := tr.storm()
	defer func() { <-done }()
	var want [samples][]byte
	for i := range want {
		want[i] = treeText(sample(i), tr.round)
	}
	for last, until := 0, time.Now().Add(lab.Patience); ; time.Sleep(5 * time.Millisecond) {
		arrived := 0
		for i := range want {
			if got, _ := tr.pod.root.ReadFile(treePath(sample(i))); bytes.Equal(got, want[i]) {
				arrived++
			}
		}
		if arrived == samples {
			return
		}
		if arrived != last {
			last = arrived
			each(arrived)
			until = time.Now().Add(lab.Patience)
		} else if time.Now().After(until) {
			tr.t.Fatalf("storm %d stands still at %d of %d samples: %+v", tr.round, arrived, samples, tr.synced(tr.flags...))
		}
	}
}

// storm has the laptop's user write the whole tree anew, and the pod's user
// what the pod makes. The first time nothing else runs yet; later they write
// while it is synced, until the channel is closed.
func (tr *trial) storm() <-chan struct{} {
	tr.t.Helper()
	tr.round++
	done := make(chan struct{})
	write := func() {
		defer close(done)
		tr.laptop.storm(treeFiles, tr.round, treePath, treeText)
		tr.pod.storm(madeFiles, tr.round, madePath, madeText)
	}
	if tr.round > 1 {
		go write()
		return done
	}
	write()
	tr.laptop.odd()
	for i := range treeFiles {
		if i%50 == 0 { // the pod has another version of them, or they are the pod's alone
			tr.pod.replace(treePath(i))
		}
	}
	tr.resume()
	return done
}

// edit does a bit of everything on both sides: to what is on its way, to what
// has been, to what is yet to come.
func (tr *trial) edit() {
	l, p := tr.laptop, tr.pod
	n := tr.picked
	l.replace(fmt.Sprintf("edits/laptop-%d.txt", n))
	p.replace(fmt.Sprintf("edits/pod-%d.txt", n))
	both := fmt.Sprintf("edits/both-%d.txt", n)
	l.replace(both)
	p.replace(both)
	for _, do := range []func(string){
		l.replace, p.replace,
		func(f string) { l.replace(f); p.replace(f) },
		func(f string) { p.replace(f); l.remove(f) },
		p.remove,
		func(f string) { l.rename(f, fmt.Sprintf("edits/renamed-%d.txt", n)) },
		func(f string) { l.chmod(f, 0o600) },
	} {
		f := tr.pick()
		l.keep(f)
		do(f)
	}
}

// pick returns a file of the tree that was not picked yet, and is no sample.
func (tr *trial) pick() string {
	const stride = 4441 // shares no divisor with the number of files
	for {
		tr.picked++
		if i := tr.picked * stride % treeFiles; !isSample(i) {
			return treePath(i)
		}
	}
}

// flush waits until both sides are the same.
func (tr *trial) flush() result {
	tr.t.Helper()
	return tr.run("", append([]string{"sync", "flush"}, tr.flags...)...)
}

// converged waits until both sides are the same, and verifies that they are,
// and that nothing is lost.
func (tr *trial) converged() {
	tr.t.Helper()
	tr.up.err("is running")
	if r := tr.flush(); r.code != 0 {
		tr.t.Fatalf("sync flush: exit code %d\n%s", r.code, r.stderr)
	}
	tr.verify()
	var f folder
	eventually(tr.t, "the end of sync", func() bool {
		f = tr.synced(tr.flags...)
		return f.State == "converged" && f.PendingFiles == 0
	})
	if len(f.Held) > 0 {
		tr.t.Errorf("held: %v", f.Held)
	}
	if err := tr.up.End(); err != nil {
		tr.t.Error(err)
	}
}

// verify compares the sides entry by entry, and looks for every content that is
// owed to a user.
func (tr *trial) verify() {
	tr.t.Helper()
	laptop, pod := tr.laptop.entries(tr.t), tr.pod.entries(tr.t)
	if diff := difference(laptop, pod); diff != "" {
		tr.t.Errorf("the sides differ:\n%s", diff)
	}
	kept := digests{}
	for _, root := range []*os.Root{tr.laptop.root, tr.pod.root, tr.home, tr.state} {
		kept.add(tr.t, root)
	}
	for _, u := range []*author{tr.laptop, tr.pod} {
		if lost := u.lost(kept); len(lost) > 0 {
			tr.t.Errorf("of what the %s's user wrote is lost: %v", u.side, lost)
		}
	}
	tr.t.Logf("%d entries are the same on both sides; %d and %d contents are owed", len(laptop), len(tr.laptop.owed), len(tr.pod.owed))
}

// awaitEnd waits for the end of a plugin that was killed.
func (tr *trial) awaitEnd() {
	tr.t.Helper()
	if _, err := tr.up.Wait(); err != nil {
		tr.t.Fatal(err)
	}
}

// within returns a context for what may not take long, also when the test has
// ended.
func (p *place) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(p.t.Context()), lab.Patience)
}
