//go:build linux

package devsession

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(content)
}

func TestCommandEndsTheSession(t *testing.T) {
	p := newPod(t)
	for line, want := range map[string]int{"true": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 143, "no-such-program": 127} {
		u := p.session(line).start()
		if got := exitStatus(u.end()); got != want {
			t.Errorf("%q ended the session with %d, want %d", line, got, want)
		}
		noneLeft(t)
	}
}

func TestCommandSeesWhatWasSavedAndBringsBackWhatItWrites(t *testing.T) {
	p := newPod(t)
	write(t, p.path("from-laptop"), "laptop")
	u := p.session("cat from-laptop; cat; printf pod > from-pod; rm from-laptop").start()
	_, _ = io.WriteString(u.stdin, " and input")
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Fatal(err)
	}
	if got := u.out.String(); got != "laptop and input" {
		t.Errorf("the command wrote %q", got)
	}
	if got := read(t, p.path("from-pod")); got != "pod" {
		t.Errorf("what the command wrote did not come back before the session ended: %q", got)
	}
	if got := read(t, p.path("from-laptop")); got != "" {
		t.Errorf("what the command deleted is still there: %q", got)
	}
}

// lasting is a connection of which the other end does not hear that it ended.
type lasting struct{ net.Conn }

func (c lasting) Close() error { return c.SetDeadline(time.Now()) }

// What runs over the connection ends before it does: the pod saves what it
// knows without hearing that the connection is over.
func TestPodHearsOfTheEnd(t *testing.T) {
	p := newPod(t)
	write(t, p.path("from-laptop"), "laptop")
	u := p.session("true")
	dial := u.Connector.Dial
	u.Connector.Dial = func(ctx context.Context, pod string) (net.Conn, error) {
		conn, err := dial(ctx, pod)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		return lasting{conn}, err
	}
	if err := u.start().end(); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(p.Dir, "state", "sync", "*", "index")
	const byItself = 30 * time.Second // the pod finds out, by what is not answered
	for deadline := time.Now().Add(byItself / 2); ; runtime.Gosched() {
		if files, _ := filepath.Glob(index); len(files) == 1 && strings.Contains(read(t, files[0]), "from-laptop") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the pod did not save its index")
		}
	}
}

func TestFlushBringsWhatWasSavedBefore(t *testing.T) {
	p := newPod(t)
	u := p.session("echo ready; cat")
	if err := u.flush(t.Context()); !errors.Is(err, control.ErrNoSession) {
		t.Errorf("without a session: %v", err)
	}
	// What a killed session left behind.
	write(t, u.Socket, "")
	u.start()
	u.writes("ready\n")
	for i := range 20 {
		want := strings.Repeat(fmt.Sprintf("round %d\n", i), 5000)
		write(t, p.path("file"), want)
		if err := u.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(p.Workdir, "file")); got != want {
			t.Fatalf("round %d: the pod has %d bytes of %d", i, len(got), len(want))
		}
	}
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
	if err := u.flush(t.Context()); !errors.Is(err, control.ErrNoSession) {
		t.Errorf("after the session: %v", err)
	}
}

func TestFlushGivesUpWithItsCaller(t *testing.T) {
	p := newPod(t)
	u := p.session("echo ready; cat").start()
	u.writes("ready\n")
	p.Proxy.BlackHole(true)
	write(t, p.path("file"), "new")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := u.flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while nothing gets through: %v", err)
	}
	p.Proxy.BlackHole(false)
	if err := u.flush(t.Context()); err != nil || read(t, filepath.Join(p.Workdir, "file")) != "new" {
		t.Errorf("when all gets through again: %v", err)
	}
}

func TestReconnectsToTheCommand(t *testing.T) {
	p := newPod(t)
	write(t, p.path("file"), "one")
	u := p.session("cat file; echo; read -r word; cat file; echo \" $word\"; cat").start()
	u.writes("one\n")
	p.Proxy.Refuse(true)
	p.Proxy.Cut()
	u.shows("connection lost")
	u.shows("reconnecting to api")
	_, _ = io.WriteString(u.stdin, "typed meanwhile\n")
	p.Proxy.Refuse(false)
	u.writes(" typed meanwhile\n")
	write(t, p.path("file"), "two")
	if err := u.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Proxy.Cut()
	_, _ = io.WriteString(u.stdin, "the input is the same command's")
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Fatal(err)
	}
	if got := u.out.String(); got != "one\none typed meanwhile\nthe input is the same command's" {
		t.Errorf("the command wrote %q", got)
	}
	noneLeft(t)
}

