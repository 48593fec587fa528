//go:build linux

package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/test/leak"
)

// fakeRunner is a dev container in this process. Its command lines are the
// names of what it does.
type fakeRunner struct{ dir string }

func (f fakeRunner) Run(ctx context.Context, c Command, s Streams) (Exit, error) {
	switch c.Line {
	case "echo":
		_, err := io.Copy(s.Stdout, s.Stdin)
		return Exit{}, err
	case "wait":
		<-ctx.Done()
		return Exit{}, ctx.Err()
	case "env":
		_, err := io.WriteString(s.Stdout, strings.Join(c.Env, "\n"))
		return Exit{}, err
	case "resize":
		fmt.Fprint(s.Stdout, c.TTY.Size, c.TTY.Modes)
		fmt.Fprint(s.Stdout, <-s.Sizes)
		return Exit{}, nil
	case "signal":
		return Exit{Signal: <-s.Signals, Core: true, Message: "as you said"}, nil
	case "gone":
		return Exit{}, errors.New("the dev container is not running")
	}
	return Exit{Status: 127, Message: c.Line + ": not found"}, nil
}

func (f fakeRunner) Attach(_ context.Context, env []string, client io.ReadWriter) error {
	if _, err := io.WriteString(client, strings.Join(env, " ")+"\n"); err != nil {
		return err
	}
	_, err := io.Copy(client, client)
	return err
}

func (f fakeRunner) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

func (f fakeRunner) ListenUnix(ctx context.Context, path string) (net.Listener, error) {
	if path == "" {
		path = filepath.Join(f.dir, "agent")
	}
	return (&net.ListenConfig{}).Listen(ctx, "unix", path)
}

