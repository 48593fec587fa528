package devsession

import (
	"context"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// pulse wakes those who watch. The zero value is ready.
type pulse struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next beat; nil while nobody waits
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil {
		close(p.next)
		p.next = nil
	}
}

// wait returns a channel that is closed at the next beat.
func (p *pulse) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(chan struct{})
	}
	return p.next
}

// Intervals of a watch.
const (
	watchGap  = 100 * time.Millisecond // at least, between two replies
	watchTick = time.Second            // while something is pending
)

// answerStatus replies with the state of the folders and, watching, again at
// each change. While something is pending a clock shows that it goes on; apart
// from that only events do.
func (s *Session) answerStatus(ctx context.Context, q question) error {
	for {
		changed := s.pulse.wait()
		status := s.syncStatus(q.folders)
		if err := q.reply(status); err != nil || !q.Watch {
			return err
		}
		var tick <-chan time.Time
		for _, f := range status.Folders {
			if f.PendingFiles > 0 {
				tick = time.After(watchTick)
			}
		}
		select {
		case <-changed:
		case <-tick:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case <-time.After(watchGap):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// SyncEvents returns what the leader of a folder tells its events to: the user
// sees what matters, and who watches is woken.
func (s *Session) SyncEvents(local string) func(engine.Event) {
	show := &syncEvents{console: s.Console, local: local}
	return func(e engine.Event) {
		show.event(e)
		s.pulse.beat()
	}
}
