//go:build linux

package interop

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/sshd"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// TestMain makes this binary the agent too: with a role as its first argument
// it runs that role, in folders that come before the role's own arguments.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var err error
	switch role, args := os.Args[1], os.Args[2:]; role {
	case "sidecar":
		var c config.Sidecar
		if c, err = config.ParseSidecar(args[2:]); err == nil {
			err = agent.Sidecar{Config: c, RunDir: args[0], StateDir: args[1], Log: log}.Run(ctx)
		}
	case "runner":
		err = agent.RunnerRole{RunDir: args[0], Log: log}.Run(ctx)
	case "authorize":
		err = sshd.Authorize(args[0], os.Stdin)
	case "ide-server":
		err = serveIDE(args[0])
	default:
		os.Exit(agent.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// pod is a sidecar and a runner, with a client that is set up for them.
type pod struct {
	t *testing.T
	// dir holds everything; its path is short, for unix sockets.
	dir string
	// work is the working directory of the dev container.
	work  string
	port  int
	env   []string
	roots []string
	// image is what the sidecar seeds from.
	image string
	// wrap goes before the command of the runner.
	wrap []string
	// scratch runs the real program in an empty image, with the folders of a
	// real pod.
	scratch bool
	runner  *exec.Cmd
	sidecar *exec.Cmd
}

// noRaceSleep keeps programs with the race detector from sleeping for a second
// when they end.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// need fails the test, naming the package that brings a missing program.
func need(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: apt-get install -y %s", program, pkg)
		}
		t.Skipf("%s is not installed: apt-get install -y %s", program, pkg)
	}
}

// option changes a pod before it starts.
type option func(*pod)

// start starts a pod and writes the client's configuration, in which its name
// is dev.
func start(t *testing.T, options ...option) *pod {
	t.Helper()
	need(t, "ssh", "openssh-client")
	dir, err := os.MkdirTemp("", "ok")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &pod{t: t, dir: dir, work: filepath.Join(dir, "work"), port: freePort(t)}
	for _, d := range []string{"run", "state", "work", "home"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + filepath.Join(dir, "home"), "IMAGE=yes", noRaceSleep}
	for _, o := range options {
		o(p)
	}
	p.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@laptop", "-f", filepath.Join(dir, "id"))
	if p.scratch {
		p.enterScratch()
	}
	p.startRunner()
	p.startSidecar()
	p.configure()
	return p
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (p *pod) path(elem ...string) string { return filepath.Join(append([]string{p.dir}, elem...)...) }

func (p *pod) stateDir() string {
	if p.scratch {
		return p.path("root", config.StateDir)
	}
	return p.path("state")
}

func (p *pod) startRunner() {
	p.t.Helper()
	if p.scratch {
		p.runner = p.daemon(p.inScratch("runner"))
		return
	}
	argv := append(slices.Clone(p.wrap), self(p.t), "runner", p.path("run"))
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir, c.Env = p.work, p.env
	p.runner = p.daemon(c)
}

func (p *pod) startSidecar() {
	p.t.Helper()
	key, err := os.ReadFile(p.path("id.pub"))
	if err != nil {
		p.t.Fatal(err)
	}
	sc := config.Sidecar{Port: p.port, AuthorizedKeys: []string{strings.TrimSpace(string(key))}, SeedFrom: p.image}
	for _, r := range p.roots {
		sc.Roots = append(sc.Roots, config.Root{Path: r})
	}
	if p.scratch {
		p.sidecar = p.daemon(p.inScratch(sc.Args()...))
		return
	}
	args := append([]string{"sidecar", p.path("run"), p.path("state")}, sc.Args()[1:]...)
	c := exec.Command(self(p.t), args...)
	c.Env = append(os.Environ(), noRaceSleep)
	p.sidecar = p.daemon(c)
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// daemon starts a process that the test ends.
func (p *pod) daemon(c *exec.Cmd) *exec.Cmd {
	p.t.Helper()
	log := &lockedBuffer{}
	c.Stderr = log
	// Even a test that is killed leaves nothing behind.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		if p.t.Failed() {
			p.t.Logf("%s:\n%s", c.Args[1], log)
		}
	})
	return c
}

// configure waits for the host key and writes the client's configuration.
func (p *pod) configure() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), lab.Patience)
	defer cancel()
	key, err := sshd.WaitHostKey(ctx, p.stateDir())
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s", p.port, key))
	p.write("ssh_config", fmt.Sprintf(`Host dev
HostName 127.0.0.1
Port %d
User anybody
IdentityFile %s
IdentitiesOnly yes
UserKnownHostsFile %s
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
ConnectionAttempts 20
LogLevel ERROR
`, p.port, p.path("id"), p.path("known_hosts")))
}

func (p *pod) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// run runs a program that must succeed and returns its standard output.
func (p *pod) run(program string, args ...string) string {
	p.t.Helper()
	c := p.command(program, args...)
	out, err := c.Output()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s%s", c, err, out, c.Stderr)
	}
	return string(out)
}

// command prepares a program that is ended when the test hangs.
func (p *pod) command(program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	p.t.Cleanup(cancel)
	c := exec.CommandContext(ctx, program, args...)
	c.Stderr = &lockedBuffer{}
	c.WaitDelay = lab.Patience
	return c
}

// ssh prepares ssh with the configuration of the pod.
func (p *pod) ssh(args ...string) *exec.Cmd {
	return p.command("ssh", append([]string{"-F", p.path("ssh_config")}, args...)...)
}

// output runs ssh, which must succeed, and returns its standard output.
func (p *pod) output(args ...string) string {
	p.t.Helper()
	return p.run("ssh", append([]string{"-F", p.path("ssh_config")}, args...)...)
}

// exitStatus runs a command and returns its exit status and standard error.
func exitStatus(t *testing.T, c *exec.Cmd) (int, string) {
	t.Helper()
	err := c.Run()
	if c.ProcessState == nil {
		t.Fatalf("%s: %v", c, err)
	}
	return c.ProcessState.ExitCode(), fmt.Sprint(c.Stderr)
}

func (p *pod) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// eventually waits for a condition of another process, which tells no event.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// lockedBuffer is a buffer that a process writes while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
