//go:build linux

package devsession

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent"
	"github.com/kubectl-okteto/kubectl-okteto/agent/runner"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/clusternet"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/netns"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
	"github.com/kubectl-okteto/kubectl-okteto/test/localpod"
)

// TestMain is also the agent's binary, and a runner: one that is a process of its
// own waits for none of the test's children.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case netns.Role:
		os.Exit(netns.Main(os.Args[1:], os.Stderr))
	case "agent":
		os.Exit(agent.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	case "runner":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		r := runner.New(runner.Config{Dir: os.Args[1], Workdir: os.Args[1], Env: os.Environ(), Log: localpod.Quiet()})
		if err := r.Run(ctx); err != nil {
			panic(err)
		}
	case "server":
		if err := serveOnce(os.Args[1], os.Args[2]); err != nil {
			panic(err)
		}
	default:
		os.Exit(m.Run())
	}
}

// serveOnce says a text to who connects first.
func serveOnce(address, text string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listens")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	_, err = io.WriteString(conn, text)
	return errors.Join(err, conn.Close())
}

// replaceRunner starts another dev container, with that environment.
func (p *pod) replaceRunner(env ...string) {
	p.t.Helper()
	p.StopRunner()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), self)
	cmd.Args, cmd.Env, cmd.Stderr = []string{"runner", p.RunDir()}, env, os.Stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.StopRunner = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			p.t.Error(err)
		}
	})
}

// localUp is a session in hybrid mode.
type localUp struct {
	*up
	in  io.WriteCloser
	out *bufio.Reader
	run func()
}

// hybrid starts a session whose command runs on this machine.
func (p *pod) hybrid(argv ...string) *localUp {
	p.t.Helper()
	u := p.hybridLater(argv...)
	u.run()
	return u
}

// hybridLater prepares one.
func (p *pod) hybridLater(argv ...string) *localUp {
	p.t.Helper()
	inPipe, in, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, outPipe, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := out.SetReadDeadline(time.Now().Add(lab.Patience)); err != nil {
		p.t.Fatal(err)
	}
	u := &localUp{up: p.session(""), in: in, out: bufio.NewReader(out)}
	pods := 0
	u.cluster.wait = func(_ context.Context, scheduled func(string)) error {
		pods++
		scheduled(fmt.Sprintf("pod-%d", pods))
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(p.t.Context()))
	u.cancel = func() { cancel(nil) }
	l := &Local{
		Command: manifest.Command{Argv: argv, Shell: len(argv) == 1}, Dir: p.Dir,
		Set: []string{"LANG"}, Lookup: os.LookupEnv,
		Stdin: inPipe, Stdout: outPipe, Console: u.Console, End: cancel,
	}
	u.Command, u.Folders = l, nil
	stopped := make(chan struct{})
	u.run = func() {
		go func() {
			defer close(stopped)
			u.ended <- l.Stop(u.Run(ctx))
			_ = outPipe.Close()
		}()
	}
	p.t.Cleanup(func() {
		cancel(nil)
		<-stopped
		for _, f := range []*os.File{inPipe, in, out} {
			_ = f.Close()
		}
		if p.t.Failed() {
			p.t.Logf("screen:\n%s", u.screen)
		}
	})
	return u
}

// line returns the next line that the process writes.
func (u *localUp) line() string {
	u.t.Helper()
	line, err := u.out.ReadString('\n')
	if err != nil {
		u.t.Fatalf("%q, %v; screen:\n%s", line, err, u.screen)
	}
	return strings.TrimSuffix(line, "\n")
}

// ask has the process write a line.
func (u *localUp) ask(shell string) string {
	u.t.Helper()
	if _, err := fmt.Fprintln(u.in, shell); err != nil {
		u.t.Fatal(err)
	}
	return u.line()
}

const readEval = `echo started $$; while read -r line; do eval "$line"; done`

func TestLocalOutlivesTheConnection(t *testing.T) {
	p := newPod(t)
	p.replaceRunner("HOME=/pod", "PATH=/nowhere", "LANG=tlh", "my.name=a b", "COLOUR=red")
	u := p.hybrid(readEval)
	first := u.line()
	if got := u.ask(`echo "$HOME $LANG $COLOUR $(tr '\0' '\n' </proc/$$/environ | grep my.name)"`); got != os.Getenv("HOME")+" tlh red my.name=a b" {
		t.Errorf("the environment is %q", got)
	}
	p.Proxy.Cut()
	u.shows("connected to pod pod-2")
	if got := u.ask("echo still $$"); got != strings.Replace(first, "started", "still", 1) {
		t.Errorf("%q, then %q", first, got)
	}

	p.replaceRunner("PATH=/nowhere", "LANG=tlh", "COLOUR=blue", "NEW=1", "HOSTNAME=another")
	p.Proxy.Cut()
	u.shows("the environment of the pod changed (COLOUR, NEW, my.name): running the command again")
	if second := u.line(); second == first || !strings.HasPrefix(second, "started ") {
		t.Errorf("%q, then %q", first, second)
	}
	if got := u.ask("echo $COLOUR"); got != "blue" {
		t.Errorf("the colour is %q", got)
	}

	// It ends when it ends, connected or not.
	p.Proxy.Refuse(true)
	p.Proxy.Cut()
	u.ask("echo going; exit 7")
	if err := u.end(); exitStatus(err) != 7 {
		t.Errorf("it ended with %v", err)
	}
	noneLeft(t)
}

