package devsession

import (
	"strings"
	"sync"
	"unicode"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// syncEvents shows what the user has to know of one folder's sync.
type syncEvents struct {
	console *console.Console
	local   string

	mu sync.Mutex
	// stopped is why sync does not go on, without its numbers, which may change
	// with every event; empty while it does.
	stopped string
}

// event shows an event, at once, or keeps silent.
func (s *syncEvents) event(e engine.Event) {
	path := console.Path(e.Path)
	switch e.Kind {
	case engine.Conflict:
		s.console.Warn("conflict: %s changed on both sides; one version is kept as %s", path, console.Path(e.Detail))
	case engine.Skipped:
		s.console.Warn("sync: %s %s", path, e.Detail)
	case engine.Warning:
		about := ""
		if e.Path != "" {
			about = path + " "
		}
		s.console.Warn("sync: %s%s", about, e.Detail)
	case engine.StateChanged:
		s.state(e)
	}
}

func (s *syncEvents) state(e engine.Event) {
	digits := func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}
	s.mu.Lock()
	before := s.stopped
	switch e.State {
	case engine.Stopped, engine.Paused:
		s.stopped = strings.Map(digits, e.Detail)
	case engine.Syncing, engine.Converged:
		s.stopped = ""
	}
	same := s.stopped == before
	s.mu.Unlock()
	switch {
	case same:
	case e.State == engine.Stopped:
		s.console.Warn("sync of %s has %s", s.local, e.Detail)
	case e.State == engine.Paused:
		s.console.Note("sync of %s is paused", s.local)
	default:
		s.console.Note("sync of %s goes on", s.local)
	}
}