// lostAtItsEnd is a command that ends when the connection of the sync is lost.
type lostAtItsEnd struct {
	*up
	lose func()
}

func (l lostAtItsEnd) Attach(ctx context.Context, client *sshclient.Client) error {
	err := l.up.Attach(ctx, client)
	l.lose()
	_ = client.Wait() // the loss of one is the loss of all
	return err
}

func TestCommandThatHasEndedRunsOnce(t *testing.T) {
	p := newPod(t)
	for line, want := range map[string]int{"echo once": 0, "echo once; exit 7": 7} {
		u := p.session(line)
		dialed := make(chan net.Conn, 2)
		dial := u.Connector.Dial
		u.Connector.Dial = func(ctx context.Context, pod string) (net.Conn, error) {
			conn, err := dial(ctx, pod)
			if err == nil {
				dialed <- conn
			}
			return conn, err
		}
		u.Command = lostAtItsEnd{u, func() { <-dialed; _ = (<-dialed).Close() }}
		if got := exitStatus(u.start().end()); got != want {
			t.Errorf("%q ended with %d, want %d", line, got, want)
		}
		if got := u.out.String(); got != "once\n" {
			t.Errorf("%q wrote %q", line, got)
		}
	}
}

// TestNothingIsLostOverManyCuts cuts the connection while input and output flow:
// every byte arrives once, in order.
func TestNothingIsLostOverManyCuts(t *testing.T) {
	p := newPod(t)
	u := p.session("seq 100000; echo ready; cat").start()
	want := make(chan string, 1)
	go func() {
		var sent strings.Builder
		for i := range 20_000 {
			line := fmt.Sprintf("line %d of the input\n", i)
			sent.WriteString(line)
			if _, err := io.WriteString(u.stdin, line); err != nil {
				break
			}
		}
		_ = u.stdin.Close()
		want <- sent.String()
	}()
	for i := range 10 {
		u.writes(fmt.Sprintf("\n%d\n", 10_000*i+rand.IntN(5000)+1))
		p.Proxy.Cut()
	}
	for i := range 10 {
		u.writes(fmt.Sprintf("line %d of", 2000*i+rand.IntN(1000)))
		p.Proxy.Cut()
	}
	if err := u.end(); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(u.out.String(), "100000\nready\n")
	if sent := <-want; after != sent {
		t.Errorf("of %d bytes of input %d came back, or others", len(sent), len(after))
	}
	if n := strings.Count(u.out.String()[:len(u.out.String())-len(after)], "\n"); n != 100_001 || u.dropped.Load() != 0 {
		t.Errorf("%d lines of output, %d bytes dropped", n, u.dropped.Load())
	}
}

// TestRestartedUnnoticed restarts the dev container while nobody is connected.
func TestRestartedUnnoticed(t *testing.T) {
	p := newPod(t)
	write(t, p.path("file"), "one")
	u := p.session("cat file; echo; cat").start()
	u.writes("one\n")
	p.Proxy.Refuse(true)
	p.Proxy.Cut()
	u.shows("reconnecting to api")
	p.StopRunner()
	p.StartRunner()
	write(t, p.path("file"), "two")
	p.Proxy.Refuse(false)
	u.shows("the command is gone: its container was restarted or replaced; running it again")
	u.writes("two\n")
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
}

// TestInterruptedInABlackHole ends the session while nothing gets through: that
// must not take as long as a command may take to end.
func TestInterruptedInABlackHole(t *testing.T) {
	p := newPod(t)
	u := p.session("trap 'echo told' TERM; echo ready; while :; do sleep 0.01; done").start()
	u.writes("ready\n")
	p.Proxy.BlackHole(true)
	begun := time.Now()
	u.cancel()
	if err := u.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("the session ended with %v", err)
	}
	t.Logf("it took %v", time.Since(begun))
	p.Proxy.BlackHole(false)
}