// TestLocalInNamespaces reaches a process in the namespace that it has, and the next
// one in its own.
func TestLocalInNamespaces(t *testing.T) {
	p := newPod(t)
	p.replaceRunner("COLOUR=red")
	remote, local := freePort(t), freePort(t)
	reverse := NewReverse("localhost", manifest.Reverse{Remote: remote, Local: local}).StandIn()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	u := p.hybridLater("bash", "-c", fmt.Sprintf("serve() { (exec -a server %s 127.0.0.1:%d $COLOUR) }; %s", self, local, readEval))
	u.Reverses = []Reverse{reverse}
	l := u.Command.(*Local)
	if err := l.OpenNetwork(t.Context(), manifest.NetworkNamespace, u.Session); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() { l.ServeNetwork(ctx) })
	defer served.Wait()
	defer cancel()
	u.run()
	u.line()
	for _, colour := range []string{"red", "blue"} {
		conn := dialed(t, fmt.Sprintf("127.0.0.1:%d", remote))
		if got := u.ask("serve"); got != "listens" {
			t.Errorf("the server says %q", got)
		}
		if err := conn.SetReadDeadline(time.Now().Add(lab.Patience)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); string(got) != colour {
			t.Errorf("%s is %q, %v", colour, got, err)
		}
		if colour == "red" {
			p.replaceRunner("COLOUR=blue")
			p.Proxy.Cut()
			u.shows("the environment of the pod changed (COLOUR): running the command again")
			u.line()
		}
	}
	u.ask("echo going; exit 7")
	if err := u.end(); exitStatus(err) != 7 {
		t.Errorf("it ended with %v", err)
	}
	noneLeft(t)
}

func TestLocalEndsWithTheSession(t *testing.T) {
	p := newPod(t)
	p.replaceRunner()
	u := p.hybrid("sleep 1000 & " + readEval)
	u.line()
	u.cancel()
	if err := u.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if rest, err := io.ReadAll(u.out); err != nil {
		t.Errorf("somebody is left: %q, %v", rest, err)
	}
}

func TestLocalThatCannotStart(t *testing.T) {
	p := newPod(t)
	p.replaceRunner()
	err := p.hybrid("no-such-program", "x").end()
	if exitStatus(err) != -1 || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("it ended with %v", err)
	}
}

// A connection that this end has given up, as another one was lost, says nothing of
// the agent.
func TestLocalOverAClosedConnection(t *testing.T) {
	p := newPod(t)
	client, err := p.connector().Connect(t.Context(), "pod-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	screen := lab.NewTranscript()
	c := console.New(screen, console.Style{}, time.Now)
	l := &Local{
		Console: c, End: func(why error) { t.Errorf("it ends the session: %v", why) },
		Mounts: &Mounts{
			Paths: func(context.Context) ([]string, error) { return []string{p.Workdir}, nil },
			In:    filepath.Join(p.Dir, "mounts"), Console: c,
		},
	}
	defer l.Mounts.close()
	l.network.doors = new(clusternet.Doors)
	if _, err := l.podEnvironment(t.Context(), client); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the environment is read with %v", err)
	}
	l.learn(t.Context(), client, nil)
	l.Mounts.follow(t.Context(), client)()
	if text := screen.String(); strings.Contains(text, "! ") {
		t.Errorf("it says:\n%s", text)
	}
}

// dialed connects as soon as somebody listens.
func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	for deadline := time.Now().Add(lab.Patience); ; runtime.Gosched() {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// What stands in for a workload is open to other pods, and holds connections while
// the program on the laptop starts.
func TestReverseStandsIn(t *testing.T) {
	p := newPod(t)
	remote, local := freePort(t), freePort(t)
	u := p.session("echo ready; cat")
	u.Reverses = []Reverse{NewReverse("127.0.0.1", manifest.Reverse{Remote: remote, Local: local}).StandIn()}
	u.start()
	u.writes("ready\n")
	for range 2 {
		conn := dialed(t, fmt.Sprintf("127.0.0.2:%d", remote))
		// Not refused: nothing comes at all.
		const moment = 200 * time.Millisecond
		if err := conn.SetReadDeadline(time.Now().Add(moment)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read %d, %v", n, err)
		}
		l, err := net.Listen("tcp", u.Reverses[0].Local)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(lab.Patience)); err != nil {
			t.Fatal(err)
		}
		served, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(served, "here\n")
		if err := conn.SetReadDeadline(time.Now().Add(lab.Patience)); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "here\n" {
			t.Errorf("got %q, %v", line, err)
		}
		_, _, _ = served.Close(), l.Close(), conn.Close()
	}
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
}
