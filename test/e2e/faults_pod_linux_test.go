//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// podFaults are those of the pod and of what runs in it.
func podFaults() []fault {
	little := func(resource string) func(*place) string {
		return func(*place) string { return "    resources: {limits: {" + resource + ": 64Mi}}\n" }
	}
	return []fault{
		{
			name: "pod deleted", how: "`kubectl delete pod`", restarts: true,
			says: "its pod is being deleted; running the command again",
			inflict: func(o *ordeal) {
				o.replaced(func(pod string) { o.kubectl("delete", "pod", pod, "--wait=false") })
			},
		},
		{
			name: "pod deleted by force", how: "`kubectl delete pod --force --grace-period=0`", restarts: true,
			inflict: func(o *ordeal) {
				o.replaced(func(pod string) { o.kubectl("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false") })
			},
		},
		{
			name: "pod evicted", how: "by the Eviction API", restarts: true,
			says:    "its pod is being deleted: Eviction API: evicting; running the command again",
			inflict: func(o *ordeal) { o.replaced(o.evict) },
		},
		{
			name: "pod evicted by its node", how: "it writes more than its `ephemeral-storage` allows", restarts: true,
			says:   ": Evicted: Pod ephemeral local storage usage exceeds",
			before: little("ephemeral-storage"),
			inflict: func(o *ordeal) {
				o.replaced(func(pod string) {
					o.kubectl("exec", pod, "-c", "main", "--", "dd", "if=/dev/zero", "of=/tmp/much", "bs=1M", "count=100")
					o.up.err(config.ContainerGone)
				})
			},
		},
		{
			name: "pod drained", how: "its node is drained, and has room again when `up` has said what it waits for", restarts: true,
			inflict: (*ordeal).drain, alone: true,
		},
		{
			name: "pod's successor refused", how: "a quota has no room for it, until `up` has said so", restarts: true,
			inflict: func(o *ordeal) {
				o.replaced(func(pod string) {
					o.noRoom()
					o.kubectl("delete", "pod", pod, "--wait=false")
					o.up.err("refused by the quota")
					o.kubectl("delete", "quota", "none")
				})
			},
		},
		{
			name: "dev process crashed", how: "it gets SIGSEGV; then `up` again", restarts: true,
			inflict: func(o *ordeal) {
				o.endsWith(139, o.crash)
				o.beginAnew()
			},
		},
		{
			name: "OOM kill of dev process", how: "the kernel takes the command when memory runs out; then `up` again", restarts: true,
			before: little("memory"),
			inflict: func(o *ordeal) {
				o.endsWith(137, func() {
					first, rest := o.command()[0], o.command()[1:]
					o.outOfMemory(first)
					eventually(o.t, "the kernel takes it", func() bool { return !slices.Contains(o.dev.processes(), first) })
					// A child holds the output, as it would hold up ssh.
					for _, pid := range rest {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				})
				o.beginAnew()
			},
		},
		{
			name: "OOM kill of dev container", how: "the kernel takes its first process when memory runs out", restarts: true,
			says:   "OOMKilled, exit code 137; running the command again",
			before: little("memory"),
			inflict: func(o *ordeal) {
				began := time.Now()
				o.outOfMemory(o.dev.process())
				o.up.err("OOMKilled")
				o.up.started(2)
				o.took = time.Since(began)
			},
		},
		{
			name: "OOM kill of sidecar", how: "it may have no more memory than it has, and much is saved",
			says: "okteto-agent had ended: OOMKilled, exit code 137",
			inflict: func(o *ordeal) {
				o.agent.squeeze()
				for i := range 100 {
					p := fmt.Sprintf("much/%d.bin", i)
					o.laptop.storm(1, i, func(int) string { return p }, func(int, int) []byte { return text(p, 100_000) })
				}
				o.up.err("connection lost")
			},
		},
		{
			name: "dev container killed", how: "`kill -9` of its first process, on the node", restarts: true,
			says: "Error, exit code 137; running the command again",
			inflict: func(o *ordeal) {
				began := time.Now()
				o.dev.kill()
				o.up.started(2)
				o.took = time.Since(began)
			},
		},
		{
			name: "sidecar killed", how: "`kill -9` of its first process, on the node",
			says:    "okteto-agent had ended: Error, exit code 137",
			inflict: func(o *ordeal) { o.agent.kill() },
		},
	}
}

// replaced does what the pod ends of, awaits the command in another, and leads
// the pod's user there.
func (o *ordeal) replaced(do func(pod string)) {
	o.t.Helper()
	pod := o.devPod()
	do(pod)
	over := time.Now()
	o.up.started(2)
	o.took = time.Since(over)
	// One that was evicted stays until somebody deletes it.
	o.kubectl("delete", "pod", pod, "--ignore-not-found")
	o.moveIn()
}

// moveIn leads the pod's user into the pod that there is.
func (o *ordeal) moveIn() {
	o.t.Helper()
	o.agent, o.dev = o.container("okteto-agent"), o.container("main")
	o.pod.root = o.open(o.agent.path(config.WorkspaceDir + "/" + config.RootFolder("/app")))
	o.state = o.open(o.agent.path(config.StateDir))
}

// endsWith does what `up` ends of.
func (o *ordeal) endsWith(code int, do func()) {
	o.t.Helper()
	said := len(o.up.Stderr.String())
	do()
	if got := o.up.code(); got != code {
		o.t.Errorf("up ended with %d, want %d", got, code)
	}
	o.also = o.up.Stderr.String()[said:] + fmt.Sprintf("exit code %d\n", code)
}

// beginAnew starts the next `up`.
func (o *ordeal) beginAnew() {
	o.t.Helper()
	began := time.Now()
	o.begin()
	o.took = time.Since(began)
}

func (o *ordeal) evict(pod string) {
	o.t.Helper()
	eviction := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q, "namespace": %q}}`, pod, o.Namespace)
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", o.Namespace, pod)
	if _, err := o.Kubectl(o.t.Context(), eviction, "create", "--raw", path, "-f", "-"); err != nil {
		o.t.Fatal(err)
	}
}

// drain does to the pod what a drain of its node does. The cluster has one node:
// that the pod comes back to the same one makes no difference to `up`, which
// finds another pod.
func (o *ordeal) drain() {
	o.t.Helper()
	o.node()
	name := o.kubectl("get", "pod", o.devPod(), "-o", "jsonpath={.spec.nodeName}")
	open := func() {
		ctx, cancel := o.within()
		defer cancel()
		if _, err := o.Kubectl(ctx, "", "uncordon", name); err != nil {
			o.t.Error(err)
		}
	}
	o.t.Cleanup(open)
	o.kubectl("cordon", name)
	o.replaced(func(pod string) {
		o.evict(pod)
		o.up.err("Unschedulable")
		open()
	})
}

// noRoom leaves no room for another pod.
func (p *place) noRoom() {
	p.t.Helper()
	p.kubectl("create", "quota", "none", "--hard=pods=0")
	// What it counts it counts a moment later.
	eventually(p.t, "the quota", func() bool {
		return p.kubectl("get", "quota", "none", "-o", "jsonpath={.status.used.pods}") != ""
	})
}

// outOfMemory has memory run out in the dev container, and the kernel kill a
// process for it: the first one goes where version 2 of control groups kills all.
func (o *ordeal) outOfMemory(victim int) {
	o.t.Helper()
	hog := o.start(slices.Concat([]string{"exec"}, o.flags, []string{"api", "--", "sh", "-c", "echo ready; read -r line; exec tail /dev/zero"})...)
	hog.out("ready\n")
	for _, pid := range o.dev.processes() {
		score := "0"
		if pid == victim {
			score = "1000"
		}
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(score), 0); err != nil && pid == victim {
			o.t.Fatal(err)
		}
	}
	hog.say("now")
}

// command returns the processes of the command, its first one first.
func (o *ordeal) command() (pids []int) {
	o.t.Helper()
	for _, pid := range o.dev.processes() {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(line), repeater) {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		o.t.Fatal("the command does not run")
	}
	return pids
}

// crash has the command crash.
func (o *ordeal) crash() {
	o.t.Helper()
	for _, pid := range o.command() {
		_ = syscall.Kill(pid, syscall.SIGSEGV) // its child may have ended with it
	}
}

// processes returns those of the container, as the node numbers them.
func (c *container) processes() (pids []int) {
	c.t.Helper()
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.process()))
	if err != nil {
		c.t.Fatal(err)
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, dir := range all {
		// Processes that end meanwhile have no group.
		group, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && string(group) == string(own) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// squeeze takes all memory from the container that it does not use.
func (c *container) squeeze() {
	c.t.Helper()
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.process()))
	if err != nil {
		c.t.Fatal(err)
	}
	_, group, found := strings.Cut(string(groups), ":memory:")
	if !found {
		c.t.Skip("the node has version 2 of control groups, or none")
	}
	group, _, _ = strings.Cut(group, "\n")
	limit := filepath.Join("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
	const step = 1 << 20
	for bytes := 64 * step; bytes > 0; bytes -= step {
		// The kernel refuses what it cannot make true.
		if err := os.WriteFile(limit, []byte(strconv.Itoa(bytes)), 0); err != nil {
			c.t.Logf("the sidecar has %d MiB left: %v", bytes/step+1, err)
			return
		}
	}
}

// TestLastWords deletes a pod whose command takes the time that it has to end:
// what it says and writes then is not lost.
func TestLastWords(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(strings.Replace(p.deployment("api"), "terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 30", 1))
	p.write("okteto.yaml", manifest)
	s := p.start("up", "--", "sh", "-c", `trap 'sleep 3; echo last words; echo kept >last.txt; exit' TERM
echo ready; cat & while :; do sleep 0.1; done`)
	s.out("ready\n")
	p.kubectl("delete", "pod", p.devPod(), "--wait=false")
	s.out("last words\n")
	s.err("running the command again")
	eventually(t, "what it wrote last", func() bool { return p.read("last.txt") == "kept\n" })
	eventually(t, "the command in the next pod", func() bool { return strings.Count(s.Stdout.String(), "ready\n") == 2 })
}

// TestCtrlCWhileThePodIsGone ends `up` while the pod cannot come back. Nothing is
// left by half: `down` brings the original back as it was.
func TestCtrlCWhileThePodIsGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	p.noRoom()
	p.kubectl("delete", "pod", p.devPod(), "--wait=false")
	s.err("refused by the quota")
	pressed := time.Now()
	if err := s.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := s.code(); code != 130 {
		t.Errorf("up ended with %d, want 130", code)
	}
	t.Logf("it took %v to end", time.Since(pressed))
	p.kubectl("delete", "quota", "none")
	p.restores("deploy/api", before, "api")
}
