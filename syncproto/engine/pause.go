package engine

import "errors"

// ErrPaused means that sync is paused and does not do what was asked before it
// is resumed.
var ErrPaused = errors.New("sync is paused: 'kubectl okteto sync resume' lets it go on")

// Pause stops sync in both directions until Resume, over lost connections too.
// What is on its way lands; what changes from now on is counted as pending.
func (l *Leader) Pause() {
	l.mu.Lock()
	l.paused = true
	l.mu.Unlock()
	l.wake(func(*reconciler) error { return nil })
}

// Resume ends a pause, and lets the batch pass that a guard has stopped because
// it deletes too much, if there is one.
func (l *Leader) Resume() {
	l.mu.Lock()
	l.paused = false
	l.mu.Unlock()
	l.wake(func(rc *reconciler) error {
		rc.released = rc.guardStop != ""
		return nil
	})
}

// wake lets the session in progress merge after e.
func (l *Leader) wake(e event) {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s != nil {
		s.post(e)
	} else {
		l.setState(Waiting, "")
	}
}

func (l *Leader) isPaused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}
