package devsession

import (
	"sync/atomic"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// syncEvents shows what the user has to know of one folder's sync.
type syncEvents struct {
	console *console.Console
	local   string
	// stopped is true from a stop until sync goes on.
	stopped atomic.Bool
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
	switch e.State {
	case engine.Stopped:
		s.stopped.Store(true)
		s.console.Warn("sync of %s has %s; `kubectl okteto sync list` shows more", s.local, e.Detail)
	case engine.Syncing, engine.Converged:
		if s.stopped.Swap(false) {
			s.console.Note("sync of %s goes on", s.local)
		}
	}
}
