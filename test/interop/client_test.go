//go:build linux

package interop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// connect connects as a Go program does, for what OpenSSH's client cannot say.
func (p *pod) connect() *ssh.Client {
	p.t.Helper()
	pem, err := os.ReadFile(p.path("id"))
	if err != nil {
		p.t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		p.t.Fatal(err)
	}
	known, err := os.ReadFile(filepath.Join(p.stateDir(), "ssh_host_ed25519_key.pub"))
	if err != nil {
		p.t.Fatal(err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey(known)
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", p.address(), &ssh.ClientConfig{
		User: "anybody", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(hostKey),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

func newSession(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExitSignal(t *testing.T) {
	c := start(t).connect()
	for line, want := range map[string]string{
		"kill -TERM $$": "TERM", "kill -KILL $$": "KILL", "kill -SEGV $$": "SEGV", "kill -BUS $$": "BUS@openssh.com",
	} {
		exit, ok := errors.AsType[*ssh.ExitError](newSession(t, c).Run(line))
		if !ok || exit.Signal() != want {
			t.Errorf("%s: %v, want %s", line, exit, want)
		}
	}
}

func TestSignals(t *testing.T) {
	c := start(t).connect()
	for _, name := range []ssh.Signal{ssh.SIGINT, ssh.SIGHUP, ssh.SIGUSR2, ssh.SIGTERM} {
		s := newSession(t, c)
		out, err := s.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start("trap 'exit 33' " + string(name) + "; echo ready; while :; do sleep 0.01; done"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
		if err := s.Signal(name); err != nil {
			t.Fatal(err)
		}
		if exit, ok := errors.AsType[*ssh.ExitError](s.Wait()); !ok || exit.ExitStatus() != 33 {
			t.Errorf("%s: %v, want the trap's 33", name, exit)
		}
	}
}

// A signal to a terminal session goes to what is in the foreground.
func TestSignalOfTerminal(t *testing.T) {
	p := start(t)
	c := p.connect()
	s := newSession(t, c)
	if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
		t.Fatal(err)
	}
	stdin, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	s.Stdout = &out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "sleep 1007; echo interrupted $?\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command runs", func() bool { return p.hasProcess("sleep 1007") })
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the shell goes on", func() bool { return strings.Contains(out.String(), "interrupted 143") })
	if _, err := io.WriteString(stdin, "exit 3\n"); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*ssh.ExitError](s.Wait()); !ok || exit.ExitStatus() != 3 {
		t.Errorf("got %v", exit)
	}
}

func TestGlobalRequests(t *testing.T) {
	c := start(t).connect()
	for name, want := range map[string]bool{
		config.PingRequest: true, "keepalive@openssh.com": true, "no-more-sessions@openssh.com": false, "unknown@example.com": false,
	} {
		if ok, _, err := c.SendRequest(name, true, nil); ok != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", name, ok, err, want)
		}
	}
	for _, malformed := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com"} {
		if ok, _, err := c.SendRequest(malformed, true, []byte{1, 2, 3}); ok || err != nil {
			t.Errorf("a malformed %s: %v, %v", malformed, ok, err)
		}
	}
	for _, malformed := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "x11"} {
		if ch, _, err := c.OpenChannel(malformed, []byte{1, 2, 3}); err == nil {
			ch.Close()
			t.Errorf("a malformed %s channel was opened", malformed)
		}
	}
	if ok, _, err := c.SendRequest(config.PingRequest, true, nil); !ok || err != nil {
		t.Errorf("afterwards: %v, %v", ok, err)
	}
}

func TestSessionRequests(t *testing.T) {
	c := start(t).connect()
	s := newSession(t, c)
	for name, want := range map[string]bool{"LANG": true, "LC_X": true, "GIT_DIR": true, "PATH": false, "LD_PRELOAD": false, "GIT_\x00": false} {
		if err := s.Setenv(name, "value"); (err == nil) != want {
			t.Errorf("environment %q: %v", name, err)
		}
	}
	for _, name := range []string{"unknown@example.com", "subsystem", "window-change", "pty-req", "env"} {
		if ok, err := s.SendRequest(name, true, []byte{9}); ok || err != nil {
			t.Errorf("a malformed %s: %v, %v", name, ok, err)
		}
	}
	out, err := s.Output("echo $LANG")
	if string(out) != "value\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if err := newSession(t, c).RequestSubsystem("unknown"); err == nil {
		t.Error("an unknown subsystem was granted")
	}
	// One command a session.
	twice := newSession(t, c)
	if err := twice.Start("sleep 0.1"); err != nil {
		t.Fatal(err)
	}
	if ok, _ := twice.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{"true"})); ok {
		t.Error("a second command was granted")
	}
}

func TestForwardsOfGoClient(t *testing.T) {
	p := start(t)
	c := p.connect()
	remote := filepath.Join(p.work, "r.sock")
	listeners := map[string]func() (net.Listener, error){
		"tcp":  func() (net.Listener, error) { return c.Listen("tcp", "127.0.0.1:0") },
		"unix": func() (net.Listener, error) { return c.ListenUnix(remote) },
	}
	for network, listen := range listeners {
		l, err := listen()
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					b, _ := io.ReadAll(conn)
					_, _ = conn.Write(bytes.ToUpper(b))
					conn.Close()
				}()
			}
		}()
		mustAsk(t, network, l.Addr().String())
		// And back into the pod: the client's own dials.
		conn, err := c.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		conn.Close()
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		if conn, err := c.Dial(network, l.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("%s: still there after its cancellation", network)
		}
	}
}

// newSessionRequest renders the payload of a request with one string.
func newSessionRequest(value string) []byte {
	return ssh.Marshal(struct{ Value string }{value})
}
