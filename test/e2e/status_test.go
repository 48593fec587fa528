//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"testing"
	"time"
)

// report is what `status -o json` says, as others would read it.
type report struct {
	Name, Workload, Namespace, Pod, Holder string
	Since                                  time.Time
	Forwards                               []string
	Agent                                  struct {
		Version  string
		Sessions int
		Runner   struct {
			Running bool
			Starts  int
			UID     int
		}
		Roots []struct {
			Path, State string
			Files       int
			Bytes       int64
		}
	}
}

// status returns what status says at the moment.
func (p *place) status(args ...string) report {
	p.t.Helper()
	out := p.ok(append([]string{"status", "-o", "json"}, args...)...).stdout
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		p.t.Fatalf("%v in %s", err, out)
	}
	return r
}

// elsewhere is the same namespace for somebody else: another home folder,
// with other keys, and another source folder.
func (p *place) elsewhere() *place {
	other, l := *p, *p.Lab
	l.Home = p.t.TempDir()
	other.Lab, other.src = &l, p.t.TempDir()
	return &other
}

// TestStatus asks while somebody develops, from here and from elsewhere, and
// after the end.
func TestStatus(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	ports := freePorts(t, 2)
	p.write("okteto.yaml", manifest+fmt.Sprintf("    forward: ['%d:8080']\n    reverse: ['9000:%d']\n", ports[0], ports[1]))
	p.write("a.txt", "0123456789")
	begin := time.Now().Add(-time.Minute)
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")

	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	forwards := []string{fmt.Sprintf("%d -> 8080", ports[0]), fmt.Sprintf("9000 <- %d", ports[1])}
	for where, from := range map[string]*place{"here": p, "elsewhere": p.elsewhere()} {
		r := from.status("api")
		if r.Name != "api" || r.Workload != "deployment/api" || r.Namespace != p.Namespace || r.Pod != p.devPod() {
			t.Errorf("%s: %+v", where, r)
		}
		if want := account.Username + "@" + host; !strings.HasPrefix(r.Holder, want) {
			t.Errorf("%s: held by %q, want %q", where, r.Holder, want)
		}
		if r.Since.Before(begin) || r.Since.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s: held since %v", where, r.Since)
		}
		if !slices.Equal(r.Forwards, forwards) {
			t.Errorf("%s: forwards %q, want %q", where, r.Forwards, forwards)
		}
		if !r.Agent.Runner.Running || r.Agent.Runner.Starts != 1 || r.Agent.Sessions != 1 || r.Agent.Version == "" {
			t.Errorf("%s: agent %+v", where, r.Agent)
		}
		if roots := r.Agent.Roots; len(roots) != 1 || roots[0].Path != "/app" || roots[0].State != "converged" || roots[0].Files != 2 {
			t.Errorf("%s: roots %+v", where, roots)
		}
	}
	text := p.ok("status").stdout
	for _, want := range append(forwards, "api (deployment/api in namespace "+p.Namespace+")", p.devPod(), "running since", account.Username+"@"+host, "/app: converged, 2 files") {
		if !strings.Contains(text, want) {
			t.Errorf("status does not show %q:\n%s", want, text)
		}
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
	eventually(t, "nobody syncs any more", func() bool {
		after := p.status()
		return after.Holder == "" && after.Agent.Sessions == 0 && after.Agent.Roots[0].State == "waiting"
	})
	if text := p.ok("status").stdout; !strings.Contains(text, "nobody") {
		t.Errorf("after up:\n%s", text)
	}
	p.ok("down")
	if r := p.run("", "status"); r.code != 1 || !strings.Contains(r.stderr, "api") {
		t.Errorf("after down: exit code %d\n%s", r.code, r.stderr)
	}
}

// TestStatusWatch prints each change of what is synced, until it is ended.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.develop()
	watch := p.start("status", "-w", "-o", "json")
	last := func() (r report) {
		lines := strings.Split(strings.TrimSpace(watch.Stdout.String()), "\n")
		// The last line may be there in part.
		if json.Unmarshal([]byte(lines[len(lines)-1]), &r) != nil {
			return report{}
		}
		return r
	}
	files := func() int {
		if r := last(); len(r.Agent.Roots) == 1 {
			return r.Agent.Roots[0].Files
		}
		return 0
	}
	eventually(t, "the first status", func() bool { return files() == 1 })
	for i := range 3 {
		p.write(fmt.Sprintf("%d.txt", i), "x")
		eventually(t, fmt.Sprintf("the status of %d files", i+2), func() bool { return files() == i+2 })
	}
	pod := last().Pod
	p.kubectl("delete", "pod", pod, "--wait=false")
	eventually(t, "the status of the next pod", func() bool {
		now := last()
		return now.Pod != "" && now.Pod != pod && now.Agent.Runner.Running && files() == 4
	})
	if err := watch.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	// Which is the one way to end it.
	if code := watch.code(); code != 0 {
		t.Errorf("the watch ended with %d", code)
	}
}

// TestKeyIsAddedFromElsewhere lets another machine in by its right to exec, and
// nobody else.
func TestKeyIsAddedFromElsewhere(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.develop()
	other := p.elsewhere()
	if r := other.ok("exec", "api", "--", "sh", "-c", "echo from elsewhere"); r.stdout != "from elsewhere\n" {
		t.Errorf("exec from elsewhere: %q\n%s", r.stdout, r.stderr)
	}
	// The added key outlives the sidecar's process, as its host key does.
	p.container("okteto-agent").kill()
	s.err("reconnecting")
	if r := other.ok("exec", "api", "--", "echo", "again"); r.stdout != "again\n" {
		t.Errorf("exec from elsewhere after a crash: %q\n%s", r.stdout, r.stderr)
	}
	if r := other.run("", "exec", "api", "--", "ls", "/var/okteto/state"); r.code == 0 {
		t.Errorf("the dev container sees the agent's keys:\n%s", r.stdout)
	}
	ours, err := os.ReadFile(p.Home + "/.okteto/id_ed25519.pub")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(other.Home + "/.okteto/id_ed25519.pub")
	if err != nil {
		t.Fatal(err)
	}
	if string(ours) == string(theirs) {
		t.Error("both machines have the same key")
	}
}
