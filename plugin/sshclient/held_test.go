//go:build linux

package sshclient_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
	"github.com/kubectl-okteto/kubectl-okteto/test/localpod"
)

// newHeld returns a command none of whose output may be lost.
func newHeld(t *testing.T, cmd sshclient.Command) *sshclient.Held {
	t.Helper()
	return sshclient.NewHeld(cmd, "", func(n int64) { t.Errorf("%d bytes of output are said to be lost", n) })
}

// runHeld runs a command to its end over one connection.
func runHeld(t *testing.T, client *sshclient.Client, cmd sshclient.Command, tty *sshclient.TTY) error {
	t.Helper()
	return newHeld(t, cmd).Attach(bounded(t), client, tty)
}

// neverReader returns an input that stays silent until the test ends.
func neverReader(t *testing.T) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	return r
}

// appears awaits a text in what a command writes.
func appears(t *testing.T, out *lab.Transcript, text string) {
	t.Helper()
	if err := out.Await(t.Context(), text); err != nil {
		t.Error(err)
	}
}

func TestHeld(t *testing.T) {
	_, client := connected(t)
	tests := map[string]struct {
		cmd            sshclient.Command
		tty            *sshclient.TTY
		stdout, stderr string
		err            error
	}{
		"success":       {cmd: sshclient.Command{Line: "echo out; echo err >&2"}, stdout: "out\n", stderr: "err\n"},
		"exit code":     {cmd: sshclient.Command{Line: "exit 42"}, err: &sshclient.ExitError{Status: 42}},
		"signal":        {cmd: sshclient.Command{Line: "kill -TERM $$"}, err: &sshclient.ExitError{Status: 143, Signal: "TERM"}},
		"stdin":         {cmd: sshclient.Command{Line: "tr a-z A-Z", Stdin: strings.NewReader("hello")}, stdout: "HELLO"},
		"no stdin":      {cmd: sshclient.Command{Line: "cat"}},
		"environment":   {cmd: sshclient.Command{Line: `echo "$OKTETO_GREETING"`, Env: map[string]string{"OKTETO_GREETING": "hello you"}}, stdout: "hello you\n"},
		"shell":         {cmd: sshclient.Command{Stdin: strings.NewReader("echo $((40+2))\n")}, stdout: "42\n"},
		"early end":     {cmd: sshclient.Command{Line: "true", Stdin: strings.NewReader(strings.Repeat("x", 8<<20))}},
		"never input":   {cmd: sshclient.Command{Line: "echo done", Stdin: neverReader(t)}, stdout: "done\n"},
		"quoted":        {cmd: sshclient.Command{Line: sshclient.Quote([]string{"printf", "%s|", "a b", "$HOME", "it's", ""})}, stdout: "a b|$HOME|it's||"},
		"not forwarded": {cmd: sshclient.Command{Line: "echo $SSH_AUTH_SOCK", ForwardAgent: true}, stdout: os.Getenv("SSH_AUTH_SOCK") + "\n"},
		"terminal": {
			cmd: sshclient.Command{Line: "stty size; echo $TERM"}, tty: &sshclient.TTY{Term: "xterm-okteto", Width: 91, Height: 17},
			stdout: "17 91\r\nxterm-okteto\r\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			test.cmd.Stdout, test.cmd.Stderr = &stdout, &stderr
			err := runHeld(t, client, test.cmd, test.tty)
			if diff := cmp.Diff(test.err, err); diff != "" {
				t.Errorf("Attach fails otherwise (-want +got):\n%s", diff)
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

func TestResize(t *testing.T) {
	_, client := connected(t)
	resize := make(chan sshclient.Size)
	stdout := lab.NewTranscript()
	go func() {
		appears(t, stdout, "ready")
		resize <- sshclient.Size{Width: 132, Height: 43}
	}()
	err := runHeld(t, client, sshclient.Command{
		Line:   `trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done`,
		Stdout: stdout,
	}, &sshclient.TTY{Term: "xterm", Width: 80, Height: 24, Resize: resize})
	if err != nil || !strings.Contains(stdout.String(), "43 132") {
		t.Errorf("output %q, error %v", stdout, err)
	}
}

// TestCancelHeld expects SIGTERM first.
func TestCancelHeld(t *testing.T) {
	_, client := connected(t)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(bounded(t))
	stdout := lab.NewTranscript()
	go func() {
		appears(t, stdout, "ready")
		cancel(why)
	}()
	err := newHeld(t, sshclient.Command{
		Line:   `trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.01; done`,
		Stdout: stdout,
		Stdin:  neverReader(t),
	}).Attach(ctx, client, nil)
	if !errors.Is(err, why) || !strings.Contains(stdout.String(), "told") {
		t.Errorf("output %q, error %v", stdout, err)
	}
}

// TestHeldOutlivesConnection goes on with a command over another connection.
func TestHeldOutlivesConnection(t *testing.T) {
	p, client := connected(t)
	r, typing := io.Pipe()
	stdout := lab.NewTranscript()
	held := newHeld(t, sshclient.Command{Line: "echo ready; cat", Stdout: stdout, Stdin: r})
	go func() {
		appears(t, stdout, "ready\n")
		p.Proxy.Cut()
	}()
	if err := held.Attach(bounded(t), client, nil); !errors.Is(err, sshclient.ErrConnectionLost) || held.Over() {
		t.Fatalf("Attach fails with %v, over: %t", err, held.Over())
	}
	go func() {
		_, _ = io.WriteString(typing, "typed later")
		_ = typing.Close()
	}()
	if err := held.Attach(bounded(t), logIn(t, p, podConfig(p)), nil); err != nil {
		t.Error(err)
	}
	if got := stdout.String(); got != "ready\ntyped later" || !held.Over() {
		t.Errorf("output %q, over: %t", got, held.Over())
	}
}

// TestHeldOfRestartedContainer comes back to a container that knows nothing of
// the command.
func TestHeldOfRestartedContainer(t *testing.T) {
	p, client := connected(t)
	stdout := lab.NewTranscript()
	held := newHeld(t, sshclient.Command{Line: "echo ready; cat", Stdout: stdout, Stdin: neverReader(t)})
	go func() {
		appears(t, stdout, "ready")
		p.Proxy.Cut()
	}()
	if err := held.Attach(bounded(t), client, nil); !errors.Is(err, sshclient.ErrConnectionLost) {
		t.Fatal(err)
	}
	p.StopRunner()
	p.StartRunner()
	if err := held.Attach(bounded(t), logIn(t, p, podConfig(p)), nil); !errors.Is(err, sshclient.ErrGone) || !held.Over() {
		t.Errorf("Attach fails with %v, over: %t", err, held.Over())
	}
}

// TestJoin has two clients of one command: the second finds it in the list, sees
// its output from the start, types into it, and leaves without ending it.
func TestJoin(t *testing.T) {
	_, client := connected(t)
	first, second := lab.NewTranscript(), lab.NewTranscript()
	ended := make(chan error, 1)
	held := newHeld(t, sshclient.Command{Line: "echo ready; head -n 1; head -n 1 >/dev/null", Stdout: first, Stdin: neverReader(t)})
	ctx := bounded(t)
	go func() { ended <- held.Attach(ctx, client, nil) }()
	appears(t, first, "ready")
	sessions, err := client.Sessions(t.Context())
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%v, %v", sessions, err)
	}
	join := func(ctx context.Context, stdin string) error {
		cmd := sshclient.Command{Stdin: io.MultiReader(strings.NewReader(stdin), neverReader(t)), Stdout: second}
		return sshclient.Join(sessions[0].Session.Session, cmd, func(int64) {}).Attach(ctx, client, nil)
	}
	ctx, leave := context.WithCancel(bounded(t))
	go func() {
		appears(t, second, "ready\nhello\n")
		leave()
	}()
	if err := join(ctx, "hello\n"); !errors.Is(err, context.Canceled) {
		t.Errorf("Attach fails with %v", err)
	}
	if err := join(bounded(t), "the last\n"); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil || first.String() != "ready\nhello\n" {
		t.Errorf("output %q, error %v", first, err)
	}
}

// TestClosedOutput expects a command to end when nobody reads what it writes.
func TestClosedOutput(t *testing.T) {
	_, client := connected(t)
	r, w := io.Pipe()
	_ = r.Close()
	err := runHeld(t, client, sshclient.Command{Line: "yes", Stdout: w}, nil)
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Attach fails with %v", err)
	}
	for ctx := bounded(t); ; {
		sessions, err := client.Sessions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(sessions) == 0 {
			return
		}
	}
}

// TestInput runs commands one after the other with the same input: each takes
// only what comes while it runs.
func TestInput(t *testing.T) {
	_, client := connected(t)
	r, typing := io.Pipe()
	input := sshclient.NewInput(r)
	if input.Used(time.Hour) {
		t.Error("the input is used before anything was typed")
	}
	for _, word := range []string{"one", "two", "three"} {
		stdout := lab.NewTranscript()
		go func() {
			appears(t, stdout, "ready")
			_, _ = typing.Write([]byte(word + "\n"))
		}()
		if err := runHeld(t, client, sshclient.Command{Line: "echo ready; head -n 1", Stdin: input, Stdout: stdout}, nil); err != nil {
			t.Fatal(err)
		}
		if got, want := stdout.String(), "ready\n"+word+"\n"; got != want {
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
	if !input.Used(time.Hour) || input.Used(0) {
		t.Error("the input was read a moment ago")
	}
}

func TestParallelCommands(t *testing.T) {
	_, client := connected(t)
	const commands = 20
	errs := make(chan error)
	for range commands {
		held := newHeld(t, sshclient.Command{Line: "cat >/dev/null; exit 7", Stdin: strings.NewReader(strings.Repeat("x", 1<<16))})
		go func() { errs <- held.Attach(t.Context(), client, nil) }()
	}
	for range commands {
		var exit *sshclient.ExitError
		if err := <-errs; !errors.As(err, &exit) || exit.Status != 7 {
			t.Errorf("Attach fails with %v", err)
		}
	}
}

// keyring serves an ssh-agent with one key on a unix socket.
func keyring(t *testing.T) (socket string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: &private, Comment: "from the laptop"}); err != nil {
		t.Fatal(err)
	}
	l := listen(t, "unix", t.TempDir()+"/agent")
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keys, conn) }()
		}
	}()
	return l.Addr().String()
}

func TestAgentForwarding(t *testing.T) {
	if _, err := exec.LookPath("ssh-add"); err != nil {
		t.Skip("needs ssh-add of openssh-client, which make test installs")
	}
	p := localpod.Start(t)
	cfg := podConfig(p)
	cfg.AgentSocket = keyring(t)
	client := logIn(t, p, cfg)
	var stdout bytes.Buffer
	for range 2 {
		stdout.Reset()
		if err := runHeld(t, client, sshclient.Command{Line: "ssh-add -l", Stdout: &stdout, ForwardAgent: true}, nil); err != nil {
			t.Fatalf("%v: %s", err, stdout.String())
		}
		if !strings.Contains(stdout.String(), "from the laptop") {
			t.Errorf("ssh-add prints %q", stdout.String())
		}
	}
}
