//go:build linux

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces: run it as root, or make test against a cluster")
	}
}

// PID 1 inherits what its sessions leave behind: zombies must go, what still
// runs must stay, and all of it must end with the container.
func TestReapingAsPID1(t *testing.T) {
	needRoot(t)
	need(t, "unshare", "util-linux")
	p := start(t, func(p *pod) {
		p.wrap = []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}
	})
	if got := p.output("dev", "readlink /proc/1/exe"); strings.TrimSpace(got) != self(t) {
		t.Fatalf("PID 1 is %q", got)
	}
	// Each leaves orphans: some end at once, one stays.
	for range 20 {
		p.output("dev", `for i in 1 2 3; do (sh -c 'true & exec true' &) ; done; (setsid sleep 0.01 >/dev/null 2>&1 &)`)
	}
	p.output("dev", "(setsid sleep 1006 >/dev/null 2>&1 &)")
	states := func() string {
		return p.output("dev", `for f in /proc/[0-9]*/stat; do read -r _ name state parent _ <$f && echo "$name $state $parent"; done 2>/dev/null; true`)
	}
	eventually(t, "no zombie is left", func() bool { return !strings.Contains(states(), ") Z ") })
	if got := states(); !strings.Contains(got, "(sleep) S 1\n") {
		t.Errorf("the background process did not stay, and with PID 1 for a parent:\n%s", got)
	}
	// Signals that nobody means for PID 1 do not end it.
	p.output("dev", "kill -HUP 1; kill -PIPE 1; kill -QUIT 1")
	if got := p.output("dev", "echo alive"); got != "alive\n" {
		t.Errorf("after signals: %q", got)
	}
	begin := time.Now()
	for _, pid := range descendants(p.runner.Process.Pid)[:1] {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	if err := p.runner.Wait(); err != nil {
		t.Errorf("the end of the container: %v", err)
	}
	t.Logf("the container ended in %v", time.Since(begin))
}

// An image with nothing in it, under the names of a real pod.
func TestScratchImage(t *testing.T) {
	needRoot(t)
	p := start(t, func(p *pod) { p.scratch = true })
	agent := "/var/okteto/bin/agent"
	if got := p.output("dev", agent, "version"); got == "" {
		t.Error("a program by its path says nothing")
	}
	t.Run("words", func(t *testing.T) {
		status, stderr := exitStatus(t, p.ssh("dev", agent, "'no such role'"))
		if status != 2 || !strings.Contains(stderr, `unknown role "no such role"`) {
			t.Errorf("status %d, %q", status, stderr)
		}
	})
	for line, want := range map[string]string{
		"":                       "no shell",
		agent + " version; true": "no shell to interpret",
		"missing":                "missing: command not found",
		"/missing":               "no such file or directory",
	} {
		status, stderr := exitStatus(t, p.ssh("dev", line))
		if status != 127 || !strings.Contains(stderr, want) {
			t.Errorf("%q: status %d, %q; want 127, %q", line, status, stderr, want)
		}
	}
	t.Run("terminal", func(t *testing.T) {
		if got := p.output("-tt", "dev", agent, "version"); !strings.HasSuffix(got, "\r\n") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("copies", func(t *testing.T) {
		makeTree(t, p.path("local"))
		for _, mode := range []string{"-O", "-s"} {
			target := "/work/" + mode[1:]
			p.run("scp", "-F", p.path("ssh_config"), mode, "-rp", p.path("local"), "dev:"+target)
			sameTree(t, p.path("root", target), p.path("local"), true)
			p.run("scp", "-F", p.path("ssh_config"), mode, "-rp", "dev:"+target, p.path("back"+mode))
			sameTree(t, p.path("back"+mode), p.path("local"), true)
		}
	})
	t.Run("hostkey and authorize", func(t *testing.T) {
		c := exec.Command(agent, "hostkey")
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: p.path("root")}
		key, err := c.Output()
		known, _ := os.ReadFile(p.path("known_hosts"))
		if err != nil || !strings.HasSuffix(string(known), string(key)) {
			t.Errorf("hostkey: %q, %v; pinned %q", key, err, known)
		}
		c = exec.Command(agent, "authorize")
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: p.path("root")}
		c.Stdin = strings.NewReader(`command="true" ` + string(key))
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "only plain keys") {
			t.Errorf("a key with options: %v, %s", err, out)
		}
	})
}

// enterScratch makes the pod's two containers run the real program in a folder
// that holds nothing else, as they would in an image FROM scratch.
func (p *pod) enterScratch() {
	p.t.Helper()
	root := p.path("root")
	for _, dir := range []string{"var/okteto/bin", "var/okteto/run", "var/okteto/state", "work", "dev/pts", "proc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	build := p.command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.path("agent"), "../../cmd/agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.Output(); err != nil {
		p.t.Fatalf("building the agent: %v\n%s%s", err, out, build.Stderr)
	}
	if info, err := os.Stat(p.path("agent")); err != nil || info.Size() > 12<<20 {
		p.t.Errorf("the agent has %d bytes, at most 12 MiB are allowed: %v", info.Size(), err)
	}
	p.run(p.path("agent"), "install", filepath.Join(root, "var/okteto/bin"))
	if err := os.Symlink("pts/ptmx", filepath.Join(root, "dev/ptmx")); err != nil {
		p.t.Fatal(err)
	}
}

// inScratch runs a role of the real program in the scratch image. What is
// mounted for it is in a mount namespace of its own and goes with it.
func (p *pod) inScratch(args ...string) *exec.Cmd {
	const enter = `mount -t proc proc "$0/proc" &&
		mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts" &&
		exec chroot "$0" /var/okteto/bin/agent "$@"`
	c := exec.Command("unshare", append([]string{"--mount", "sh", "-c", enter, p.path("root")}, args...)...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	return c
}
