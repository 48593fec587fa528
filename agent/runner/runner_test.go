//go:build linux

package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
	"github.com/kubectl-okteto/kubectl-okteto/test/leak"
)

// The tests of this file run a runner in this process. It reaps every child of
// the process, so that no test may start one in any other way.

func netPipe(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// shortDir is a temporary folder whose path leaves room for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ok")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a runner until the test ends, when nothing of it may be left.
func start(t *testing.T) (*Client, string) {
	t.Helper()
	dir := shortDir(t)
	return startIn(t, dir, dir), dir
}

// startIn starts a runner with its socket in dir and another working directory.
func startIn(t *testing.T, dir, workdir string) *Client {
	t.Helper()
	return startWith(t, Config{Dir: dir, Workdir: workdir})
}

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// startWith starts a runner with what a test has to say about it.
func startWith(t *testing.T, config Config) *Client {
	t.Helper()
	config.Exe, config.Version = "/bin/true", "1.2.3"
	config.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + config.Dir}
	config.StopGrace, config.HangUpGrace = time.Second, 100*time.Millisecond
	config.Log = quietLog()
	r := New(config)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the runner ended with %v", err)
		}
		leak.Goroutines(t, func(stack string) bool { return leak.Runs(stack, "agent/runner") })
	})
	return &Client{Dir: config.Dir, Wait: 10 * time.Second}
}