// TestOutlastsEveryOutage loses the pod and the cluster for longer than one
// waits for either.
func TestOutlastsEveryOutage(t *testing.T) {
	p := newPod(t)
	u := p.session("echo ready; cat")
	u.Timeout = 3 * time.Second
	var calls atomic.Int32
	u.cluster.wait = func(_ context.Context, scheduled func(string)) error {
		switch calls.Add(1) {
		case 3:
			return fmt.Errorf("%w: as it seems", ErrUnreachable)
		case 4, 5:
			return fmt.Errorf("%w: who?", ErrLoggedOut)
		case 6, 7:
			return fmt.Errorf("%w: for want of a node", ErrNoPod)
		}
		scheduled("pod-1")
		return nil
	}
	u.start()
	u.writes("ready\n")
	p.Proxy.Refuse(true)
	p.Proxy.Cut()
	u.shows("connection lost: connecting to pod pod-1")
	u.shows("as it seems; reconnecting")
	u.shows("log in again: who?; reconnecting")
	u.shows("for want of a node; reconnecting")
	p.Proxy.Refuse(false)
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(u.screen.String(), "for want of a node"); n != 1 {
		t.Errorf("the same is said %d times", n)
	}
}

func TestCrashedContainerIsAwaited(t *testing.T) {
	p := newPod(t)
	u := p.session("echo ready; cat").start()
	u.writes("ready\n")
	p.StopRunner()
	u.shows("the development container ended: OOMKilled")
	// Sync needs no dev container.
	write(t, p.path("file"), "meanwhile")
	if err := u.flush(t.Context()); err != nil || read(t, filepath.Join(p.Workdir, "file")) != "meanwhile" {
		t.Errorf("sync without the dev container: %v", err)
	}
	p.StartRunner()
	u.writes("ready\nready\n")
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
	if strings.Contains(u.screen.String(), "connection lost") {
		t.Errorf("the connection was lost with the container:\n%s", u.screen)
	}
}

// TestEndingPodIsLeft ends a pod whose sidecar lives on: it is left for the next
// one, with what was written last.
func TestEndingPodIsLeft(t *testing.T) {
	p := newPod(t)
	u := p.session("echo ready; cat")
	u.cluster.ends = true
	u.start()
	u.writes("ready\n")
	write(t, filepath.Join(p.Workdir, "last"), "words")
	p.StopRunner()
	u.shows("its pod ends; reconnecting to api")
	if got := read(t, p.path("last")); got != "words" {
		t.Errorf("what was written last is %q", got)
	}
	p.StartRunner()
	u.writes("ready\nready\n")
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
}

func TestFailuresThatEndTheSession(t *testing.T) {
	broken := errors.New("broken for good")
	for name, prepare := range map[string]func(p *pod, u *up){
		"swapping": func(_ *pod, u *up) {
			u.cluster.activate = func(context.Context) error { return broken }
		},
		"waiting": func(_ *pod, u *up) {
			u.cluster.wait = func(context.Context, func(string)) error { return broken }
		},
		"waiting, while connecting": func(p *pod, u *up) {
			p.Proxy.Refuse(true)
			dialed := make(chan struct{}, 1)
			dial := u.Connector.Dial
			u.Connector.Dial = func(ctx context.Context, pod string) (net.Conn, error) {
				select {
				case dialed <- struct{}{}:
				default:
				}
				return dial(ctx, pod)
			}
			u.cluster.wait = func(_ context.Context, scheduled func(string)) error {
				scheduled("pod-1")
				<-dialed
				return broken
			}
		},
		"the right to connect": func(_ *pod, u *up) {
			u.Connector.Dial = func(context.Context, string) (net.Conn, error) { return nil, broken }
		},
		"the right to read the host key": func(p *pod, u *up) {
			p.Proxy.Refuse(true)
			u.Connector.HostKey = func(context.Context, string) (ssh.PublicKey, error) { return nil, broken }
		},
		"the right to add a key": func(p *pod, u *up) {
			p.Proxy.BlackHole(true)
			u.Connector.Authorize = func(context.Context, string) error { return broken }
		},
		"a take-over": func(_ *pod, u *up) { u.cluster.taken <- broken },
		"a take-over while waiting": func(_ *pod, u *up) {
			u.cluster.wait = func(ctx context.Context, _ func(string)) error {
				u.cluster.taken <- broken
				<-ctx.Done()
				return ctx.Err()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			u := p.session("sleep 1000")
			u.Connector.Final = func(err error) bool { return errors.Is(err, broken) }
			prepare(p, u)
			if err := u.start().end(); !errors.Is(err, broken) {
				t.Errorf("the session ended with %v", err)
			}
			noneLeft(t)
		})
	}
}

