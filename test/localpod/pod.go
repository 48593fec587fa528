//go:build linux

// Package localpod runs the agent of a development pod in the process of a
// test: the sidecar and the runner, with a network that can fail in front of
// them.
//
// The runner collects every child of its process: while it runs, a test starts
// no process of its own that it wants to wait for.
package localpod

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/runner"
	"github.com/kubectl-okteto/kubectl-okteto/agent/sshd"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// Pod is a running pod.
type Pod struct {
	// Dir holds everything; its path is short, for unix sockets. Workdir is in
	// it: the working directory of the dev container, and the folder that is
	// synced.
	Dir, Workdir string
	// Signer is the user's key.
	Signer ssh.Signer
	// Proxy leads to the sidecar.
	Proxy *tunneltest.Proxy
	// StopRunner ends the dev container, StopSidecar the sidecar. Both wait for
	// the end; a second call does nothing.
	StopRunner, StopSidecar func()

	t testing.TB
}

// Start starts a pod that the end of the test stops.
func Start(t testing.TB) *Pod {
	t.Helper()
	dir, err := os.MkdirTemp("", "ok")
	if err != nil {
		t.Fatal(err)
	}
	p := &Pod{Dir: dir, Workdir: filepath.Join(dir, "src"), Signer: NewKey(t), t: t}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, folder := range []string{p.RunDir(), p.StateDir(), p.Workdir} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.StartRunner()
	t.Cleanup(func() { p.StopRunner() })
	p.startSidecar()
	return p
}

// NewKey returns a key that nobody knows.
func NewKey(t testing.TB) ssh.Signer {
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

// RunDir is the folder of the runner's socket.
func (p *Pod) RunDir() string { return filepath.Join(p.Dir, "run") }

// StateDir is the sidecar's own folder.
func (p *Pod) StateDir() string { return filepath.Join(p.Dir, "state") }

// StartRunner starts the dev container, again after StopRunner.
func (p *Pod) StartRunner() {
	p.StopRunner = inBackground(p.t, runner.New(runner.Config{
		Dir: p.RunDir(), Workdir: p.Workdir, Env: os.Environ(), Log: Quiet(),
	}).Run)
}

// startSidecar starts the sidecar and the way to it.
func (p *Pod) startSidecar() {
	p.t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		p.t.Fatal(err)
	}
	sidecar := agent.Sidecar{
		Config: config.Sidecar{
			Port: port, Roots: []config.Root{{Path: p.Workdir}},
			AuthorizedKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p.Signer.PublicKey())))},
		},
		RunDir: p.RunDir(), StateDir: p.StateDir(), Log: Quiet(),
	}
	// A sidecar that does not start ends the wait for its key.
	ctx, cancel := context.WithTimeout(p.t.Context(), lab.Patience)
	defer cancel()
	p.StopSidecar = inBackground(p.t, func(ctx context.Context) error {
		defer cancel()
		return sidecar.Run(ctx)
	})
	p.t.Cleanup(p.StopSidecar)
	if _, err := p.HostKey(ctx); err != nil {
		p.t.Fatal(err)
	}
	if p.Proxy, err = tunneltest.NewProxy(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.Proxy.Close() })
}

// HostKey awaits the host key of the pod.
func (p *Pod) HostKey(ctx context.Context) (ssh.PublicKey, error) {
	line, err := sshd.WaitHostKey(ctx, p.StateDir())
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	return key, err
}

// Dial connects with the sidecar.
func (p *Pod) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", p.Proxy.Addr())
}

// inBackground runs something until the function that it returns is called.
func inBackground(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Quiet is a log that nobody reads.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
