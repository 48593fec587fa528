//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// board holds the status of the sidecar for all who watch it.
type board struct {
	mu      sync.Mutex
	status  config.Status
	changed chan struct{}
}

func newBoard(s config.Status) *board {
	return &board{status: s, changed: make(chan struct{})}
}

// update changes the status and wakes the watchers. Slices in it are replaced,
// never written to: watchers hold them.
func (b *board) update(change func(*config.Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
	close(b.changed)
	b.changed = make(chan struct{})
}

// read returns the status and a channel that is closed at the next change.
func (b *board) read() (config.Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.changed
}

// serve is the status subsystem: one JSON line at once, and one at each
// change. A slow reader misses what was overtaken, never the newest.
func (b *board) serve(ctx context.Context, channel io.ReadWriteCloser) error {
	var last []byte
	for {
		status, changed := b.read()
		line, err := json.Marshal(status)
		if err != nil {
			return fmt.Errorf("rendering the status: %w", err)
		}
		if !bytes.Equal(line, last) {
			if _, err := channel.Write(append(line, '\n')); err != nil {
				return fmt.Errorf("writing the status: %w", err)
			}
			last = line
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}