func TestWrongHostKeyEndsTheSession(t *testing.T) {
	p := newPod(t)
	u := p.session("true")
	u.Connector.HostKey = func(context.Context, string) (ssh.PublicKey, error) { return p.Signer.PublicKey(), nil }
	if err := u.start().end(); !errors.Is(err, sshclient.ErrHostKeyMismatch) {
		t.Errorf("the session ended with %v", err)
	}
}

// TestHostKeyIsAskedForOnce connects to one pod again and again, and to one whose
// host key has become another.
func TestHostKeyIsAskedForOnce(t *testing.T) {
	p := newPod(t)
	c := p.connector()
	read, asked := c.HostKey, 0
	c.HostKey = func(ctx context.Context, pod string) (ssh.PublicKey, error) {
		asked++
		return read(ctx, pod)
	}
	for i, step := range []struct {
		pod  string
		key  ssh.PublicKey // what is known; nil changes nothing
		want int
	}{
		{"pod-1", nil, 1},
		{"pod-1", nil, 1},
		{"pod-2", nil, 2},
		{"pod-2", p.Signer.PublicKey(), 3},
		{"pod-2", nil, 3},
	} {
		if step.key != nil {
			c.hostKey = step.key
		}
		client, err := c.Connect(t.Context(), step.pod)
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		if asked != step.want {
			t.Errorf("connection %d: the host key was asked for %d times, want %d", i+1, asked, step.want)
		}
	}
}

func TestSyncThatCannotWorkEndsTheSession(t *testing.T) {
	p := newPod(t)
	u := p.session("true")
	u.Folders[0].Remote = "/not/served"
	err := u.start().end()
	if _, ok := errors.AsType[*engine.StopError](err); !ok || !strings.Contains(err.Error(), "/not/served") {
		t.Errorf("the session ended with %v", err)
	}
}

func TestGivesUpOnWhatNeverWorked(t *testing.T) {
	p := newPod(t)
	p.Proxy.Refuse(true)
	u := p.session("true")
	u.Timeout = 50 * time.Millisecond
	if err := u.start().end(); err == nil || !strings.Contains(err.Error(), "connecting to pod pod-1: ") || exitStatus(err) >= 0 {
		t.Errorf("the session ended with %v", err)
	}
}

// TestContainerStartsSlowly has the container start long after the pod has a
// node: connecting has no limit before.
func TestContainerStartsSlowly(t *testing.T) {
	p := newPod(t)
	p.Proxy.Refuse(true)
	u := p.session("echo $((6*7))")
	u.Timeout = 10 * time.Millisecond
	var attempts atomic.Int64
	dial := u.Connector.Dial
	u.Connector.Dial = func(ctx context.Context, pod string) (net.Conn, error) {
		attempts.Add(1)
		return dial(ctx, pod)
	}
	u.cluster.wait = func(ctx context.Context, scheduled func(string)) error {
		scheduled("pod-1")
		for attempts.Load() < 5 { // with pauses longer than the timeout between them
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		u.Timeout = lab.Patience
		p.Proxy.Refuse(false)
		return nil
	}
	if err := u.start().end(); err != nil {
		t.Fatalf("the session ended with %v", err)
	}
	u.writes("42")
}

// tripwire tells when so many bytes were written.
type tripwire struct {
	net.Conn
	left int
	trip func()
}

func (c *tripwire) Write(b []byte) (int, error) {
	if c.left -= len(b); c.left < 0 {
		c.trip()
	}
	return c.Conn.Write(b)
}

func TestCancelEndsTheSessionAtEveryStage(t *testing.T) {
	for name, reach := range map[string]func(p *pod, u *up){
		"swapping": func(_ *pod, u *up) {
			begun := make(chan struct{})
			u.cluster.activate = func(ctx context.Context) error { close(begun); <-ctx.Done(); return ctx.Err() }
			u.start()
			u.reached(begun)
		},
		"waiting": func(_ *pod, u *up) {
			begun := make(chan struct{})
			u.cluster.wait = func(ctx context.Context, _ func(string)) error { close(begun); <-ctx.Done(); return ctx.Err() }
			u.start()
			u.reached(begun)
		},
		"connecting": func(p *pod, u *up) {
			p.Proxy.BlackHole(true)
			u.start()
			ctx, cancel := context.WithTimeout(u.t.Context(), lab.Patience)
			defer cancel()
			if err := p.Proxy.AwaitConnection(ctx); err != nil {
				u.t.Fatal(err)
			}
		},
		"nobody there": func(p *pod, u *up) {
			p.Proxy.Refuse(true)
			u.start()
			u.shows("waiting for the pod")
		},
		"syncing, with no network": func(p *pod, u *up) {
			noise := make([]byte, 16<<20)
			_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
			write(u.t, p.path("noise"), string(noise))
			sent := make(chan struct{})
			dial := u.Connector.Dial
			u.Connector.Dial = func(ctx context.Context, pod string) (net.Conn, error) {
				conn, err := dial(ctx, pod)
				return &tripwire{Conn: conn, left: 1 << 20, trip: sync.OnceFunc(func() { p.Proxy.BlackHole(true); close(sent) })}, err
			}
			u.start()
			u.reached(sent)
		},
		"running": func(_ *pod, u *up) {
			u.start()
			u.writes("ready\n")
		},
		"running, with no network": func(p *pod, u *up) {
			u.start()
			u.writes("ready\n")
			p.Proxy.BlackHole(true)
		},
		"reconnecting": func(p *pod, u *up) {
			u.start()
			u.writes("ready\n")
			p.Proxy.Refuse(true)
			p.Proxy.Cut()
			u.shows("reconnecting")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			u := p.session("echo ready; exec sleep 1000")
			reach(p, u)
			u.cancel()
			if err := u.end(); !errors.Is(err, context.Canceled) {
				t.Errorf("the session ended with %v", err)
			}
			noneLeft(t)
			if err := u.flush(t.Context()); !errors.Is(err, control.ErrNoSession) {
				t.Errorf("the control socket is still served: %v", err)
			}
		})
	}
}

