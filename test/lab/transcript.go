package lab

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// Patience bounds every wait: a loaded machine is slow, a hang is a failure.
const Patience = 90 * time.Second

// Transcript collects the output of a process and lets others await a text in
// it.
type Transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

// NewTranscript returns an empty transcript.
func NewTranscript() *Transcript { return &Transcript{changed: make(chan struct{})} }

// Write appends output.
func (t *Transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(b)
	close(t.changed)
	t.changed = make(chan struct{})
	return len(b), nil
}

// String returns what was written so far.
func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// Forget drops what was written so far, so that it is not found.
func (t *Transcript) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Reset()
}

// Await waits until the text appears, bounded by Patience.
func (t *Transcript) Await(ctx context.Context, text string) error {
	return t.AwaitFor(ctx, Patience, text)
}

// AwaitFor is Await with another bound, for what takes long.
func (t *Transcript) AwaitFor(ctx context.Context, patience time.Duration, text string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		t.mu.Lock()
		found, changed := bytes.Contains(t.text.Bytes(), []byte(text)), t.changed
		t.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%q did not appear: %w; the output is:\n%s", text, ctx.Err(), t)
		}
	}
}
