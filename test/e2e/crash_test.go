//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// loop is a command that runs the lines of its standard input: one that is
// started again goes on with them.
const loop = `echo started; while read -r line; do eval "$line"; done`

// devPod returns the name of the development container's pod.
func (p *place) devPod() string {
	p.t.Helper()
	return p.kubectl("get", "pods", "-l", "interactive.dev.okteto.com=api", "-o", "jsonpath={.items[0].metadata.name}")
}

// container is a container of the development pod, as its node sees it.
type container struct {
	t *testing.T
	// group is the control group above its own, command its command line: they
	// stay when it is started again.
	group, command string
}

// container finds a container that runs.
func (p *place) container(name string) *container {
	p.t.Helper()
	const each = "{range %s[*]}{.name} {.containerID}{'\\n'}{end}"
	query := "jsonpath=" + fmt.Sprintf(each, ".items[0].status.containerStatuses") +
		fmt.Sprintf(each, ".items[0].status.initContainerStatuses")
	var id string
	// The kubelet reports a started container a little late.
	eventually(p.t, "the id of container "+name, func() bool {
		ids := p.kubectl("get", "pods", "-l", "interactive.dev.okteto.com=api", "-o", query)
		_, id, _ = strings.Cut("\n"+ids, "\n"+name+" ")
		id, _, _ = strings.Cut(id, "\n")
		_, id, _ = strings.Cut(id, "://")
		return id != ""
	})
	var c *container
	firstProcess(p.t, func(group, command string) bool {
		if strings.Contains(path.Base(group), id) {
			c = &container{t: p.t, group: path.Dir(group), command: command}
		}
		return c != nil
	})
	if c == nil {
		p.t.Skip("the cluster's node is another machine, or this is not root on it: the containers' processes are out of reach")
	}
	return c
}

// process returns the container's first process; 0 while it does not run.
func (c *container) process() int {
	c.t.Helper()
	return firstProcess(c.t, func(group, command string) bool {
		return path.Dir(group) == c.group && command == c.command
	})
}

// path returns where the node sees a path of the container that runs.
func (c *container) path(inside string) string {
	c.t.Helper()
	return fmt.Sprintf("/proc/%d/root%s", c.process(), inside)
}

// kill kills the first process as the kernel would: from outside of the
// container, without a word to anybody. It returns false while there is none.
func (c *container) kill() bool {
	c.t.Helper()
	pid := c.process()
	return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// firstProcess finds, among the processes that are number 1 in a PID namespace
// below this one, the first that is wanted; 0 when there is none here.
func firstProcess(t *testing.T, wanted func(group, command string) bool) int {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range folders {
		// Processes that end meanwhile cannot be read.
		status, _ := os.ReadFile(filepath.Join(dir, "status"))
		_, numbers, _ := strings.Cut(string(status), "\nNSpid:")
		numbers, _, _ = strings.Cut(numbers, "\n")
		inside := strings.Fields(numbers)
		if len(inside) < 2 || inside[len(inside)-1] != "1" {
			continue
		}
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		pid, err := strconv.Atoi(inside[0])
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(groups)) {
			_, group, _ := strings.Cut(line, ":/")
			if wanted("/"+strings.TrimSpace(group), string(command)) {
				return pid
			}
		}
	}
	return 0
}

// started awaits that the command of up was started so many times.
func (s *session) started(times int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("start %d of the command", times), func() bool {
		return strings.Count(s.Stdout.String(), "started\n") == times
	})
}

