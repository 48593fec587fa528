package convergence

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A step of a run: what one of the users does, or what happens to the sync.
type step struct {
	kind  stepKind
	pod   bool // of use, restart, kill and clock: the pod's side
	op    op
	fault fault // of connect
	n     int   // of pause, and of clock in seconds
}

type stepKind string

const (
	use     stepKind = "use"     // a user does op
	connect stepKind = "connect" // a session begins, over a connection with fault
	pause   stepKind = "pause"   // until n frames have passed, for a moment at most
	settle  stepKind = "settle"  // until all that happened is on both sides
	cut     stepKind = "cut"     // the connection breaks
	restart stepKind = "restart" // an end is ended in good order and started again
	kill    stepKind = "kill"    // the connection breaks, and an end starts with what was on disk then
	clock   stepKind = "clock"   // an end's clock is set, n seconds ahead of the true time
)

func side(pod bool) string {
	if pod {
		return "pod"
	}
	return "laptop"
}

func (s step) String() string {
	switch s.kind {
	case use:
		return side(s.pod) + ": " + s.op.String()
	case restart, kill:
		return fmt.Sprintf("%s %s", s.kind, side(s.pod))
	case pause:
		return fmt.Sprintf("pause %d", s.n)
	case clock:
		return fmt.Sprintf("clock %s %d", side(s.pod), s.n)
	case connect:
		if s.fault == (fault{}) {
			return "connect"
		}
		f := s.fault
		return fmt.Sprintf("connect, cut at frame %d of the %s after %d bytes, %d frames before it vanish, lose %v",
			f.frame, side(f.pod), f.keep, f.hole, f.lose)
	default:
		return string(s.kind)
	}
}

// A plan is a run as it is meant to be.
type plan struct {
	seed uint64
	// turns: the users act one after the other and nothing breaks, so that the
	// tree must be what they left.
	turns bool
	room  int // bytes that a direction of a connection holds
	steps []step
}

func (p plan) String() string {
	var b strings.Builder
	for _, s := range p.steps {
		fmt.Fprintf(&b, "\t%s\n", s)
	}
	return b.String()
}

// planner draws a plan from a seed.
type planner struct {
	*rand.Rand
	steps []step
}

// newPlan returns the plan of a seed.
func newPlan(seed uint64) plan {
	p := planner{Rand: rand.New(rand.NewPCG(seed, 1))}
	out := plan{seed: seed, turns: p.IntN(4) == 0, room: []int{0, 100, 4 << 10, 1 << 20}[p.IntN(4)]}
	p.maybeClocks()
	if out.turns {
		p.takeTurns()
	} else {
		p.quarrel()
	}
	out.steps = p.steps
	return out
}

func (p *planner) add(s step) { p.steps = append(p.steps, s) }

// takeTurns lets one user act at a time, in one session.
func (p *planner) takeTurns() {
	pod := p.IntN(2) == 0
	for range p.IntN(6) {
		p.add(step{kind: use, pod: pod, op: p.op()})
	}
	p.add(step{kind: connect})
	for range 1 + p.IntN(3) {
		for range 1 + p.IntN(6) {
			p.add(step{kind: use, pod: pod, op: p.op()})
			p.maybePause()
		}
		p.add(step{kind: settle})
		if p.IntN(2) == 0 {
			pod = !pod
		}
	}
}

// quarrel lets both act at any time, and everything break.
func (p *planner) quarrel() {
	p.uses(p.IntN(8))
	if p.IntN(2) == 0 {
		p.add(step{kind: connect})
		p.add(step{kind: settle})
	}
	for range 1 + p.IntN(3) {
		if p.IntN(3) == 0 {
			p.uses(p.IntN(4))
		}
		p.add(step{kind: connect, fault: p.fault()})
		for range p.IntN(10) {
			p.add(step{kind: use, pod: p.IntN(2) == 0, op: p.op()})
			p.maybePause()
			if p.IntN(10) == 0 {
				p.clock()
			}
		}
		switch p.IntN(8) {
		case 0, 1:
			p.add(step{kind: cut})
		case 2:
			p.add(step{kind: restart, pod: p.IntN(2) == 0})
		case 3, 4:
			p.add(step{kind: kill, pod: p.IntN(2) == 0})
		case 5:
			p.add(step{kind: settle})
		}
	}
}