// serve starts a server that is gone, with all its goroutines, when the test
// ends, and returns a function that connects to it.
func serve(t *testing.T, change func(*Config)) (dial func() *gossh.Client, address string) {
	t.Helper()
	hostKey, _ := newKey(t)
	client, line := newKey(t)
	keys, err := NewAuthorizedKeys([]string{line}, t.TempDir(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		HostKey: hostKey, Authorized: keys.Contains, Runner: fakeRunner{t.TempDir()}, Log: quiet(),
		Subsystems: map[string]Subsystem{
			"echo": func(_ context.Context, ch io.ReadWriteCloser) error { _, err := io.Copy(ch, ch); return err },
			"wait": func(ctx context.Context, _ io.ReadWriteCloser) error { <-ctx.Done(); return nil },
			"fail": func(context.Context, io.ReadWriteCloser) error { return errors.New("for a reason") },
		},
	}
	if change != nil {
		change(&c)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(c).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		leak.Goroutines(t, func(stack string) bool {
			return leak.Runs(stack, "agent/sshd") || strings.Contains(stack, "golang.org/x/crypto/ssh.")
		})
	})
	dial = func() *gossh.Client {
		t.Helper()
		c, err := gossh.Dial("tcp", l.Addr().String(), &gossh.ClientConfig{
			User: "x", Auth: []gossh.AuthMethod{gossh.PublicKeys(client)}, HostKeyCallback: gossh.FixedHostKey(hostKey.PublicKey()),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	return dial, l.Addr().String()
}

// next waits for what a channel brings, and fails the test when it is late.
func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	const patience = 30 * time.Second
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func openSession(t *testing.T, c *gossh.Client) *gossh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCommand(t *testing.T) {
	dial, _ := serve(t, nil)
	c := dial()
	s := openSession(t, c)
	s.Stdin = strings.NewReader("hello")
	if out, err := s.Output("echo"); string(out) != "hello" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	for line, want := range map[string]struct {
		status  int
		message string
	}{"nothing": {127, "nothing: not found\n"}, "gone": {255, "the dev container is not running\n"}} {
		s = openSession(t, c)
		var stderr bytes.Buffer
		s.Stderr = &stderr
		exit, ok := errors.AsType[*gossh.ExitError](s.Run(line))
		if !ok || exit.ExitStatus() != want.status || stderr.String() != want.message {
			t.Errorf("%s: %v, %q", line, exit, stderr.String())
		}
	}
	s = openSession(t, c)
	if err := s.Start("signal"); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal("QUIT"); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*gossh.ExitError](s.Wait()); !ok || exit.Signal() != "QUIT" || exit.Msg() != "as you said" {
		t.Errorf("exit signal: %v", exit)
	}
}

func TestTerminalRequests(t *testing.T) {
	dial, _ := serve(t, nil)
	s := openSession(t, dial())
	if err := s.RequestPty("xterm", 24, 80, gossh.TerminalModes{gossh.ECHO: 0, gossh.VINTR: 3}); err != nil {
		t.Fatal(err)
	}
	// Before and after the start, where only the last counts.
	if err := s.WindowChange(25, 81); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s.Stdout = &out
	if err := s.Start("resize"); err != nil {
		t.Fatal(err)
	}
	if err := s.WindowChange(26, 82); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := "{81 25 648 200} map[1:3 53:0]{82 26 656 208}"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestEnvironmentBounds(t *testing.T) {
	dial, _ := serve(t, nil)
	c := dial()
	s := openSession(t, c)
	accepted := 0
	for i := range maxEnvVariables + 10 {
		if s.Setenv(fmt.Sprintf("LC_%d", i), "x") == nil {
			accepted++
		}
	}
	if accepted != maxEnvVariables {
		t.Errorf("%d variables were accepted", accepted)
	}
	if out, err := s.Output("env"); err != nil || strings.Count(string(out), "\n") != maxEnvVariables-1 {
		t.Errorf("%v, %.100q", err, out)
	}
	s = openSession(t, c)
	if err := s.Setenv("LC_ALL", strings.Repeat("x", maxEnvBytes)); err == nil {
		t.Error("a huge variable was accepted")
	}
}

func TestAcceptEnv(t *testing.T) {
	for name, want := range map[string]bool{
		"LANG": true, "LC_ALL": true, "TERM": true, "COLORTERM": true, "NO_COLOR": true, "TZ": true, "EDITOR": true,
		"GIT_AUTHOR_NAME": true, "OKTETO_X": true,
		"PATH": false, "LD_PRELOAD": false, "HOME": false, "SSH_AUTH_SOCK": false, "lang": false, "": false, "LANGUAGE": false,
		"GIT_A=B": false, "LC_\x00": false,
	} {
		if got := acceptEnv(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestSubsystems(t *testing.T) {
	dial, _ := serve(t, nil)
	c := dial()
	s := openSession(t, c)
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestSubsystem("echo"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "ping"); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if b, err := io.ReadAll(out); string(b) != "ping" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	// Sessions that outlive connections are the dev container's business, all
	// but the environment, which the server sifts.
	s = openSession(t, c)
	for _, name := range []string{"OKTETO_X", "PATH"} {
		_ = s.Setenv(name, "1")
	}
	if in, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if out, err = s.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.RequestSubsystem("session"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "frames"); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if b, err := io.ReadAll(out); string(b) != "OKTETO_X=1\nframes" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	// A failure is told; closing the channel ends a subsystem that waits.
	s = openSession(t, c)
	errOut, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestSubsystem("fail"); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(errOut); string(b) != "for a reason\n" {
		t.Errorf("got %q", b)
	}
	s = openSession(t, c)
	if err := s.RequestSubsystem("wait"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// Whatever clients were doing when they vanish, nothing of it stays.
func TestNothingIsLeft(t *testing.T) {
	counts := make(chan [2]int, 1000)
	dial, _ := serve(t, func(c *Config) {
		c.OnChange = func(clients, sessions int) { counts <- [2]int{clients, sessions} }
	})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dir := t.TempDir()
	for i := range 5 {
		c := dial()
		for range 3 {
			if err := openSession(t, c).Start("wait"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Dial("tcp", silent.Addr().String()); err != nil {
				t.Fatal(err)
			}
		}
		l, err := c.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ListenUnix(filepath.Join(dir, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s := openSession(t, c)
		if ok, err := s.SendRequest("auth-agent-req@openssh.com", true, nil); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := s.Start("wait"); err != nil {
			t.Fatal(err)
		}
		c.Close()
		for next(t, counts) != [2]int{} {
		}
	}
}

// Not even a client that never logs in keeps the server.
func TestEndClosesUnfinishedLogins(t *testing.T) {
	_, address := serve(t, nil)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	// It has been accepted; that it ends with the server is what serve checks.
	if _, err := io.ReadFull(conn, make([]byte, len("SSH-2.0-"))); err != nil {
		t.Error(err)
	}
}

// A forward delivers everything that was sent before either end closed.
func TestForwardDelivers(t *testing.T) {
	dial, _ := serve(t, nil)
	c := dial()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	const size = 4 << 20
	received := make(chan int, 2)
	go func() {
		for range 2 {
			conn, err := target.Accept()
			if err != nil {
				return
			}
			// A slow reader, which has most of it in front of it when the
			// client has closed the channel.
			b, _ := io.ReadAll(conn)
			_, _ = conn.Write(b)
			conn.Close()
			received <- len(b)
		}
	}()
	for _, half := range []bool{false, true} {
		conn, err := c.Dial("tcp", target.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if half {
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(conn); len(b) != size || err != nil {
				t.Errorf("got %d bytes back, %v", len(b), err)
			}
		}
		conn.Close()
		if got := next(t, received); got != size {
			t.Errorf("half-closed %v: %d bytes of %d arrived", half, got, size)
		}
	}
}

// A client whose input has ended may close the channel as soon as it sees the
// end of the output: it must know the exit status by then.
func TestExitStatusComesBeforeTheEnd(t *testing.T) {
	dial, _ := serve(t, nil)
	c := dial()
	for range 200 {
		channel, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := channel.SendRequest("exec", true, gossh.Marshal(struct{ Line string }{"echo"})); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := channel.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, channel); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-requests:
			if r == nil || r.Type != "exit-status" {
				t.Fatalf("got %+v", r)
			}
		default:
			t.Fatal("the output ended, and the exit status is not known")
		}
		channel.Close()
	}
}
