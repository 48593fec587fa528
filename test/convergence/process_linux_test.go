package convergence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
	"golang.org/x/sys/unix"
)

// killsInPassing is how many processes a plain go test kills.
const killsInPassing = 20

// sessionTime is how long a session with a process may last that has not met
// its ambush.
const sessionTime = 300 * time.Millisecond

// spawn starts one end as a process of its own, and a session with it.
func (r *run) spawn(pod bool, a ambush) (*traced, error) {
	e := r.ends
	e.disconnect()
	if !pod {
		_ = e.leader.Close()
		e.leader = nil
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), childSide+"="+side(pod), childDir+"="+r.dir)
	t, err := start([]string{program}, env, []*os.File{theirs}, a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.over = make(chan error, 1)
	leader, follower := e.leader, e.follower
	go func() {
		if pod {
			e.over <- leader.Run(ctx, conn, "/src")
			return
		}
		e.over <- engine.Accept(ctx, conn, func(string) (*engine.Follower, error) { return follower, nil })
	}()
	return t, nil
}

// ambushed is a plan for a run in which a process meets an ambush.
type ambushed struct {
	before, during plan
	pod            bool // the end that is a process
	n              int  // of the system call
	class          class
	op             *op // what a user does just before it
	opPod          bool
	end            bool
}

func (a ambushed) String() string {
	s := fmt.Sprintf("%s\tthe %s as a process; before its system call %d of class %d:", a.before, side(a.pod), a.n, a.class)
	if a.op != nil {
		s += fmt.Sprintf(" %s: %s;", side(a.opPod), a.op)
	}
	if a.end {
		s += " killed"
	}
	return s + "\n" + a.during.String()
}

func newAmbushed(seed uint64) ambushed {
	p := planner{Rand: rand.New(rand.NewPCG(seed, 2))}
	a := ambushed{pod: p.IntN(2) == 0, class: class(p.IntN(3))}
	a.n = 1 + p.IntN([]int{20, 60, 300}[a.class])
	if p.IntN(2) == 0 {
		p.uses(p.IntN(6))
		p.add(step{kind: connect})
		p.add(step{kind: settle})
	}
	p.uses(1 + p.IntN(6))
	a.before = plan{seed: seed, room: 1 << 20, steps: p.steps}
	p.steps = nil
	for range p.IntN(8) {
		p.add(step{kind: use, pod: p.IntN(2) == 0, op: p.op()})
	}
	a.during = plan{steps: p.steps}
	if a.end = p.IntN(2) == 0; !a.end || p.IntN(2) == 0 {
		// What a user does meanwhile matters where the end is at work.
		o := p.op()
		if u := len(a.before.steps); u > 0 && p.IntN(3) > 0 {
			if s := a.before.steps[p.IntN(u)]; s.kind == use {
				o.path = s.op.path
			}
		}
		a.op, a.opPod = &o, a.pod
	}
	return a
}

// performAmbushed is perform for a run with a process.
func performAmbushed(a ambushed, dir string) error {
	return within(a.before, dir, runLimit, func(r *run) error {
		for _, s := range a.before.steps {
			if err := r.step(s); err != nil {
				return err
			}
		}
		trap := ambush{n: a.n, class: a.class, end: a.end}
		if a.op != nil {
			trap.act = func() { r.step(step{kind: use, pod: a.opPod, op: *a.op}) }
		}
		child, err := r.spawn(a.pod, trap)
		if err != nil {
			return err
		}
		for _, s := range a.during.steps {
			r.step(s)
			runtime.Gosched()
		}
		limit := time.AfterFunc(sessionTime, r.ends.cancel)
		<-r.ends.over // the process is gone, or it had its time
		limit.Stop()
		r.ends.cancel()
		stuck := time.AfterFunc(runLimit, child.kill)
		err = <-child.over
		if !stuck.Stop() {
			return fmt.Errorf("the process of the %s does not end", side(a.pod))
		}
		return err
	})
}

// TestKilledAnywhere stops one end, a process, before a random system call, lets
// a user change something just then, or kills the process, or both. KILLS is how
// often.
func TestKilledAnywhere(t *testing.T) {
	first := number(t, "SEED", uint64(time.Now().UnixNano())>>10)
	runs := uint64(killsInPassing)
	if os.Getenv("SEED") != "" {
		runs = 1
	}
	runs = number(t, "KILLS", runs)
	dir := scratch(t)
	t.Logf("%d runs from SEED=%d in %s", runs, first, dir)
	var next, failed atomic.Uint64
	var wg sync.WaitGroup
	for range min(runs, uint64(4*runtime.GOMAXPROCS(0))) {
		wg.Go(func() {
			for n := next.Add(1); n <= runs && failed.Load() < failuresMost; n = next.Add(1) {
				a := newAmbushed(first + n - 1)
				if err := performAmbushed(a, dir); err != nil {
					failed.Add(1)
					t.Errorf("SEED=%d: %v\n%s", first+n-1, err, a)
				}
			}
		})
	}
	wg.Wait()
}
