package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// Names of flags: the one that the user gives, and the one that the process gets
// which does the work.
const (
	flagDetach     = "detach"
	flagBackground = "in-background"
)

// settled ends what a process in the background tells the one that has started
// it.
const settled = '\x00'

// detachOptions let `up` go on in the background.
type detachOptions struct {
	// asked is true when the user wants that, inside in the process that goes on.
	asked, inside bool
	// behind is what the latter writes to; nil in others.
	behind *background
}

func (d *detachOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.asked, flagDetach, false, "return when the command runs, and go on in the background")
	cmd.Flags().BoolVar(&d.inside, flagBackground, false, "be the process in the background")
	_ = cmd.Flags().MarkHidden(flagBackground)
}

// enter makes this the process in the background.
func (d *detachOptions) enter(f *Factory) error {
	out, ok := f.Streams.Out.(io.WriteCloser)
	if !ok {
		return errors.New("standard output cannot be closed")
	}
	d.behind = &background{starter: out}
	f.Streams.ErrOut, f.Streams.Out = d.behind, d.behind
	return nil
}

// tellEnd notes in the log how the command ended.
func (d *detachOptions) tellEnd(c *console.Console, err error) {
	var exit *sshclient.ExitError
	switch {
	case err == nil:
		c.Note("the command ended with 0")
	case errors.As(err, &exit):
		c.Note("%v", exit)
	}
}

// startInBackground runs this `up` in a process in the background, shows what that says until
// its command runs, and leaves it alone then.
func (o *upOptions) startInBackground(ctx context.Context) error {
	f := o.factory
	cmd := exec.Command(f.Executable, insideArgs(f.Args[1:])...) //nolint:noctx // it is to outlive this process
	cmd.SysProcAttr = inBackground()
	said, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting a process in the background: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting a process in the background: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = interrupt(cmd.Process) })()
	last := &lastByte{w: f.Streams.ErrOut}
	_, _ = io.Copy(last, said)
	if last.settled {
		return nil
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.As(err, &exit):
		return &codeError{exit.ExitCode()}
	}
	return err
}

// insideArgs are the arguments of the process in the background: the user's, and
// the flag that goes before --detach, in whatever way that is written.
func insideArgs(args []string) []string {
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	return slices.Insert(slices.Clone(args), at, "--"+flagBackground)
}

// lastByte passes on what a process in the background says, up to the byte that
// says that it has settled.
type lastByte struct {
	w       io.Writer
	settled bool
}

func (l *lastByte) Write(p []byte) (int, error) {
	text, _, found := bytes.Cut(p, []byte{settled})
	l.settled = l.settled || found
	_, err := l.w.Write(text)
	return len(p), err
}

// background is what a process in the background writes to: its log, and whoever
// has started it until the command runs.
type background struct {
	mu      sync.Mutex
	log     *os.File
	starter io.WriteCloser
}

// Write writes to whoever listens. That nobody does is no reason to end.
func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.log != nil {
		_, _ = b.log.Write(p)
	}
	if b.starter != nil {
		_, _ = b.starter.Write(p)
	}
	return len(p), nil
}

// open opens the log, which holds what one process says.
func (b *background) open(file string) error {
	log, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = log
	return nil
}

// settle lets the starter go.
func (b *background) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.starter != nil {
		_, _ = b.starter.Write([]byte{settled})
		_ = b.starter.Close()
		b.starter = nil
	}
}

// detached is the command of an `up` in the background: in a terminal that others
// attach to, with the log for its output.
type detached struct {
	upCommand
	behind *background
	name   string
}

// newDetached opens the log beside the control socket.
func newDetached(u upCommand, behind *background, socket, name string) (*detached, error) {
	d := &detached{upCommand: u, behind: behind, name: name}
	file := filepath.Join(filepath.Dir(socket), "up.log")
	if err := behind.open(file); err != nil {
		return nil, err
	}
	d.command.Stdin = nil
	d.command.Started = func() {
		u.factory.Console().Note("%s goes on in the background, its output is in %s", name, file)
		u.factory.Console().Note("`kubectl okteto attach-session up --name %s` shows the command, `kubectl okteto down %s` ends all", name, name)
		behind.settle()
	}
	return d, nil
}

// Attach runs the command without anybody who types.
func (d *detached) Attach(ctx context.Context, client *sshclient.Client) error {
	kind, _ := d.factory.Env("TERM")
	return d.over(ctx, func(held *sshclient.Held) error { return held.Attach(ctx, client, &sshclient.TTY{Term: kind}) })
}
