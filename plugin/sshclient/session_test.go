package sshclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

func TestRun(t *testing.T) {
	client := newServer(t).client(t)
	tests := map[string]struct {
		cmd            sshclient.Command
		stdout, stderr string
		err            error
	}{
		"success":       {cmd: sshclient.Command{Line: "echo out; echo err >&2"}, stdout: "out\n", stderr: "err\n"},
		"exit code":     {cmd: sshclient.Command{Line: "exit 42"}, err: &sshclient.ExitError{Status: 42}},
		"signal":        {cmd: sshclient.Command{Line: "kill -TERM $$"}, err: &sshclient.ExitError{Status: 143, Signal: "TERM", Message: "terminated"}},
		"stdin":         {cmd: sshclient.Command{Line: "tr a-z A-Z", Stdin: strings.NewReader("hello")}, stdout: "HELLO"},
		"no stdin":      {cmd: sshclient.Command{Line: "cat"}},
		"environment":   {cmd: sshclient.Command{Line: `echo "$GREETING"`, Env: map[string]string{"GREETING": "hello you"}}, stdout: "hello you\n"},
		"shell":         {cmd: sshclient.Command{Stdin: strings.NewReader("echo $0\n")}, stdout: "sh\n"},
		"early end":     {cmd: sshclient.Command{Line: "true", Stdin: strings.NewReader(strings.Repeat("x", 8<<20))}},
		"never input":   {cmd: sshclient.Command{Line: "echo done", Stdin: neverReader(t)}, stdout: "done\n"},
		"quoted":        {cmd: sshclient.Command{Line: sshclient.Quote([]string{"printf", "%s|", "a b", "$HOME", "it's", ""})}, stdout: "a b|$HOME|it's||"},
		"terminal":      {cmd: sshclient.Command{Line: "stty size; echo $TERM", TTY: &sshclient.TTY{Term: "xterm-okteto", Width: 91, Height: 17}}, stdout: "17 91\r\nxterm-okteto\r\n"},
		"not forwarded": {cmd: sshclient.Command{Line: "echo $SSH_AUTH_SOCK", ForwardAgent: true}, stdout: os.Getenv("SSH_AUTH_SOCK") + "\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			test.cmd.Stdout, test.cmd.Stderr = &stdout, &stderr
			err := client.Run(bounded(t), test.cmd)
			if diff := cmp.Diff(test.err, err); diff != "" {
				t.Errorf("Run fails otherwise (-want +got):\n%s", diff)
			}
			if got := stdout.String(); got != test.stdout {
				t.Errorf("stdout is %q, want %q", got, test.stdout)
			}
			if got := stderr.String(); got != test.stderr {
				t.Errorf("stderr is %q, want %q", got, test.stderr)
			}
		})
	}
}

// neverReader returns an input that stays silent until the test ends.
func neverReader(t *testing.T) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	return r
}

// bounded returns a context for commands that only end if all goes well.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// signalWriter closes a channel once something is written that contains text.
type signalWriter struct {
	text string
	seen bytes.Buffer
	done chan struct{}
}

func newSignalWriter(text string) *signalWriter {
	return &signalWriter{text: text, done: make(chan struct{})}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	before := strings.Contains(w.seen.String(), w.text)
	w.seen.Write(p)
	if !before && strings.Contains(w.seen.String(), w.text) {
		close(w.done)
	}
	return len(p), nil
}

func TestResize(t *testing.T) {
	client := newServer(t).client(t)
	resize := make(chan sshclient.Size)
	stdout := newSignalWriter("ready")
	go func() {
		<-stdout.done
		resize <- sshclient.Size{Width: 132, Height: 43}
	}()
	err := client.Run(bounded(t), sshclient.Command{
		Line:   `trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done`,
		TTY:    &sshclient.TTY{Term: "xterm", Width: 80, Height: 24, Resize: resize},
		Stdout: stdout,
	})
	if err != nil || !strings.Contains(stdout.seen.String(), "43 132") {
		t.Errorf("output %q, error %v", stdout.seen.String(), err)
	}
}

// TestCancelRun expects SIGTERM first.
func TestCancelRun(t *testing.T) {
	client := newServer(t).client(t)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(bounded(t))
	stdout := newSignalWriter("ready")
	go func() {
		<-stdout.done
		cancel(why)
	}()
	err := client.Run(ctx, sshclient.Command{
		Line:   `trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.01; done`,
		Stdout: stdout,
		Stdin:  neverReader(t),
	})
	if !errors.Is(err, why) || !strings.Contains(stdout.seen.String(), "told") {
		t.Errorf("output %q, error %v", stdout.seen.String(), err)
	}
}