// TestHangsUpAfterSilence loses a connection over which nothing was heard, and one
// that broke.
func TestHangsUpAfterSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		reason error
		want   int
	}{
		"silent": {sshclient.ErrSilent, 1},
		"broken": {io.ErrUnexpectedEOF, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			u := p.session("true")
			hungUp, waited := 0, false
			u.Connector.HangUp = func() { hungUp++ }
			u.cluster.wait = func(_ context.Context, scheduled func(string)) error {
				if !waited {
					waited = true
					return lostError(tt.reason)
				}
				scheduled("pod-1")
				return nil
			}
			if err := u.start().end(); err != nil {
				t.Fatal(err)
			}
			if hungUp != tt.want {
				t.Errorf("the clients had to hang up %d times, want %d", hungUp, tt.want)
			}
		})
	}
}

func TestBackoffEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	broken := errors.New("broken")
	cancel(broken)
	if err := new(backoff).wait(ctx, ErrUnreachable); !errors.Is(err, broken) {
		t.Errorf("an ended context: %v", err)
	}
}

func TestTryingGoesOnWhileSomethingMoves(t *testing.T) {
	const limit, length = time.Minute, 7 * time.Second
	const firstPause = 50 * time.Millisecond
	now := time.Now()
	tr := newTrying(now, limit)
	attempt := func(worked, moved bool) bool {
		tr.started = now
		now = now.Add(length)
		return tr.again(now, worked, moved)
	}
	for range 20 {
		if !attempt(false, true) {
			t.Fatal("it gave up although something was synced each time")
		}
		if pause := tr.Next(now, true); pause > firstPause {
			t.Fatalf("a pause of %v although something was synced", pause)
		}
	}
	for spent := length; spent <= limit; spent += length {
		if !attempt(false, false) {
			t.Fatalf("it gave up after %v", spent)
		}
	}
	if attempt(false, false) {
		t.Error("it goes on although nothing is synced any more")
	}
	if !attempt(true, false) {
		t.Error("it gave up what had worked")
	}
}

func TestLinkWakesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l link
		connections := &lines{}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 4)
		for i := range 4 {
			ctx := ctx
			if i > 0 {
				ctx = t.Context()
			}
			go func() {
				c, err := l.get(ctx)
				if err == nil && c != connections {
					err = errors.New("others")
				}
				got <- err
			}()
		}
		synctest.Wait()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		l.set(nil)
		synctest.Wait()
		if len(got) > 0 {
			t.Error("no connection woke somebody")
		}
		l.set(connections)
		for range 3 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
	})
}
