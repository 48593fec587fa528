package devsession

import (
	"context"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// link is the connection that works at the moment, if any. Forwards outlive a
// connection: they wait here for the next one. The zero value has none.
type link struct {
	mu      sync.Mutex
	client  *sshclient.Client
	changed chan struct{}
}

// set replaces the connection; nil means that there is none.
func (l *link) set(client *sshclient.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client = client
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// connected tells whether there is a connection.
func (l *link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client != nil
}

// get waits for a connection.
func (l *link) get(ctx context.Context) (*sshclient.Client, error) {
	for {
		l.mu.Lock()
		client := l.client
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if client != nil {
			return client, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
