//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// numbers are the lines that seq writes.
func numbers(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// TestCutWhileOutputFlows breaks the connections of up and of exec off again and
// again while a command writes: every byte arrives once, in order.
func TestCutWhileOutputFlows(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	proxy, kubeconfig := p.outage()
	const lines, cuts = 200_000, 8
	line := fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; done; exit 5", lines)
	over := func(s *session) {
		for i := range cuts {
			s.out(fmt.Sprintf("\n%d\n", i*(lines/cuts)+lines/cuts/2))
			proxy.Cut()
		}
		if code := s.code(); code != 5 {
			t.Errorf("it ended with %d, want 5", code)
		}
		if got := s.Stdout.String(); got != numbers(1, lines) {
			t.Errorf("%d bytes arrived, or others than were written", len(got))
		}
		if !strings.Contains(s.Stderr.String(), "reconnecting to api") {
			t.Errorf("nothing was cut:\n%s", s.Stderr)
		}
	}
	over(p.start("up", "--kubeconfig", kubeconfig, "--", "sh", "-c", line))
	over(p.start("exec", "--kubeconfig", kubeconfig, "api", "--", "sh", "-c", line))
}

// TestExecOutlastsABlackHole loses every packet for as long as it takes to give
// the connection up. What is typed meanwhile arrives.
func TestExecOutlastsABlackHole(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.ok("up", "--", "true")
	proxy, kubeconfig := p.outage()
	s := p.start("exec", "--kubeconfig", kubeconfig, "api", "--", "sh", "-c", "echo ready; cat; exit 9")
	s.out("ready\n")
	proxy.BlackHole(true)
	s.say("typed into the void")
	s.err("reconnecting to api")
	proxy.BlackHole(false)
	s.out("typed into the void\n")
	_ = s.Stdin.Close()
	if code := s.code(); code != 9 {
		t.Errorf("exec ended with %d, want 9", code)
	}
}

// TestExecSaysThatItsProcessIsGone replaces the pod while nobody is connected.
func TestExecSaysThatItsProcessIsGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.ok("up", "--", "true")
	proxy, kubeconfig := p.outage()
	s := p.start("exec", "--kubeconfig", kubeconfig, "api", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	proxy.Refuse(true)
	proxy.Cut()
	s.err("reconnecting to api")
	p.kubectl("delete", "pod", "--now", p.devPod())
	proxy.Refuse(false)
	if code := s.code(); code != 255 || !strings.Contains(s.Stderr.String(), "the command is gone") {
		t.Errorf("exec ended with %d\n%s", code, s.Stderr)
	}
}

// TestAttachSession has several terminals on the command of up, one of them on
// another machine.
func TestAttachSession(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	if r := p.run("", "up", "--", "true"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if r := p.run("", "attach-session"); r.code != 255 || !strings.Contains(r.stderr, "no command of `up` or `exec` runs") {
		t.Errorf("without a command: %d\n%s", r.code, r.stderr)
	}
	s, terminal := p.onTerminal("up", "--", "sh", "-c", "stty -echo; while read -r line; do echo \"got $line\"; stty size; done; exit 4")
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 30, Cols: 90}); err != nil {
		t.Fatal(err)
	}
	write := func(f *os.File, text string) {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	// sized asks for the size until it is as it should be.
	sized := func(s *session, f *os.File, want string) {
		eventually(t, "the size is "+want, func() bool {
			write(f, "size\r")
			s.out("got size")
			return strings.HasSuffix(strings.TrimSpace(s.Stdout.String()), "\n"+want)
		})
	}
	sized(s, terminal, "30 90")
	other := p.elsewhere()
	o, second := other.onTerminal("attach-session", "--name", "api")
	if err := pty.Setsize(second, &pty.Winsize{Rows: 20, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	sized(o, second, "20 90")
	write(second, "typed elsewhere\r")
	s.out("got typed elsewhere")
	var list []struct {
		Session, Role string
		Clients       int
	}
	if err := json.Unmarshal([]byte(p.ok("attach-session", "--list", "-o", "json").stdout), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Role != "up" || list[0].Clients != 2 {
		t.Errorf("listed as %+v", list)
	}
	write(second, "\r~.")
	if err := o.Cmd.Wait(); err != nil {
		t.Errorf("leaving: %v\n%s", err, o.Stdout)
	}
	sized(s, terminal, "30 90")
	write(terminal, "\x04")
	_ = s.Cmd.Wait()
	if code := s.Cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("up ended with %d, want 4\n%s", code, s.Stdout)
	}
}

// TestDetach lets up go on in the background: it syncs, its command can be
// attached to, and down ends it.
func TestDetach(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	if r := p.run("", "up", "--detach", "none-such"); r.code != 255 || !strings.Contains(r.stderr, "error: ") {
		t.Errorf("a container that is not there: %d\n%s", r.code, r.stderr)
	}
	r := p.ok("up", "--detach", "--", "sh", "-c", "echo started; while read -r line; do echo \"got $line\"; done")
	for _, text := range []string{"connected to pod", "api goes on in the background", "kubectl okteto attach-session up --name api"} {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("%q is missing in\n%s", text, r.stderr)
		}
	}
	_, file, _ := strings.Cut(r.stderr, "its output is in ")
	file, _, _ = strings.Cut(file, "\n")
	eventually(t, "the log has the output", func() bool {
		log, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(log), "started")
	})
	p.write("later.txt", "saved later")
	if r := p.ok("exec", "api", "--", "cat", "later.txt"); r.stdout != "saved later" {
		t.Errorf("what was saved later: %q", r.stdout)
	}
	s, terminal := p.onTerminal("attach-session")
	s.out("started")
	if _, err := terminal.WriteString("hello\r"); err != nil {
		t.Fatal(err)
	}
	s.out("got hello")
	p.restores("deploy/api", before, "api")
	eventually(t, "the process in the background ends", func() bool { return p.run("", "sync", "list").code == 1 })
}

// TestCtrlCInABlackHole presses Ctrl-C while a command has the terminal and the
// network is dead, which nobody knows yet: the first finds out, the second ends up.
func TestCtrlCInABlackHole(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	proxy, kubeconfig := p.outage()
	s, terminal := p.onTerminal("up", "--kubeconfig", kubeconfig, "--", "sh", "-c", "echo ready; exec sleep 1000")
	s.out("ready")
	proxy.BlackHole(true)
	press := func() {
		if _, err := terminal.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
	}
	press()
	s.out("nothing was heard from it after Ctrl-C; reconnecting to api")
	press()
	asked := time.Now()
	_ = s.Cmd.Wait()
	if code := s.Cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("up ended with %d, want 130\n%s", code, s.Stdout)
	}
	t.Logf("it took %v to end", time.Since(asked))
}
