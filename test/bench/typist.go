package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/creack/pty"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// typist sits at the terminal of an `up` whose command echoes keys.
type typist struct {
	keyboard
	cmd *exec.Cmd
	// screen is what the command wrote, progress what `up` says itself.
	screen, progress *lab.Transcript
	// leave restores the workload.
	leave func(context.Context) error
}

// typist starts `up` in a terminal and waits until its command runs. enter, when
// not nil, changes where it runs; flags are the further ones of `up`.
func (b *bench) typist(ctx context.Context, dir string, enter func(*exec.Cmd) error, flags ...string) (*typist, error) {
	t := &typist{keyboard: keyboard{echo: make(chan time.Time, 1)}, screen: lab.NewTranscript(), progress: lab.NewTranscript()}
	t.leave = func(ctx context.Context) error { return b.down(ctx, &session{workload: workload, dir: dir}) }
	args := append(append([]string{"up"}, flags...), workload, "--", "sh", "-c", "stty raw -echo; echo ready; exec cat")
	up := b.lab.Command(ctx, dir, args...)
	// While there is no connection, the terminal itself would echo.
	t.cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", `stty -echo; exec "$@"`, "sh"}, up.Args...)...)
	t.cmd.Dir, t.cmd.Env, t.cmd.Stderr, t.cmd.WaitDelay = up.Dir, up.Env, t.progress, up.WaitDelay
	t.cmd.Cancel = func() error { return t.cmd.Process.Signal(syscall.SIGTERM) }
	if enter != nil {
		if err := enter(t.cmd); err != nil {
			return nil, err
		}
	}
	var err error
	if t.terminal, err = pty.Start(t.cmd); err != nil {
		return nil, err
	}
	go t.read(t.screen)
	if err := t.screen.AwaitFor(ctx, patience, "ready"); err != nil {
		return nil, errors.Join(t.explain(err), t.end(ctx))
	}
	return t, nil
}

// explain adds what `up` wrote to an error.
func (t *typist) explain(err error) error {
	if err != nil {
		err = fmt.Errorf("%w; up wrote:\n%s", err, t.progress)
	}
	return err
}

// end ends `up` and restores the workload.
func (t *typist) end(ctx context.Context) error {
	_ = t.cmd.Cancel()
	_ = t.cmd.Wait() // it was told to end
	return errors.Join(t.terminal.Close(), t.leave(ctx))
}

// keyboard presses keys and sees their echo.
type keyboard struct {
	terminal *os.File
	// echo has the moments at which a key came back.
	echo chan time.Time
}

// pressed is the key whose echo counts, unseen one whose echo does not.
const pressed, unseen = 'x', 'y'

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
