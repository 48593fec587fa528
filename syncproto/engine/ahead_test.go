package engine

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// TestPackedAhead begins a session with batches that were packed for an empty
// pod, where the guess is right and where it is wrong.
func TestPackedAhead(t *testing.T) {
	const files = 3 * batchChanges
	fill := func(root func(*pair) string) func(*testing.T, *pair) {
		return func(t *testing.T, p *pair) {
			for i := range files {
				write(t, root(p), fmt.Sprintf("d/%d", i), strings.Repeat(fmt.Sprint(i), 100))
			}
		}
	}
	for name, between := range map[string]func(t *testing.T, p *pair){
		"a fresh pod":            func(*testing.T, *pair) {},
		"the pod has something":  func(t *testing.T, p *pair) { write(t, p.pod, "d/250", "of the image") },
		"a file changed":         func(t *testing.T, p *pair) { write(t, p.laptop, "d/450", "changed") },
		"the pod has it all":     fill(func(p *pair) string { return p.pod }),
		"a folder came and went": func(t *testing.T, p *pair) { write(t, p.laptop, "a/b", "new") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.boot()
			fill(func(p *pair) string { return p.laptop })(t, p)
			must(t, p.leader.Prepare(t.Context()))
			if n := len(p.leader.idle.packed); n != files/batchChanges+1 {
				t.Fatalf("%d batches were packed ahead", n)
			}
			between(t, p)
			s := p.connect(net.Pipe())
			p.settle()
			p.leader.mu.Lock()
			out := p.leader.session.out
			p.leader.mu.Unlock()
			out.mu.Lock()
			left := len(out.ahead)
			out.mu.Unlock()
			s.stop()
			if left > 0 || p.leader.idle.packed != nil {
				t.Errorf("%d batches that were packed ahead are kept", left)
			}
		})
	}
}

// TestPackedAheadIsSent puts another message into what was packed ahead, to see
// that it is what a fresh pod gets.
func TestPackedAheadIsSent(t *testing.T) {
	p := newPair(t)
	p.boot()
	write(t, p.laptop, "f", "1")
	must(t, p.leader.Prepare(t.Context()))
	enc, err := syncproto.NewEncoder()
	must(t, err)
	must(t, enc.Encode(&p.leader.idle.packed[0].frame, &syncproto.Stop{Code: syncproto.StopFailed, Text: "packed ahead"}))
	s := p.connect(net.Pipe())
	err = <-s.follows
	s.cancel()
	<-s.leads
	if err == nil || !strings.Contains(err.Error(), "packed ahead") {
		t.Errorf("the pod's session ended with %v", err)
	}
}

// TestPackedAheadIsTaken takes packed batches as a session would.
func TestPackedAheadIsTaken(t *testing.T) {
	change := func(path string) merge.Change {
		return merge.Change{Change: syncproto.Change{Op: syncproto.OpPut, Path: path, Entry: syncproto.Entry{Type: syncproto.EntryFile}}}
	}
	pack := func() *ahead {
		return &ahead{
			{changes: []merge.Change{change("a"), change("b")}, batch: syncproto.Batch{ID: 1}},
			{changes: []merge.Change{change("c")}, batch: syncproto.Batch{ID: 2, Generation: 1}},
		}
	}
	other := change("b")
	other.Expect.Type = syncproto.EntryFile
	for name, test := range map[string]struct {
		id, generation uint64
		changes        []merge.Change
		want           bool
	}{
		"the next":           {1, 0, []merge.Change{change("a"), change("b")}, true},
		"another generation": {1, 1, []merge.Change{change("a"), change("b")}, false},
		"a later one":        {2, 1, []merge.Change{change("c")}, false},
		"fewer changes":      {1, 0, []merge.Change{change("a")}, false},
		"another change":     {1, 0, []merge.Change{change("a"), other}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := pack()
			p := a.take(test.id, test.generation, test.changes)
			if (p != nil) != test.want {
				t.Fatalf("taken: %t, want %t", p != nil, test.want)
			}
			if left := len(*a); test.want && left != 1 || !test.want && left != 0 {
				t.Errorf("%d batches are left", left)
			}
		})
	}
}
