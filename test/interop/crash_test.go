//go:build linux

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// watchStatus follows the status subsystem; the function it returns waits for
// a status that a condition holds for.
func (p *pod) watchStatus() func(what string, condition func(config.Status) bool) config.Status {
	p.t.Helper()
	c := p.ssh("-s", "dev", config.SubsystemStatus)
	stdout, err := c.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	lines := bufio.NewScanner(stdout)
	return func(what string, condition func(config.Status) bool) config.Status {
		p.t.Helper()
		for lines.Scan() {
			var s config.Status
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				p.t.Fatalf("%v in %q", err, lines.Text())
			}
			if condition(s) {
				return s
			}
		}
		p.t.Fatalf("the status ended before %s: %v, %s", what, lines.Err(), c.Stderr)
		return config.Status{}
	}
}

// The sidecar outlives the dev container: sessions end with a reason, new ones
// wait for the next runner, the status tells.
func TestRunnerKilled(t *testing.T) {
	p := start(t)
	status := p.watchStatus()
	first := status("the runner is seen", func(s config.Status) bool { return s.Runner.Running })
	if first.Runner.Starts != 1 || first.Runner.UID != os.Getuid() || first.Clients != 1 || first.Version != config.Version() {
		t.Errorf("first status: %+v", first)
	}
	c := p.ssh("dev", "sleep 1004")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	status("a session runs", func(s config.Status) bool { return s.Sessions == 1 && s.Clients == 2 })
	eventually(t, "the command runs", func() bool { return p.hasProcess("sleep 1004") })
	// As the kernel ends PID 1: without a word, and its children with it.
	orphans := descendants(p.runner.Process.Pid)
	_ = p.runner.Process.Kill()
	_, _ = p.runner.Process.Wait()
	for _, pid := range orphans {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = c.Wait()
	if got := fmt.Sprint(c.Stderr); c.ProcessState.ExitCode() != 255 || !strings.Contains(got, config.ContainerGone) {
		t.Errorf("the session ended with status %d and %q", c.ProcessState.ExitCode(), got)
	}
	status("the end is seen", func(s config.Status) bool { return !s.Runner.Running && s.Sessions == 0 })

	waiting := p.ssh("dev", "echo back")
	out := make(chan string, 1)
	go func() {
		b, err := waiting.Output()
		out <- fmt.Sprint(string(b), err)
	}()
	status("a session waits", func(s config.Status) bool { return s.Sessions == 1 })
	p.startRunner()
	if got := <-out; got != "back\n<nil>" {
		t.Errorf("a session that waited for the runner: %q", got)
	}
	second := status("the restart is seen", func(s config.Status) bool { return s.Runner.Running })
	if second.Runner.Starts != 2 || !second.Runner.Started.After(first.Runner.Started) {
		t.Errorf("after a restart: %+v", second.Runner)
	}
}

// The runner outlives the sidecar.
func TestSidecarKilled(t *testing.T) {
	p := start(t)
	c := p.ssh("dev", "sleep 1005")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command runs", func() bool { return p.hasProcess("sleep 1005") })
	_ = p.sidecar.Process.Kill()
	_, _ = p.sidecar.Process.Wait()
	_ = c.Wait()
	eventually(t, "the command is hung up", func() bool { return !p.hasProcess("sleep 1005") })
	p.startSidecar()
	if got := p.output("dev", "echo again"); got != "again\n" {
		t.Errorf("got %q", got)
	}
}

// SIGTERM reaches what runs, and its last words reach the client.
func TestRunnerTerminated(t *testing.T) {
	p := start(t)
	c := p.ssh("dev", "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Scan()
	_ = p.runner.Process.Signal(syscall.SIGTERM)
	lines.Scan()
	if lines.Text() != "bye" {
		t.Errorf("last words %q", lines.Text())
	}
	_ = c.Wait()
	if got := fmt.Sprint(c.Stderr); c.ProcessState.ExitCode() != 255 || !strings.Contains(got, config.ContainerGone) {
		t.Errorf("the session ended with status %d and %q", c.ProcessState.ExitCode(), got)
	}
	if state, err := p.runner.Process.Wait(); err != nil || state.ExitCode() != 0 {
		t.Errorf("the runner: %v, %v", state, err)
	}
}