// TestOutOfMemory has the kernel kill what allocates too much. Where it kills
// the whole container with it, as with version 2 of control groups, the command
// is run again.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest+"    resources: {limits: {memory: 64Mi}}\n")
	r := p.run("", "up", "--", "sh", "-c", "[ -e tried ] && exit 137; touch tried; exec tail /dev/zero")
	if r.code != 137 {
		t.Errorf("up ended with %d, want 137\n%s", r.code, r.stderr)
	}
	said := strings.Contains(r.stderr, "killed by the kernel: out of memory (limit 64 MiB)")
	if !said && !strings.Contains(r.stderr, "OOMKilled") {
		t.Errorf("up does not say why:\n%s", r.stderr)
	}
	if !said {
		return
	}
	// By a shell, which lives on; and what did not run out of memory.
	r = p.run("", "exec", "api", "--", "sh", "-c", "tail /dev/zero; exit $?")
	if r.code != 137 || !strings.Contains(r.stderr, "out of memory (limit 64 MiB)") {
		t.Errorf("exec ended with %d:\n%s", r.code, r.stderr)
	}
	if r := p.run("", "exec", "api", "--", "sh", "-c", "kill -KILL $$"); r.code != 137 || r.stderr != "the command was ended by signal KILL: it was killed\n" {
		t.Errorf("exec of a command that killed itself ended with %d:\n%s", r.code, r.stderr)
	}
	if r := p.ok("status"); strings.Contains(r.stdout, "restarted") {
		t.Errorf("the container went with its process:\n%s", r.stdout)
	}
}

// TestRunnerKilled ends the development container under its command. All that
// is in the sidecar goes on over the same connection.
func TestRunnerKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	port := freePorts(t, 1)[0]
	p.write("okteto.yaml", manifest+fmt.Sprintf("    forward: ['%d:8080']\n", port))
	p.write("www/index.html", "before")
	s := p.start("up", "--", "sh", "-c", loop)
	s.started(1)
	s.say("httpd -p 127.0.0.1:8080 -h www; echo serving")
	s.out("serving")
	if got := get(t, port); got != "before" {
		t.Errorf("the forward leads to %q", got)
	}
	p.container("main").kill()
	s.err("the development container ended: Error, exit code 137")
	p.write("www/index.html", "after")
	s.started(2)
	s.say("until [ \"$(cat www/index.html)\" = after ]; do :; done; httpd -p 127.0.0.1:8080 -h www; echo serving again")
	s.out("serving again")
	if got := get(t, port); got != "after" {
		t.Errorf("after the crash the forward leads to %q", got)
	}
	if stderr := s.Stderr.String(); strings.Contains(stderr, "reconnecting") || strings.Count(stderr, "connected to pod") != 1 {
		t.Errorf("the sidecar's connection was lost too:\n%s", stderr)
	}
	var report struct {
		Agent struct {
			Runner struct {
				Running bool
				Starts  int
			}
		}
	}
	if err := json.Unmarshal([]byte(p.ok("status", "-o", "json").stdout), &report); err != nil {
		t.Fatal(err)
	}
	if runner := report.Agent.Runner; !runner.Running || runner.Starts != 2 {
		t.Errorf("status tells of %+v, want the second start", runner)
	}
	if r := p.ok("status"); !strings.Contains(r.stdout, "restarted") {
		t.Errorf("status does not show the restart:\n%s", r.stdout)
	}
	s.say("exit 3")
	if code := s.code(); code != 3 {
		t.Errorf("up ended with %d, want 3", code)
	}
}

// TestSidecarKilled ends the agent's sidecar; the dev container stays, and the
// command in it.
func TestSidecarKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.write("file.txt", "one")
	s := p.start("up", "--", "sh", "-c", loop)
	s.started(1)
	s.say("echo here >/tmp/only-here; cat file.txt; echo")
	s.out("one\n")
	pod := p.devPod()
	p.container("okteto-agent").kill()
	s.err("reconnecting")
	p.write("file.txt", "two")
	s.say("until [ \"$(cat file.txt)\" = two ]; do :; done; cat /tmp/only-here; echo written >from-pod.txt; exit 4")
	s.out("here\n")
	s.started(1)
	if code := s.code(); code != 4 {
		t.Errorf("up ended with %d, want 4", code)
	}
	if got := p.read("from-pod.txt"); got != "written\n" {
		t.Errorf("the pod's file arrived as %q", got)
	}
	if got := p.devPod(); got != pod {
		t.Errorf("pod %s was replaced by %s", pod, got)
	}
	if got := p.with("ssh", "api.okteto", "echo ssh"); got != "ssh\n" {
		t.Errorf("ssh wrote %q", got)
	}
}