func TestLostRun(t *testing.T) {
	s := newServer(t)
	proxy := newProxy(t, s.addr)
	client := s.clientAt(t, proxy.Addr(), s.config())
	stdout := newSignalWriter("ready")
	go func() {
		<-stdout.done
		proxy.Cut()
	}()
	err := client.Run(bounded(t), sshclient.Command{Line: "echo ready; cat", Stdout: stdout, Stdin: neverReader(t)})
	if !errors.Is(err, sshclient.ErrConnectionLost) {
		t.Errorf("Run fails with %v", err)
	}
}

// TestClosedOutput expects a command to end when nobody reads what it writes.
func TestClosedOutput(t *testing.T) {
	client := newServer(t).client(t)
	r, w := io.Pipe()
	_ = r.Close()
	err := client.Run(bounded(t), sshclient.Command{Line: "yes", Stdout: w})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Run fails with %v", err)
	}
}

// TestInput runs commands one after the other with the same input: each takes
// only what comes while it runs.
func TestInput(t *testing.T) {
	client := newServer(t).client(t)
	r, typing := io.Pipe()
	input := sshclient.NewInput(r)
	for _, word := range []string{"one", "two", "three"} {
		stdout := newSignalWriter("ready")
		go func() {
			<-stdout.done
			_, _ = typing.Write([]byte(word + "\n"))
		}()
		if err := client.Run(bounded(t), sshclient.Command{Line: "echo ready; head -n 1", Stdin: input, Stdout: stdout}); err != nil {
			t.Fatal(err)
		}
		if got, want := stdout.seen.String(), "ready\n"+word+"\n"; got != want {
			t.Errorf("output %q, want %q", got, want)
		}
	}
	go func() {
		_, _ = typing.Write([]byte("rest"))
		_ = typing.Close()
	}()
	if got, err := io.ReadAll(input); string(got) != "rest" || err != nil {
		t.Errorf("the rest of the input is %q, error %v", got, err)
	}
}

func TestParallelRuns(t *testing.T) {
	client := newServer(t).client(t)
	const runs = 20
	errs := make(chan error)
	for range runs {
		go func() {
			errs <- client.Run(t.Context(), sshclient.Command{Line: "cat >/dev/null; exit 7", Stdin: strings.NewReader(strings.Repeat("x", 1<<16))})
		}()
	}
	for range runs {
		var exit *sshclient.ExitError
		if err := <-errs; !errors.As(err, &exit) || exit.Status != 7 {
			t.Errorf("Run fails with %v", err)
		}
	}
}

func TestAgentForwarding(t *testing.T) {
	if _, err := exec.LookPath("ssh-add"); err != nil {
		t.Skip("needs ssh-add of openssh-client, which make test installs")
	}
	s := newServer(t)
	cfg := s.config()
	cfg.AgentSocket = keyring(t)
	client := s.clientAt(t, s.addr, cfg)
	var stdout bytes.Buffer
	for range 2 {
		stdout.Reset()
		if err := client.Run(t.Context(), sshclient.Command{Line: "ssh-add -l", Stdout: &stdout, ForwardAgent: true}); err != nil {
			t.Fatalf("%v: %s", err, stdout.String())
		}
		if !strings.Contains(stdout.String(), "from the laptop") {
			t.Errorf("ssh-add prints %q", stdout.String())
		}
	}
}

func TestTerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Close() }()
	defer func() { _ = slave.Close() }()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 33, Cols: 77}); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if _, ok := sshclient.OpenTerminal(slave, null); ok {
		t.Error("/dev/null is a terminal")
	}
	terminal, ok := sshclient.OpenTerminal(slave, slave)
	if !ok {
		t.Fatal("a pty is no terminal")
	}
	if err := terminal.MakeRaw(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := terminal.Restore(); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	tty := terminal.TTY(ctx, "xterm")
	if tty.Width != 77 || tty.Height != 33 || tty.Term != "xterm" {
		t.Errorf("TTY is %+v", tty)
	}
	cancel()
	if _, more := <-tty.Resize; more {
		t.Error("the size has changed")
	}
}

// TestQuote has a real shell read back what was quoted.
func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		argv := rapid.SliceOfN(rapid.StringMatching(`[\x01-\x7fäß€]{0,12}`), 1, 5).Draw(t, "argv")
		out, err := exec.Command("sh", "-c", `printf '%s\0' `+sshclient.Quote(argv)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(out), strings.Join(argv, "\x00")+"\x00"; got != want {
			t.Fatalf("the shell reads %q, want %q", got, want)
		}
	})
	if got := sshclient.Quote([]string{"go", "run", "./cmd/api", "--port=8080"}); got != "go run ./cmd/api --port=8080" {
		t.Errorf("plain words are quoted: %s", got)
	}
}
