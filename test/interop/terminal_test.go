//go:build linux

package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTerminal(t *testing.T) {
	p := start(t)
	t.Run("is one", func(t *testing.T) {
		c := p.ssh("-tt", "dev", `test -t 0 && test -t 1 && test -t 2 && echo "$TERM $SSH_TTY"; stty size`)
		c.Env = append(os.Environ(), "TERM=xterm-test")
		out, err := c.Output()
		if !regexp.MustCompile(`^xterm-test /dev/pts/\d+\r\n\d+ \d+\r\n$`).Match(out) {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("is the controlling one", func(t *testing.T) {
		if got := p.output("-tt", "dev", `echo yes >/dev/tty`); got != "yes\r\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("exit status", func(t *testing.T) {
		if status, _ := exitStatus(t, p.ssh("-tt", "dev", "exit 7")); status != 7 {
			t.Errorf("status %d, want 7", status)
		}
	})
	t.Run("all of a large output", func(t *testing.T) {
		for range 5 {
			if got := strings.Count(p.output("-tt", "dev", "seq 1 20000"), "\n"); got != 20000 {
				t.Errorf("%d lines of 20000", got)
			}
		}
	})
	t.Run("output that a background process keeps open", func(t *testing.T) {
		if got := p.output("-tt", "dev", "trap '' HUP; sleep 1 & seq 1 3"); got != "1\r\n2\r\n3\r\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("interactive shell", func(t *testing.T) {
		c := p.ssh("-tt", "dev")
		c.Stdin = strings.NewReader("echo $((40+2)) $-\nexit 4\n")
		out, _ := c.Output()
		if c.ProcessState.ExitCode() != 4 || !regexp.MustCompile(`42 \w*i`).Match(out) {
			t.Errorf("status %d, %q", c.ProcessState.ExitCode(), out)
		}
	})
	t.Run("raw bytes are kept", func(t *testing.T) {
		if got := p.output("-tt", "dev", `stty raw; printf 'a\nb\r\nc'`); got != "a\nb\r\nc" {
			t.Errorf("got %q", got)
		}
	})
}

// A real terminal, tmux's: its size and its changes arrive, and so does
// Ctrl-C, for the foreground process alone.
func TestTerminalOfTmux(t *testing.T) {
	need(t, "tmux", "tmux")
	p := start(t)
	socket := p.path("tmux")
	tmux := func(args ...string) string {
		return p.run("tmux", append([]string{"-f", "/dev/null", "-S", socket}, args...)...)
	}
	p.write("login", "#!/bin/sh\nexec ssh -tt -F "+p.path("ssh_config")+" dev\n")
	tmux("new-session", "-d", "-x", "101", "-y", "31", "sh", p.path("login"))
	t.Cleanup(func() { _ = p.command("tmux", "-S", socket, "kill-server").Run() })
	file := func(name string) func() bool {
		return func() bool {
			_, err := os.Stat(filepath.Join(p.work, name))
			return err == nil
		}
	}
	size := func(name string) string {
		tmux("send-keys", fmt.Sprintf("stty size > %s.tmp; mv %s.tmp %s", name, name, name), "Enter")
		eventually(t, name+" is there", file(name))
		b, err := os.ReadFile(filepath.Join(p.work, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := size("before"); got != "31 101\n" {
		t.Errorf("size %q, want 31 101", got)
	}
	// The signal goes to what is in the foreground.
	p.write("resize", "trap 'touch resized; exit' WINCH; touch armed; while :; do sleep 0.05; done\n")
	tmux("send-keys", "sh "+p.path("resize"), "Enter")
	eventually(t, "the trap is set", file("armed"))
	tmux("resize-window", "-x", "77", "-y", "22")
	eventually(t, "SIGWINCH arrives", file("resized"))
	if got := size("after"); got != "22 77\n" {
		t.Errorf("size %q after a resize, want 22 77", got)
	}

	tmux("send-keys", "touch running; sleep 1003; touch interrupted", "Enter")
	eventually(t, "a command runs", func() bool { return p.hasProcess("sleep 1003") })
	tmux("send-keys", "C-c", "")
	eventually(t, "Ctrl-C ends it", func() bool { return !p.hasProcess("sleep 1003") })
	tmux("send-keys", "touch alive", "Enter")
	eventually(t, "the shell is still there", file("alive"))
}

func TestTerminalOfScript(t *testing.T) {
	need(t, "script", "bsdutils")
	p := start(t)
	out := p.run("script", "-qec", "stty rows 33 cols 99; exec ssh -tt -F "+p.path("ssh_config")+" dev stty size", "/dev/null")
	if !bytes.Contains([]byte(out), []byte("33 99\r\n")) {
		t.Errorf("got %q, want the size of script's terminal", out)
	}
}
