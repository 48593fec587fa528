//go:build e2e

package e2e

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// promptly bounds how long a session may take to end after Ctrl-C: with the
// grace of the command, and of a cluster that does not answer. Everything that
// it could wait for takes longer.
const promptly = 20 * time.Second

// interrupted sends Ctrl-C's signal and checks how up ends.
func (p *place) interrupted(s *session, made bool) {
	p.t.Helper()
	asked := time.Now()
	if err := s.Cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	if code := s.code(); code != 130 {
		p.t.Errorf("up ended with %d, want 130\n%s", code, s.Stderr)
	}
	took := time.Since(asked)
	p.t.Logf("up took %v to end", took)
	if took > promptly {
		p.t.Errorf("that is too long\n%s", s.Stderr)
	}
	if !strings.Contains(s.Stderr.String(), "error: interrupted\n") {
		p.t.Errorf("up does not say that it was interrupted:\n%s", s.Stderr)
	}
	for _, text := range []string{"kubectl okteto up api", "kubectl okteto down api"} {
		if made && !strings.Contains(s.Stderr.String(), text) {
			p.t.Errorf("up does not say how to go on: %q is missing\n%s", text, s.Stderr)
		}
	}
}

// TestInterruptedAtEveryStage stops up at every stage on its way.
func TestInterruptedAtEveryStage(t *testing.T) {
	for _, c := range []struct {
		name string
		// stop is where the gate stops up, unless awaited is a text of
		// standard error after which it is interrupted.
		stop    stop
		awaited string
		// manifest is the end of okteto.yaml, below dev.api.
		manifest string
		// made says that something is in the cluster then.
		made bool
	}{
		{name: "finding the workload", stop: stop{method: "GET", suffix: "/deployments/api"}},
		{name: "taking the lease", stop: stop{method: "POST", suffix: "/leases"}},
		{name: "making the clone", stop: stop{method: "PATCH", suffix: "/deployments/api-okteto"}},
		{name: "scaling the original down", stop: stop{method: "PATCH", suffix: "/deployments/api"}, made: true},
		{
			name: "waiting for the pod", awaited: "waiting for the volumes of pod", made: true,
			manifest: "    persistentVolume: {storageClass: none-such}\n",
		},
		{name: "connecting", stop: stop{method: "GET", suffix: "/portforward"}, made: true},
		{name: "reading the host key", stop: stop{method: "GET", suffix: "/exec"}, made: true},
		{name: "syncing", stop: stop{sent: 4 << 20}, made: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.deployed("api")
			before := p.snapshot("deploy/api")
			p.write("okteto.yaml", manifest+c.manifest)
			noise := make([]byte, 16<<20)
			_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
			p.write("noise", string(noise))
			g := p.behind(c.stop)
			s := p.start("up", "--server", g.server, "--", "true")
			if c.awaited != "" {
				s.err(c.awaited)
			} else {
				g.await(t)
			}
			p.interrupted(s, c.made)
			if p.read("noise") != string(noise) {
				t.Error("the laptop's file changed")
			}
			if left := p.traces(); !c.made && len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			p.restores("deploy/api", before, "--volumes", "api")
		})
	}
}

// TestInterruptedCommand stops commands without a terminal: they are asked to
// end, and may clean up.
func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	for name, c := range map[string]struct{ command, after string }{
		"ends":            {"echo ready; exec sleep 1000", ""},
		"cleans up":       {"trap 'echo cleaned; echo saved > saved; exit 3' TERM; echo ready; while :; do sleep 0.05; done", "cleaned\n"},
		"does not care":   {"trap '' TERM INT HUP; echo ready; while :; do sleep 0.05; done", ""},
		"reads its input": {"echo ready; cat", ""},
	} {
		t.Run(name, func(t *testing.T) {
			here := *p
			here.t = t
			s := here.start("up", "--", "sh", "-c", c.command)
			s.out("ready\n")
			here.interrupted(s, true)
			if got := s.Stdout.String(); got != "ready\n"+c.after {
				t.Errorf("the command wrote %q", got)
			}
		})
	}
	if r := p.ok("exec", "api", "--", "cat", "saved"); r.stdout != "saved\n" {
		t.Errorf("what the command saved at its end is not there: %q", r.stdout)
	}
	p.restores("deploy/api", before)
}

// onTerminal runs up on a terminal of its own.
func (p *place) onTerminal(args ...string) (*session, *os.File) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), lab.Patience)
	p.t.Cleanup(cancel)
	cmd := p.Command(ctx, p.src, args...)
	terminal, err := pty.Start(cmd)
	if err != nil {
		p.t.Fatal(err)
	}
	screen := lab.NewTranscript()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(screen, terminal)
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = terminal.Close()
		<-copied
	})
	return &session{t: p.t, Session: &lab.Session{Cmd: cmd, Stdout: screen, Stderr: screen}}, terminal
}

// TestCtrlCOnATerminal presses Ctrl-C: while a command runs the key is the
// command's, before that it is up's.
func TestCtrlCOnATerminal(t *testing.T) {
	t.Parallel()
	const ctrlC = "\x03"
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	for _, c := range []struct {
		name, manifest, awaited string
		command                 []string
		code                    int
		says                    string
	}{
		{"waiting for the pod", "    persistentVolume: {storageClass: none-such}\n", "waiting for the volumes", []string{"true"}, 130, "interrupted"},
		{"the command ends", "", "ready", []string{"sh", "-c", "echo ready; exec sleep 1000"}, 130, ""},
		{"the command's own status", "", "ready", []string{"sh", "-c", "trap 'exit 42' INT; echo ready; while :; do sleep 0.05; done"}, 42, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			here := *p
			here.t = t
			here.write("okteto.yaml", manifest+c.manifest)
			s, terminal := here.onTerminal(append([]string{"up", "--"}, c.command...)...)
			s.out(c.awaited)
			asked := time.Now()
			if _, err := terminal.WriteString(ctrlC); err != nil {
				t.Fatal(err)
			}
			_ = s.Cmd.Wait()
			if code := s.Cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("up ended with %d, want %d\n%s", code, c.code, s.Stdout)
			}
			if took := time.Since(asked); took > promptly {
				t.Errorf("up took %v to end\n%s", took, s.Stdout)
			}
			s.out("kubectl okteto down api")
			s.out(c.says)
			here.restores("deploy/api", before, "--volumes")
		})
	}
}