func (p *planner) uses(n int) {
	for range n {
		p.add(step{kind: use, pod: p.IntN(2) == 0, op: p.op()})
	}
}

func (p *planner) maybePause() {
	if p.IntN(3) == 0 {
		p.add(step{kind: pause, n: p.IntN(5)})
	}
}

// maybeClocks lets the ends begin with clocks that are wrong, as often as not.
func (p *planner) maybeClocks() {
	if p.IntN(2) == 0 {
		p.clock()
		p.clock()
	}
}

// clock sets one, forwards or back. What is older than a week by its clock the
// trash of an end may forget, so that it is never wrong by more.
func (p *planner) clock() {
	const second, minute, hour, day = 1, 60, 60 * 60, 24 * 60 * 60
	n := []int{0, second, minute, hour, day, 3 * day}[p.IntN(6)]
	if p.IntN(2) == 0 {
		n = -n
	}
	p.add(step{kind: clock, pod: p.IntN(2) == 0, n: n})
}

func (p *planner) fault() fault {
	if p.IntN(3) == 0 {
		return fault{}
	}
	f := fault{pod: p.IntN(2) == 0, frame: 1 + p.IntN(8), lose: p.IntN(2) == 0}
	if p.IntN(2) == 0 {
		f.frame += p.IntN(20)
	}
	if p.IntN(2) == 0 {
		f.keep = p.IntN(100)
	}
	if p.IntN(4) == 0 {
		f.hole = p.IntN(4)
	}
	return f
}

// path draws one of few paths, now and then an odd one.
func (p *planner) path() string {
	names := []string{"a", "b", "c"}
	parts := []string{names[p.IntN(3)]}
	for p.IntN(5) < 2 && len(parts) < 4 {
		parts = append(parts, names[p.IntN(3)])
	}
	if p.IntN(12) == 0 {
		odd := []string{
			"new\nline", "bad\xff", "e\u0301", "\u00e9", ".hidden", "a.txt", "A", "con", " ", "-rf", "a*?[b",
			strings.Repeat("n", 255), strings.Repeat("m", 250) + ".go", "a.conflict-pod-20060102-150405",
		}
		parts[len(parts)-1] = odd[p.IntN(len(odd))]
	}
	return strings.Join(parts, "/")
}

// letters draws the length of a segment.
func (p *planner) letters() int {
	switch p.IntN(24) {
	case 0:
		return 260<<10 + p.IntN(50<<10) // more than fits a change
	case 1, 2:
		return 500 + p.IntN(4000)
	case 3, 4, 5:
		return p.IntN(100)
	default:
		return 8 // equal sizes hide changes
	}
}

func (p *planner) op() op {
	o := op{path: p.path()}
	switch n := p.IntN(30); {
	case n < 6:
		o.verb, o.n = "write", p.letters()
	case n < 9:
		o.verb, o.n = "replace", p.letters()
	case n < 10:
		o.verb, o.n = "create", p.letters()
	case n < 12:
		o.verb, o.n = "append", p.letters()
	case n < 13:
		o.verb, o.n = "truncate", p.IntN(3)
	case n < 16:
		o.verb = "delete"
	case n < 17:
		o.verb = "mkdir"
	case n < 19:
		o.verb = "rmdir"
	case n < 24:
		o.verb, o.to = "rename", p.path()
	case n < 25:
		o.verb, o.to = "copy", p.path()
	case n < 27:
		o.verb, o.to = "symlink", p.target()
	case n < 29:
		o.verb, o.n = "chmod", p.IntN(5)
	default:
		o.verb, o.n = "touch", []int{-1 << 30, -3600, -1, 0, 1, 3600, 1 << 30}[p.IntN(7)]
	}
	return o
}

func (p *planner) target() string {
	switch p.IntN(4) {
	case 0:
		return "../outside/file"
	case 1:
		return strings.Repeat("../", 1+p.IntN(4)) + "outside"
	default:
		return p.path()
	}
}
