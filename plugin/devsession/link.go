package devsession

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// disconnected tells of an error over a connection that it only means the connection's
// end: it was lost, or this end gave it up.
func disconnected(err error) bool {
	return errors.Is(err, sshclient.ErrConnectionLost) || errors.Is(err, net.ErrClosed)
}

// link has the connections that work at the moment, if any. Forwards outlive
// them: they wait here for the next ones. The zero value has none.
type link struct {
	mu      sync.Mutex
	lines   *lines
	begun   time.Time
	changed chan struct{}
}

// set replaces the connections; nil means that there are none.
func (l *link) set(lines *lines) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.begun = lines, time.Time{}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// connected tells whether there is a connection.
func (l *link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines != nil
}

// begin notes that the command runs.
func (l *link) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = time.Now()
}

// age is for how long the command has run over these connections.
func (l *link) age() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun.IsZero() {
		return 0
	}
	return time.Since(l.begun)
}

// get waits for connections.
func (l *link) get(ctx context.Context) (*lines, error) {
	for {
		l.mu.Lock()
		lines := l.lines
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if lines != nil {
			return lines, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
