package sshclient_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	server "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// testServer is a real SSH server on this machine whose sessions run sh.
type testServer struct {
	*server.Server
	addr    string
	hostKey ssh.Signer
	user    ssh.Signer
	// stop ends the server and every connection to it. Close of the embedded
	// one overlooks a connection whose client alone knows yet that the login
	// is done.
	stop     context.CancelFunc
	forwards *remoteForwards
}

// patience bounds waits that only end otherwise if the test fails.
const patience = 30 * time.Second

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newServer(t testing.TB) *testServer {
	t.Helper()
	forwards := &remoteForwards{listeners: map[string]net.Listener{}, listening: make(chan string, 1)}
	s := &testServer{hostKey: newKey(t), user: newKey(t), forwards: forwards}
	s.Server = &server.Server{
		Handler: runSession,
		PublicKeyHandler: func(_ server.Context, key server.PublicKey) bool {
			return server.KeysEqual(key, s.user.PublicKey())
		},
		ChannelHandlers: map[string]server.ChannelHandler{
			"session":                        server.DefaultSessionHandler,
			"direct-tcpip":                   serveDirect,
			"direct-streamlocal@openssh.com": serveDirect,
		},
		RequestHandlers: map[string]server.RequestHandler{
			"tcpip-forward":        forwards.listen,
			"cancel-tcpip-forward": forwards.cancel,
			"keepalive@openssh.com": func(server.Context, *server.Server, *ssh.Request) (bool, []byte) {
				return true, nil
			},
		},
		SubsystemHandlers: map[string]server.SubsystemHandler{
			"echo": func(s server.Session) {
				_, _ = io.WriteString(s.Stderr(), strings.Repeat("noise", 1<<20))
				_, _ = io.Copy(s, s)
			},
		},
	}
	s.AddHostKey(s.hostKey)
	l := listen(t, "tcp", "127.0.0.1:0")
	s.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	context.AfterFunc(ctx, func() { _ = s.Close() })
	s.stop = stop
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(boundListener{l, ctx})
	}()
	t.Cleanup(func() {
		stop()
		<-served
	})
	return s
}

// boundListener accepts connections that end with a context.
type boundListener struct {
	net.Listener
	ctx context.Context
}

func (l boundListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

// runSession runs the command of a session with sh.
func runSession(s server.Session) {
	args := []string{}
	if s.RawCommand() != "" {
		args = []string{"-c", s.RawCommand()}
	}
	cmd := exec.Command("sh", args...)
	cmd.Env = append(os.Environ(), s.Environ()...)
	if server.AgentRequested(s) {
		l, err := server.NewAgentListener()
		if err != nil {
			_ = s.Exit(255)
			return
		}
		defer func() { _ = l.Close() }()
		go server.ForwardAgentConnections(l, s)
		cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+l.Addr().String())
	}
	signals := make(chan server.Signal, 1)
	s.Signals(signals)
	request, resizes, isPty := s.Pty()
	var stdin io.WriteCloser
	copied := make(chan struct{})
	if isPty {
		cmd.Env = append(cmd.Env, "TERM="+request.Term)
		master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: uint16(request.Window.Height), Cols: uint16(request.Window.Width)})
		if err != nil {
			_ = s.Exit(255)
			return
		}
		go func() {
			defer func() { _ = master.Close() }()
			for {
				select {
				case size, ok := <-resizes:
					if !ok {
						resizes = nil
						continue
					}
					_ = pty.Setsize(master, &pty.Winsize{Rows: uint16(size.Height), Cols: uint16(size.Width)})
				case <-copied:
					return
				}
			}
		}()
		go func() {
			defer close(copied)
			_, _ = io.Copy(s, master)
		}()
		stdin = master
	} else {
		close(copied)
		cmd.Stdout, cmd.Stderr = s, s.Stderr()
		var err error
		if stdin, err = cmd.StdinPipe(); err != nil || cmd.Start() != nil {
			_ = s.Exit(255)
			return
		}
	}
	go func() {
		_, _ = io.Copy(stdin, s)
		if !isPty {
			_ = stdin.Close()
		}
	}()
	go func() {
		for range signals {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	err := cmd.Wait()
	<-copied
	exit(s, err)
}

// exit tells how a command ended.
func exit(s server.Session, err error) {
	var status *exec.ExitError
	if !errors.As(err, &status) {
		_ = s.Exit(0)
		return
	}
	if wait, ok := status.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
		_, _ = s.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal        string
			Core          bool
			Message, Lang string
		}{Signal: "TERM", Message: "terminated"}))
		_ = s.Close()
		return
	}
	_ = s.Exit(status.ExitCode())
}

// config returns what a client of the server needs.
func (s *testServer) config() sshclient.Config {
	return sshclient.Config{
		Signer:  s.user,
		HostKey: func(context.Context) (ssh.PublicKey, error) { return s.hostKey.PublicKey(), nil },
	}
}

// client logs in. The test fails if something of the client is left behind.
func (s *testServer) client(t testing.TB) *sshclient.Client {
	t.Helper()
	return s.clientAt(t, s.addr, s.config())
}

func (s *testServer) clientAt(t testing.TB, addr string, cfg sshclient.Config) *sshclient.Client {
	t.Helper()
	client, err := sshclient.NewClient(t.Context(), dial(t, addr), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		noGoroutines(t)
	})
	return client
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// accept waits for somebody who connects.
func accept(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
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

// noGoroutines fails the test if goroutines of the package are left after a
// while: some end by themselves a moment after what they worked for.
func noGoroutines(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(patience); ; {
		left := goroutines()
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Errorf("left behind:\n%s", strings.Join(left, "\n\n"))
			return
		}
	}
}

// goroutines returns the stacks of the goroutines that the package started.
func goroutines() (stacks []string) {
	const size = 8 << 20
	text := make([]byte, size)
	text = text[:runtime.Stack(text, true)]
	for stack := range strings.SplitSeq(string(text), "\n\n") {
		if strings.Contains(stack, "created by github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
