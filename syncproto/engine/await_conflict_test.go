package engine

import (
	"net"
	"testing"
)

// What a conflict copy holds was written before, so that a settle waits until
// both sides have it.

func TestSettleAwaitsACopyOnItsWay(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "f.txt", "base")
	s := p.start()
	p.settle()
	s.stop()
	write(t, p.laptop, "f.txt", "laptop's")
	write(t, p.pod, "f.txt", "the pod's")
	p.leader.r.applying.Lock() // nothing comes to the laptop
	a, b := net.Pipe()
	defer p.connect(a, b).stop()
	settled := p.settles()
	p.awaitCopyInPod(settled)
	p.leader.r.applying.Unlock()
	p.settledWhole(settled)
}

func TestSettleAwaitsACopyMadeMeanwhile(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "f.txt", "base")
	defer p.start().stop()
	p.settle()
	p.leader.r.applying.Lock()
	write(t, p.pod, "f.txt", "the pod's")
	p.await(func() bool { return p.leader.Status().PendingFiles > 0 })
	write(t, p.laptop, "f.txt", "laptop's")
	settled := p.settles()
	p.await(func() bool {
		started := make(chan bool, 1)
		p.leader.session.post(func(rc *reconciler) error {
			started <- len(rc.waiters) == 1 && rc.waiters[0].started
			return nil
		})
		return <-started
	})
	p.follower.r.applying.Lock() // nothing comes to the pod, not even the copy
	p.leader.r.applying.Unlock()
	p.await(func() bool { return p.sawEvent(Conflict) })
	p.leader.r.applying.Lock()
	p.follower.r.applying.Unlock()
	p.awaitCopyInPod(settled)
	p.leader.r.applying.Unlock()
	p.settledWhole(settled)
}

// settles waits in the background until both sides are settled.
func (p *pair) settles() chan error {
	settled := make(chan error, 1)
	go func() { settled <- p.leader.Settle(p.t.Context()) }()
	return settled
}

// awaitCopyInPod waits until a conflict about f.txt is done with in the pod, which
// must not end the settle.
func (p *pair) awaitCopyInPod(settled chan error) {
	p.t.Helper()
	p.await(func() bool { return p.told(Applied, ".conflict-pod-") > 0 && p.told(Applied, "f.txt: pod") == 2 })
	must(p.t, p.leader.Flush(p.t.Context())) // the loop has answered all
	select {
	case err := <-settled:
		p.t.Errorf("settled with %v while the copy was in the pod alone", err)
		settled <- err
	default:
	}
}

// settledWhole waits for the settle and compares the sides.
func (p *pair) settledWhole(settled <-chan error) {
	p.t.Helper()
	must(p.t, <-settled)
	if d := p.diff(); d != "" {
		p.t.Errorf("settled, and yet: %s", d)
	}
}
