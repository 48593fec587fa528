package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/creack/pty"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
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
	s := &session{workload: workload, dir: dir}
	typing, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := b.lab.Command(typing, dir, "up", "--no-wait", workload, "--", "sh", "-c", "stty raw -echo; echo ready; exec cat")
	progress := lab.NewTranscript()
	cmd.Stderr = progress
	terminal, err := pty.Start(cmd)
	if err != nil {
		return err
	}
	err = b.typing(typing, terminal)
	cancel()
	_ = cmd.Wait() // it was told to end
	if err != nil {
		err = fmt.Errorf("%w; up wrote:\n%s", err, progress)
	}
	return errors.Join(err, terminal.Close(), b.down(ctx, s))
}

// typing presses keys until the tree is in the pod, and some more.
func (b *bench) typing(ctx context.Context, terminal *os.File) error {
	screen := lab.NewTranscript()
	keys := &keyboard{terminal: terminal, echo: make(chan time.Time, 1)}
	go keys.read(screen)
	if err := screen.AwaitFor(ctx, patience, "ready"); err != nil {
		return err
	}
	synced := make(chan error, 1)
	go func() { synced <- b.flush(ctx) }()
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

// keyboard presses keys and sees their echo.
type keyboard struct {
	terminal *os.File
	// echo has the moments at which a key came back.
	echo chan time.Time
}

const pressed = 'x'

// read passes on what is written on the terminal until it ends.
func (k *keyboard) read(screen io.Writer) {
	buf := make([]byte, 4<<10)
	for {
		n, err := k.terminal.Read(buf)
		now := time.Now()
		for _, c := range buf[:n] {
			if c == pressed {
				select {
				case k.echo <- now:
				default:
				}
			}
		}
		_, _ = screen.Write(buf[:n]) // never fails
		if err != nil {
			return
		}
	}
}

// press presses a key, waits for its echo, and pauses.
func (k *keyboard) press(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if _, err := k.terminal.Write([]byte{pressed}); err != nil {
		return 0, err
	}
	select {
	case at := <-k.echo:
		return at.Sub(began), sleep(ctx, keyPause)
	case <-time.After(lab.Patience):
		return 0, errors.New("the key was not echoed")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
