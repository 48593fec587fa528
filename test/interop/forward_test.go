//go:build linux

package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// echo serves connections that answer with what they got, upper case, after
// the client has half-closed.
func echo(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				_, _ = io.WriteString(c, strings.ToUpper(string(b)))
			}()
		}
	}()
	return l
}

// ask sends a question, half-closes, and returns all of the answer.
func ask(t *testing.T, network, address, question string) (string, error) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(lab.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, question); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// mustAsk asks as soon as the other side listens.
func mustAsk(t *testing.T, network, address string) {
	t.Helper()
	question := strings.Repeat("forward me ", 50_000)
	eventually(t, address+" listens", func() bool {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	got, err := ask(t, network, address, question)
	if err != nil || got != strings.ToUpper(question) {
		t.Errorf("%s %s: %d bytes of %d, %v", network, address, len(got), len(question), err)
	}
}

// background starts a client that stays until the test ends.
func (p *pod) background(args ...string) {
	p.t.Helper()
	c := p.ssh(append([]string{"-N", "-o", "ExitOnForwardFailure=yes"}, args...)...)
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if p.t.Failed() {
			p.t.Logf("%s:\n%s", c, c.Stderr)
		}
	})
}

func TestLocalForward(t *testing.T) {
	p := start(t)
	target := echo(t, "tcp", "127.0.0.1:0")
	echo(t, "unix", filepath.Join(p.work, "service.sock"))
	port, here := freePort(t), p.path("here.sock")
	p.background(
		"-L", fmt.Sprintf("%d:localhost:%d", port, target.Addr().(*net.TCPAddr).Port),
		"-L", here+":"+filepath.Join(p.work, "service.sock"),
		"dev")
	mustAsk(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	mustAsk(t, "unix", here)
}

func TestLocalForwardRefused(t *testing.T) {
	p := start(t)
	c := p.ssh("-o", "LogLevel=INFO", "-W", fmt.Sprintf("127.0.0.1:%d", freePort(t)), "dev")
	if status, stderr := exitStatus(t, c); status != 255 || !strings.Contains(stderr, "connection refused") {
		t.Errorf("status %d, %q", status, stderr)
	}
}

func TestRemoteForward(t *testing.T) {
	p := start(t)
	target := echo(t, "tcp", "127.0.0.1:0")
	echo(t, "unix", p.path("laptop.sock"))
	port, there := freePort(t), filepath.Join(p.work, "there.sock")
	p.background(
		"-R", fmt.Sprintf("%d:%s", port, target.Addr()),
		"-R", there+":"+p.path("laptop.sock"),
		"dev")
	mustAsk(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	mustAsk(t, "unix", there)
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		mustAsk(t, "tcp", fmt.Sprintf("[::1]:%d", port))
	}
}

// A master connection: port 0 is any port, forwards can be cancelled and made
// again, and what listened is gone with the connection.
func TestMultiplexing(t *testing.T) {
	p := start(t)
	target := echo(t, "tcp", "127.0.0.1:0")
	echo(t, "unix", p.path("laptop.sock"))
	there := filepath.Join(p.work, "there.sock")
	control := func(args ...string) string {
		t.Helper()
		return p.output(append([]string{"-o", "ControlPath=" + p.path("mux")}, args...)...)
	}
	p.background("-o", "ControlMaster=yes", "-o", "ControlPath="+p.path("mux"), "dev")
	eventually(t, "the master is there", func() bool {
		_, err := os.Stat(p.path("mux"))
		return err == nil
	})
	for range 3 {
		if got := control("dev", "echo shared"); got != "shared\n" {
			t.Errorf("got %q", got)
		}
	}
	port0 := strings.TrimSpace(control("-O", "forward", "-R", "0:"+target.Addr().String(), "dev"))
	if !regexp.MustCompile(`^\d+$`).MatchString(port0) {
		t.Fatalf("allocated port %q", port0)
	}
	mustAsk(t, "tcp", "127.0.0.1:"+port0)

	for range 2 {
		control("-O", "forward", "-R", there+":"+p.path("laptop.sock"), "dev")
		mustAsk(t, "unix", there)
		control("-O", "cancel", "-R", there+":"+p.path("laptop.sock"), "dev")
		eventually(t, "the socket is gone", func() bool {
			_, err := os.Lstat(there)
			return os.IsNotExist(err)
		})
	}
	port := freePort(t)
	forward := fmt.Sprintf("127.0.0.1:%d:%s", port, target.Addr())
	control("-O", "forward", "-R", forward, "dev")
	control("-O", "cancel", "-R", forward, "dev")
	eventually(t, "the port is free", func() bool {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
		}
		return err == nil
	})
	control("-O", "forward", "-R", forward, "dev")
	control("-O", "exit", "dev")
	eventually(t, "nobody listens any more", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

func TestAgentForwarding(t *testing.T) {
	need(t, "ssh-agent", "openssh-client")
	p := start(t)
	agent := p.command("ssh-agent", "-D", "-a", p.path("agent"))
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	eventually(t, "the agent listens", func() bool {
		_, err := os.Stat(p.path("agent"))
		return err == nil
	})
	withAgent := func(args ...string) string {
		t.Helper()
		c := p.ssh(args...)
		c.Env = append(os.Environ(), "SSH_AUTH_SOCK="+p.path("agent"))
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", c, err, c.Stderr)
		}
		return string(out)
	}
	add := p.command("ssh-add", "-q", p.path("id"))
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+p.path("agent"))
	if err := add.Run(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, add.Stderr)
	}
	got := withAgent("-A", "dev", `stat -c '%a %U' "$(dirname "$SSH_AUTH_SOCK")"; echo "$SSH_AUTH_SOCK"; ssh-add -l`)
	lines := strings.Split(got, "\n")
	if len(lines) < 3 || !strings.HasPrefix(lines[0], "700 ") || !strings.HasPrefix(lines[1], p.path("run")) ||
		!strings.Contains(lines[2], "me@laptop") {
		t.Errorf("got %q", got)
	}
	if got := withAgent("dev", `echo "${SSH_AUTH_SOCK:-none}"`); got != "none\n" {
		t.Errorf("without -A: %q", got)
	}
	eventually(t, "the sockets are gone", func() bool {
		left, _ := filepath.Glob(p.path("run", "ssh-*"))
		return len(left) == 0
	})
}
