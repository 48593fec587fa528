package devsession

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// class is a kind of traffic that has a connection of its own: within one, a key
// waits behind whatever was written before it. The command's is the first one.
type class int

const (
	syncing class = iota
	forwarding
)

// lines are the connections of one attempt to the same agent: the first one, for
// the command, and one for each class, made when it is first needed. The loss of
// any is the loss of all.
type lines struct {
	// first carries the command.
	first *sshclient.Client
	// dial makes another one; the end of the attempt gives it up.
	dial func() (*sshclient.Client, error)
	// watchers wait for the end of each, and tell lost of it.
	watchers *errgroup.Group
	lost     context.CancelCauseFunc

	mu    sync.Mutex
	more  map[class]*sshclient.Client
	ended bool
}

func newLines(first *sshclient.Client, watchers *errgroup.Group, lost context.CancelCauseFunc, dial func() (*sshclient.Client, error)) *lines {
	l := &lines{first: first, dial: dial, watchers: watchers, lost: lost, more: map[class]*sshclient.Client{}}
	l.watch(first)
	return l
}

func (l *lines) watch(client *sshclient.Client) {
	l.watchers.Go(func() error {
		l.lost(lostError(client.Wait()))
		return nil
	})
}

// of returns the connection of a class. When it cannot be made, all are lost.
func (l *lines) of(c class) (*sshclient.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if client := l.more[c]; client != nil {
		return client, nil
	}
	if l.ended {
		return nil, errLost
	}
	client, err := l.dial()
	if err != nil {
		err = lostError(err)
		l.lost(err)
		return nil, err
	}
	l.more[c] = client
	l.watch(client)
	return client, nil
}

// close ends all of them, and waits for one that is being made.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	_ = l.first.Close()
	for _, client := range l.more {
		_ = client.Close()
	}
}
