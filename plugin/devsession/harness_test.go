//go:build linux

package devsession

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
	"github.com/kubectl-okteto/kubectl-okteto/test/leak"
	"github.com/kubectl-okteto/kubectl-okteto/test/localpod"
)

// pod is a real agent in this process, and a laptop's folder.
type pod struct {
	*localpod.Pod
	t *testing.T
}

// newPod starts a pod that the end of the test stops.
func newPod(t *testing.T) *pod {
	t.Helper()
	p := &pod{localpod.Start(t), t}
	if err := os.Mkdir(p.path(""), 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// path is a path in the laptop's folder.
func (p *pod) path(name string) string { return filepath.Join(p.Dir, "laptop", name) }

func (p *pod) connector() *Connector {
	return &Connector{
		Signer:    p.Signer,
		Dial:      func(ctx context.Context, _ string) (net.Conn, error) { return p.Dial(ctx) },
		HostKey:   func(ctx context.Context, _ string) (ssh.PublicKey, error) { return p.HostKey(ctx) },
		Authorize: func(context.Context, string) error { return nil },
	}
}

// cluster is the cluster's side of a session, which does as it is told.
type cluster struct {
	activate func(context.Context) error
	wait     func(ctx context.Context, scheduled func(string)) error
	// taken ends the claim on the environment.
	taken chan error
	// ends says that the pod ends with its containers.
	ends bool
}

func (c *cluster) Activate(ctx context.Context) error {
	if c.activate != nil {
		return c.activate(ctx)
	}
	return nil
}

func (c *cluster) Wait(ctx context.Context, scheduled func(string), progress func(string)) error {
	progress("waiting for the pod")
	if c.wait != nil {
		return c.wait(ctx, scheduled)
	}
	scheduled("pod-1")
	return nil
}

func (c *cluster) Hold(ctx context.Context) error {
	select {
	case err := <-c.taken:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (c *cluster) Crash(context.Context, string, string, time.Time) (string, bool) {
	return "OOMKilled", c.ends
}

// up is a session under test.
type up struct {
	*Session
	t       *testing.T
	cluster *cluster
	// screen is what the console shows, out what the command writes.
	screen, out *lab.Transcript
	stdin       *io.PipeWriter
	cancel      context.CancelFunc
	ended       chan error
	command     sshclient.Command
	held        *sshclient.Held
	// dropped counts the output that was said to be lost.
	dropped atomic.Int64
}

// Running and Attach make it its session's command.
func (u *up) Running() bool { return u.held != nil }

func (u *up) Attach(ctx context.Context, client *sshclient.Client) error {
	if u.held == nil {
		u.held = sshclient.NewHeld(u.command, "up", func(n int64) { u.dropped.Add(n) })
	}
	err := u.held.Attach(ctx, client, nil)
	if u.held.Over() {
		u.held = nil
	}
	return err
}

// session prepares a session that runs a command line and syncs the laptop's
// folder.
func (p *pod) session(line string) *up {
	p.t.Helper()
	in, stdin := io.Pipe()
	u := &up{
		t: p.t, cluster: &cluster{taken: make(chan error, 1)},
		screen: lab.NewTranscript(), out: lab.NewTranscript(), stdin: stdin, ended: make(chan error, 1),
	}
	u.command = sshclient.Command{Line: line, Stdin: sshclient.NewInput(in), Stdout: u.out}
	u.Session = &Session{
		Name: "api", Environment: u.cluster, Connector: p.connector(), Command: u,
		Socket: filepath.Join(p.Dir, "up.sock"), Timeout: lab.Patience,
		Console: console.New(u.screen, console.Style{}, time.Now),
	}
	leader, err := engine.NewLeader(engine.Config{
		Root: filepath.Join(p.Dir, "laptop"), StateDir: filepath.Join(p.Dir, "leader"),
		OnEvent: u.SyncEvents(filepath.Join(p.Dir, "laptop")),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := leader.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			p.t.Error(err)
		}
	})
	u.Folders = []*Folder{{Leader: leader, Local: filepath.Join(p.Dir, "laptop"), Remote: p.Workdir}}
	return u
}

// start runs the session in the background, until the end of the test.
func (u *up) start() *up {
	ctx, cancel := context.WithCancel(context.WithoutCancel(u.t.Context()))
	u.cancel = cancel
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		u.ended <- u.Run(ctx)
	}()
	u.t.Cleanup(func() {
		cancel()
		_ = u.stdin.Close()
		<-stopped
		if u.t.Failed() {
			u.t.Logf("screen:\n%s\noutput:\n%s", u.screen, u.out)
		}
	})
	return u
}

// end returns what Run returned.
func (u *up) end() error {
	u.t.Helper()
	select {
	case err := <-u.ended:
		return err
	case <-time.After(lab.Patience):
		u.t.Fatalf("the session does not end; screen:\n%s", u.screen)
		return nil
	}
}

// shows awaits a text on the screen, writes one in the command's output.
func (u *up) shows(text string)  { u.t.Helper(); u.await(u.screen, text) }
func (u *up) writes(text string) { u.t.Helper(); u.await(u.out, text) }

// echoes says something to a command that is cat: the connection works, and the
// command is the same.
func (u *up) echoes(text string) {
	u.t.Helper()
	if _, err := io.WriteString(u.stdin, text); err != nil {
		u.t.Fatal(err)
	}
	u.writes(text)
}

func (u *up) await(tr *lab.Transcript, text string) {
	u.t.Helper()
	if err := tr.Await(u.t.Context(), text); err != nil {
		u.t.Fatal(err)
	}
}

// control asks the session as other commands do.
func (u *up) control() Control { return Control{Socket: u.Socket} }

// flush waits until what was saved is in the pod.
func (u *up) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lab.Patience)
	defer cancel()
	return u.control().Flush(ctx, false)
}

// reached awaits that the session has come as far as closes the channel.
func (u *up) reached(begun <-chan struct{}) {
	u.t.Helper()
	select {
	case <-begun:
	case <-time.After(lab.Patience):
		u.t.Fatalf("the session did not come so far; screen:\n%s", u.screen)
	}
}

// exitStatus is the status of a command that ended by itself; -1 when it did
// not.
func exitStatus(err error) int {
	exit, ok := errors.AsType[*sshclient.ExitError](err)
	switch {
	case err == nil:
		return 0
	case ok:
		return exit.Status
	default:
		return -1
	}
}

// noneLeft fails the test when goroutines of this package go on.
func noneLeft(t *testing.T) {
	t.Helper()
	leak.Goroutines(t, func(stack string) bool {
		ours := strings.Contains(stack, "plugin/devsession.(*S") || strings.Contains(stack, "plugin/devsession.(*C") ||
			strings.Contains(stack, "plugin/sshclient.")
		// What reads the input waits for it: it is the next command's.
		return ours && !strings.Contains(stack, "sshclient.(*Input)")
	})
}