// bounded returns a context for what only ends if all goes well.
func bounded(t *testing.T) context.Context {
	t.Helper()
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// run runs a command line and returns its output.
func run(t *testing.T, c *Client, s Start, stdin io.Reader) (Exit, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	exit, err := c.Run(bounded(t), s, Streams{Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		t.Fatalf("%q: %v", s.Line, err)
	}
	return exit, stdout.String(), stderr.String()
}

func TestHello(t *testing.T) {
	c, dir := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var got Hello
	err := c.Watch(ctx, func(h Hello) { got = h; cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	want := Hello{
		Protocol: ProtocolVersion, Version: "1.2.3", UID: os.Getuid(), GID: os.Getgid(), PID: os.Getpid(),
		Workdir: dir, Home: dir, Shell: "/bin/bash",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Hello{}, "Started")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRun(t *testing.T) {
	c, dir := start(t)
	for _, test := range []struct {
		line           string
		exit           Exit
		stdout, stderr string
	}{
		{"true", Exit{}, "", ""},
		{"exit 42", Exit{Status: 42}, "", ""},
		{"pwd; echo err >&2", Exit{}, dir + "\n", "err\n"},
		{"kill -TERM $$", Exit{Status: 143, Signal: "TERM"}, "", ""},
		{"kill -KILL $$", Exit{Status: 137, Signal: "KILL"}, "", ""},
		{"exec /no/such/file", Exit{Status: 127}, "", "bash: line 1: /no/such/file: No such file or directory\n"},
		{"(sleep 0.05; echo late) & echo first", Exit{}, "first\nlate\n", ""},
	} {
		exit, stdout, stderr := run(t, c, Start{Line: test.line}, strings.NewReader(""))
		if exit != test.exit || stdout != test.stdout || stderr != test.stderr {
			t.Errorf("%q: %+v, %q, %q", test.line, exit, stdout, stderr)
		}
	}
}

func TestLargeStreams(t *testing.T) {
	c, _ := start(t)
	sent := bytes.Repeat([]byte("0123456789"), 1<<20)
	exit, got, _ := run(t, c, Start{Line: "cat"}, bytes.NewReader(sent))
	if exit != (Exit{}) || got != string(sent) {
		t.Errorf("%+v, %d bytes of %d", exit, len(got), len(sent))
	}
	// Input that nobody reads keeps nobody.
	if exit, _, _ = run(t, c, Start{Line: "exit 5"}, endless{}); exit.Status != 5 {
		t.Errorf("%+v", exit)
	}
	if exit, _, _ = run(t, c, Start{Line: "exec <&-; exit 6"}, endless{}); exit.Status != 6 {
		t.Errorf("%+v", exit)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A signal overtakes any amount of unread input.
func TestSignal(t *testing.T) {
	c, _ := start(t)
	signals := make(chan string, 1)
	ready := writerFunc(func(p []byte) (int, error) { signals <- "USR1"; return len(p), nil })
	exit, err := c.Run(bounded(t), Start{Line: "trap 'exit 12' USR1; echo ready; while :; do sleep 0.01; done"},
		Streams{Stdin: endless{}, Stdout: ready, Stderr: io.Discard, Signals: signals})
	if err != nil || exit != (Exit{Status: 12}) {
		t.Errorf("%+v, %v", exit, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTerminal(t *testing.T) {
	c, _ := start(t)
	tty := &TTY{Term: "vt100", Size: Size{Cols: 81, Rows: 25}}
	exit, out, _ := run(t, c, Start{Line: `echo "$TERM"; stty size; stty -a | grep -o -- '[-]*echo ' `, TTY: tty}, strings.NewReader(""))
	if want := "vt100\r\n25 81\r\necho \r\n"; exit != (Exit{}) || out != want {
		t.Errorf("%+v, %q, want %q", exit, out, want)
	}
	// RFC 4254, section 8: ECHO and ONLCR off, VINTR is ^A, VEOF is none.
	tty.Modes = map[uint8]uint32{53: 0, 72: 0, 1: 1, 5: 255, 42: 1, 128: 9600, 200: 1}
	_, out, _ = run(t, c, Start{Line: `stty -a`, TTY: tty}, strings.NewReader(""))
	for _, want := range []string{" -echo ", " -onlcr", "intr = ^A;", "eof = <undef>;", " iutf8"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// TestClosedWorkdir runs commands of a user who may not enter the image's
// working directory: they start where the runtime started the runner.
func TestClosedWorkdir(t *testing.T) {
	dir := shortDir(t)
	c := startIn(t, dir, filepath.Join(dir, "closed"))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if exit, out, said := run(t, c, Start{Line: "pwd"}, strings.NewReader("")); out != here+"\n" {
		t.Errorf("%+v, in %q, want %q: %s", exit, out, here, said)
	}
}

func TestTerminalResize(t *testing.T) {
	c, _ := start(t)
	sizes := make(chan Size, 1)
	var out bytes.Buffer
	write := writerFunc(func(p []byte) (int, error) {
		if out.Len() == 0 {
			sizes <- Size{Cols: 33, Rows: 44}
		}
		return out.Write(p)
	})
	line := `trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done`
	exit, err := c.Run(bounded(t), Start{Line: line, TTY: &TTY{Term: "x", Size: Size{Cols: 1, Rows: 1}}},
		Streams{Stdin: strings.NewReader(""), Stdout: write, Stderr: io.Discard, Sizes: sizes})
	if want := "ready\r\n44 33\r\n"; err != nil || exit != (Exit{}) || out.String() != want {
		t.Errorf("%+v, %v, %q, want %q", exit, err, out.String(), want)
	}
}

// A client that goes away takes the process group with it, even one that does
// not want to hear of it.
func TestHangUp(t *testing.T) {
	c, dir := start(t)
	for _, tty := range []*TTY{nil, {Term: "x"}} {
		ctx, cancel := context.WithCancel(bounded(t))
		pid := filepath.Join(dir, "pid")
		line := fmt.Sprintf("trap '' HUP TERM; (trap '' HUP TERM; while :; do sleep 0.1; done) & echo $! >%s.tmp; mv %[1]s.tmp %[1]s; echo ready; wait", pid)
		ready := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
		_, err := c.Run(ctx, Start{Line: line, TTY: tty}, Streams{Stdin: strings.NewReader(""), Stdout: ready, Stderr: io.Discard})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("tty %v: %v", tty != nil, err)
		}
		b, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		gone(t, filepath.Join("/proc", strings.TrimSpace(string(b))))
	}
}

// A shell that reads its commands from a client that goes away ends by itself, and
// leaves what it has put into the background alone: IDEs start their servers so.
func TestHangUpSparesBackground(t *testing.T) {
	c, dir := start(t)
	r, w := io.Pipe()
	defer w.Close()
	go func() {
		_, _ = io.WriteString(w, "sleep 1000 </dev/null >/dev/null 2>&1 &\necho $! >server; echo $$ >shell; echo ready\n")
	}()
	ctx, cancel := context.WithCancel(bounded(t))
	ready := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if _, err := c.Run(ctx, Start{}, Streams{Stdin: r, Stdout: ready, Stderr: io.Discard}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	shell, err := os.ReadFile(filepath.Join(dir, "shell"))
	if err != nil {
		t.Fatal(err)
	}
	gone(t, filepath.Join("/proc", strings.TrimSpace(string(shell))))
	if exit, _, _ := run(t, c, Start{Line: "kill $(cat server)"}, strings.NewReader("")); exit != (Exit{}) {
		t.Errorf("the server is gone: %+v", exit)
	}
}

func gone(t *testing.T, file string) {
	t.Helper()
	until(t, func() bool {
		_, err := os.Lstat(file)
		return errors.Is(err, os.ErrNotExist)
	})
}

// until awaits what has no event.
func until(t *testing.T, condition func() bool) {
	t.Helper()
	for range 30_000 {
		if condition() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it never came")
}

func TestSockets(t *testing.T) {
	c, dir := start(t)
	for _, path := range []string{"", filepath.Join(dir, "a.sock"), "relative.sock"} {
		l, err := c.ListenUnix(t.Context(), path)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		address := l.Addr().String()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.Copy(conn, conn)
				conn.Close()
			}
		}()
		if _, err := c.ListenUnix(t.Context(), address); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%q: a second listener: %v", path, err)
		}
		conn, err := c.DialUnix(t.Context(), address)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Error(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Error(err)
		}
		if b, err := io.ReadAll(conn); string(b) != "hello" || err != nil {
			t.Errorf("%q: %q, %v", path, b, err)
		}
		conn.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		gone(t, address)
	}
	if _, err := c.DialUnix(t.Context(), "/no/such.sock"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no socket: %v", err)
	}
	gone(t, filepath.Join(dir, "ssh-0"))
	if left, _ := filepath.Glob(filepath.Join(dir, "ssh-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// What a killed process left is replaced, what another one uses is not.
func TestListenReplacesStaleSockets(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(path, 0o666); err == nil {
		t.Error("a socket in use was replaced")
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	l, err := listenUnix(path, 0o666)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode: %v, %v", info, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(file, 0o666); err == nil {
		t.Error("a file was replaced")
	}
}

func TestNoRunner(t *testing.T) {
	c := &Client{Dir: t.TempDir(), Wait: time.Millisecond}
	_, err := c.Run(t.Context(), Start{Line: "true"}, Streams{})
	if err == nil || !strings.Contains(err.Error(), "it is not running") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.DialUnix(ctx, "/x"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait: %v", err)
	}
}

// Whoever breaks the protocol loses the connection, and nobody else does.
// TestRunnerGoneAtAnyMoment has a runner end before its hello, before it has
// read what to start, and while that runs.
func TestRunnerGoneAtAnyMoment(t *testing.T) {
	hello, err := message(FrameHello, Hello{Protocol: ProtocolVersion})
	if err != nil {
		t.Fatal(err)
	}
	for name, serve := range map[string]func(net.Conn){
		"before the hello": func(net.Conn) {},
		"in the hello":     func(c net.Conn) { c.Write(hello[:7]) },
		"before the start": func(c net.Conn) {
			c.Write(hello)
			c.Read(make([]byte, 1)) // the client is writing more than a socket holds
		},
		"after the start": func(c net.Conn) { c.Write(hello); readFrame(c) },
		"in the output":   func(c net.Conn) { c.Write(hello); readFrame(c); c.Write(frame.New(FrameStdout, []byte("output"))[:7]) },
	} {
		c := &Client{Dir: shortDir(t)}
		l, err := net.Listen("unix", filepath.Join(c.Dir, SocketName))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}()
		start := Start{Line: "true", Env: []string{"LONG=" + strings.Repeat("x", MaxPayload-1000)}}
		if _, err := c.Run(t.Context(), start, Streams{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}); !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
		l.Close()
	}
}

func TestBadClients(t *testing.T) {
	c, dir := start(t)
	for name, stream := range map[string][]byte{
		"garbage":      []byte("GET / HTTP/1.1\r\n\r\n"),
		"unknown type": frame.New[FrameType](99, nil),
		"not JSON":     frame.New(FrameStart, []byte("{")),
		"data first":   frame.New(FrameStdin, []byte("x")),
		"huge":         {byte(FrameStart), 0xff, 0xff, 0xff, 0xff},
		"half a frame": {byte(FrameStart), 0},
		"beyond the window": append(frame.New(FrameStart, []byte(`{"line":"sleep 5"}`)),
			bytes.Repeat(frame.New(FrameStdin, make([]byte, MaxData)), 2*StdinWindow/MaxData+8)...),
		"unknown in a session": append(frame.New(FrameStart, []byte(`{"line":"sleep 5"}`)), frame.New(FrameHello, nil)...),
	} {
		conn, _, err := c.dial(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		deadline, _ := bounded(t).Deadline()
		if err := conn.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(stream)
		_ = conn.CloseWrite()
		if _, err := io.Copy(io.Discard, conn); ignoreClosed(err) != nil {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
	if _, out, _ := run(t, c, Start{Line: "echo fine"}, strings.NewReader("")); out != "fine\n" {
		t.Errorf("afterwards: %q", out)
	}
	if _, err := os.Stat(filepath.Join(dir, SocketName)); err != nil {
		t.Error(err)
	}
}

// The socket gives no process of another user the rights of the runner's.
func TestOtherUsersAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else: run it as root")
	}
	c, dir := start(t)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	run(t, c, Start{Line: "true"}, strings.NewReader("")) // it is there now
	refused := make(chan error)
	go func() {
		// The thread that becomes somebody else ends with the goroutine,
		// because that never unlocks it.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			refused <- errno
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30})
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, SocketName)})
		}
		if err == nil {
			var n int
			if n, err = unix.Read(fd, make([]byte, 1)); err == nil && n > 0 {
				err = errors.New("another user was greeted")
			}
		}
		unix.Close(fd)
		refused <- ignoreClosed(err)
	}()
	if err := <-refused; err != nil {
		t.Error(err)
	}
	if _, out, _ := run(t, c, Start{Line: "echo fine"}, strings.NewReader("")); out != "fine\n" {
		t.Errorf("afterwards: %q", out)
	}
}

// A process that left its session and keeps its output open does not keep the
// container.
func TestStopWithHeldOutput(t *testing.T) {
	pids, done := make(chan string, 1), make(chan struct{})
	t.Cleanup(func() {
		// By now the runner has ended, which never waits for this one.
		<-done
		select {
		case text := <-pids:
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			_ = unix.Kill(pid, unix.SIGKILL)
		default:
		}
	})
	c, _ := start(t)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		stdout := writerFunc(func(p []byte) (int, error) {
			pids <- string(p)
			close(ready)
			return len(p), nil
		})
		_, err := c.Run(context.Background(), Start{Line: `setsid sh -c 'trap "" TERM HUP; echo $$; exec sleep 60' & wait`},
			Streams{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: io.Discard})
		ended <- err
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the command did not start: %v", err)
	}
}
