package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// keyPause is the time between two keys: a fast typist's is ten times it.
	keyPause = 10 * time.Millisecond
	// restKeys is how many keys are pressed when nothing else goes on.
	restKeys = 200
	// fewestKeys is how many a percentile of a hundredth needs at least.
	fewestKeys = 100
)

// keystrokes measures the echo of single keys in the terminal of an `up` while
// its first sync of the large tree goes on.
func (b *bench) keystrokes(ctx context.Context) error {
	if err := b.leave(ctx); err != nil {
		return err
	}
	dir, err := b.copyOf(ctx, t2)
	if err != nil {
		return err
	}
	t, err := b.typist(ctx, dir, nil, "--no-wait")
	if err != nil {
		return err
	}
	return errors.Join(t.explain(b.typing(ctx, t)), t.end(ctx))
}

// typing presses keys until the tree is in the pod, and some more.
func (b *bench) typing(ctx context.Context, keys *typist) error {
	synced := make(chan error, 1)
	go func() { synced <- b.flush(ctx, false) }()
	var during []time.Duration
	for syncing := true; syncing; {
		took, err := keys.press(ctx)
		if err != nil {
			return err
		}
		during = append(during, took)
		select {
		case err := <-synced:
			if err != nil {
				return err
			}
			syncing = false
		default:
		}
	}
	if len(during) < fewestKeys {
		return fmt.Errorf("only %d keys were pressed during the sync", len(during))
	}
	var rest []time.Duration
	for range restKeys {
		took, err := keys.press(ctx)
		if err != nil {
			return err
		}
		rest = append(rest, took)
	}
	b.report.add("keystroke_p99_ms", milliseconds(quantile(during, 0.99)), fmt.Sprintf(
		"%d keys during the first sync of t2, median %.1f, slowest %.1f; with nothing else going on %.1f",
		len(during), milliseconds(median(during)), milliseconds(quantile(during, 1)), milliseconds(quantile(rest, 0.99))))
	return nil
}
