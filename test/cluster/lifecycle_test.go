//go:build e2e && linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
)

// workload is what a cluster must be able to run: a Service, a dynamic volume
// and an image volume.
const workload = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: web
    image: 127.0.0.1:5000/web:1
    env: [{name: GREETING, value: hello}]
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  containers:
  - name: box
    image: 127.0.0.1:5000/busybox:1
    command: [sh, -c, "echo started; exec sleep 10000"]
    volumeMounts: [{name: data, mountPath: /data}, {name: image, mountPath: /image}]
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: data}}
  - {name: image, image: {reference: "127.0.0.1:5000/debian:1"}}
`

// lab runs the verbs as a person does.
type lab struct {
	t              *testing.T
	program, state string
}

// verb runs a verb and returns what it printed and whether it succeeded.
func (l lab) verb(args ...string) (string, bool) {
	l.t.Helper()
	l.t.Log("cluster", strings.Join(args, " "))
	command := exec.Command(l.program, append(args, "-state", l.state)...)
	command.Env = append(os.Environ(), contextVar+"=")
	output, err := command.CombinedOutput()
	if args[0] != "env" {
		l.t.Logf("%v\n%s", err, output)
	}
	return string(output), err == nil
}

// must runs a verb that has to succeed.
func (l lab) must(args ...string) string {
	l.t.Helper()
	output, ok := l.verb(args...)
	if !ok {
		l.t.Fatalf("cluster %s has failed", strings.Join(args, " "))
	}
	return output
}

// shell runs a script in the environment that the verb env prints.
func (l lab) shell(script string) string {
	l.t.Helper()
	command := exec.Command("sh", "-ec", l.must("env")+script)
	output, err := command.CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", script, err, output)
	}
	return string(output)
}

// TestLifecycle starts a cluster, uses it, breaks it in several ways, and
// checks that it leaves the machine as it was.
func TestLifecycle(t *testing.T) {
	if os.Getenv(contextVar) != "" && os.Getenv(contextVar) != node.Context {
		t.Skipf("%s names another cluster", contextVar)
	}
	if os.Geteuid() != 0 {
		t.Skip("a cluster needs root")
	}
	if output, err := exec.Command("ip", "link", "show", node.Context).CombinedOutput(); err == nil {
		t.Skipf("a cluster is running already: %s", output)
	}
	dir, err := os.MkdirTemp("/var/tmp", "lifecycle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := lab{t: t, program: filepath.Join(dir, "cluster"), state: filepath.Join(dir, "state")}
	if output, err := exec.Command("go", "build", "-o", l.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, output)
	}
	t.Cleanup(func() { exec.Command(l.program, "down", "-state", l.state).Run() })
	before := machine(t, l.state)
	l.must("up")
	l.must("status")
	t.Run("workload", l.runWorkload)
	t.Run("build", l.runBuild)
	t.Run("twice", l.runTwice)
	t.Run("component", l.killComponent)
	t.Run("supervisor", l.killSupervisor)
	l.must("down")
	if diff := cmp.Diff(before, machine(t, l.state)); diff != "" {
		t.Errorf("what the cluster left behind (-before +after):\n%s", diff)
	}
	if _, err := os.Stat(l.state); err == nil {
		t.Error("the state folder is left behind")
	}
	if output, _ := l.verb("down"); !strings.Contains(output, "no cluster") {
		t.Errorf("down again says %q", output)
	}
}

func (l lab) runWorkload(t *testing.T) {
	l.t = t
	file := filepath.Join(t.TempDir(), "workload.yaml")
	if err := os.WriteFile(file, []byte(workload), 0o644); err != nil {
		t.Fatal(err)
	}
	l.shell("kubectl apply -f " + file + " && kubectl wait --for=condition=Ready pod/web pod/box --timeout=60s")
	for script, want := range map[string]string{
		"kubectl exec box -- wget -qO- http://web/env/GREETING":              "hello",
		"kubectl exec box -- nslookup web.default.svc.cluster.local":         "Address: 10.213.",
		"kubectl exec box -- sh -c 'echo kept > /data/file; cat /data/file'": "kept",
		"kubectl exec box -- ls /image/usr/bin/git":                          "git",
		"kubectl logs box": "started",
		"kubectl get pvc data -o jsonpath={.status.phase}":                                "Bound",
		"kubectl get --raw /api/v1/namespaces/default/services/web:80/proxy/env/GREETING": "hello",
	} {
		if got := l.shell(script); !strings.Contains(got, want) {
			t.Errorf("%s prints %q, want %q", script, got, want)
		}
	}
}

func (l lab) runBuild(t *testing.T) {
	l.t = t
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM 127.0.0.1:5000/busybox:1\nRUN echo built > /file\nCMD [\"cat\", \"/file\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l.shell("buildctl build --frontend dockerfile.v0 --local context=" + dir + " --local dockerfile=" + dir +
		" --output type=image,name=$OKTETO_TEST_REGISTRY/lifecycle:1,push=true")
	got := l.shell("kubectl run built --image=127.0.0.1:5000/lifecycle:1 --restart=Never && " +
		"kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/built --timeout=60s && kubectl logs built")
	if !strings.HasSuffix(got, "built\n") {
		t.Errorf("the pod prints %q", got)
	}
}

// runTwice checks that a second cluster is refused, with the same state folder
// and with another one, and that down with another one spares the first.
func (l lab) runTwice(t *testing.T) {
	l.t = t
	other := lab{t, l.program, l.state + "-other"}
	for _, second := range []lab{l, other} {
		if output, ok := second.verb("up"); ok || !strings.Contains(output, "running on this machine already") {
			t.Errorf("a second up with %s: %v, %q", second.state, ok, output)
		}
	}
	other.verb("down")
	l.must("status")
}

// killComponent breaks the cluster for a while, as tests of faults do.
func (l lab) killComponent(t *testing.T) {
	l.t = t
	l.must("kill", "kube-apiserver")
	if output, ok := l.verb("status"); ok || !strings.Contains(output, "not well: kube-apiserver") {
		t.Errorf("status without an API server: %v, %q", ok, output)
	}
	l.must("start", "kube-apiserver")
	l.shell("kubectl get pods")
}

// killSupervisor ends the whole cluster at once, as a crash would. Everything
// must be gone with it, and up must work again.
func (l lab) killSupervisor(t *testing.T) {
	l.t = t
	pids := strings.Fields(l.shell("pgrep -f '^" + l.state + "/run/node'"))
	if len(pids) != 1 {
		t.Fatalf("supervisors: %v", pids)
	}
	l.shell("kill -9 " + pids[0])
	if output, ok := l.verb("status"); ok {
		t.Errorf("status of a killed cluster: %q", output)
	}
	l.must("up")
	if got := l.shell("kubectl get pods"); !strings.Contains(got, "No resources") {
		t.Errorf("a new cluster has the pods of the former one: %s", got)
	}
}

// machine lists what a cluster could leave behind.
func machine(t *testing.T, state string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for name, script := range map[string]string{
		"interfaces":     "ls /sys/class/net",
		"rules":          "iptables-save; ip6tables-save",
		"mounts":         "cut -d' ' -f2,3 /proc/mounts",
		"control groups": "find /sys/fs/cgroup -type d -path '*" + node.Context + "*'",
		"settings":       "sysctl -a 2>/dev/null | grep -E '^(vm|kernel|net)' | grep -E 'overcommit_memory|panic|forward|conntrack_|bridge-nf|route_localnet|root_max' | grep -v conntrack_count",
		"files":          "ls -d /run/* /run/netns/* /var/lib/* /var/log/* /opt/* /etc/cni /usr/libexec/* 2>/dev/null || true",
		"processes":      "ps -eo args= | grep -F " + filepath.Dir(state) + "/ | grep -v grep || true",
	} {
		output, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		// Counters and times change by themselves.
		text := regexp.MustCompile(`(?m)\[\d+:\d+\]|^#.*$`).ReplaceAllString(string(output), "")
		lines := strings.Split(strings.TrimSpace(text), "\n")
		slices.Sort(lines)
		all[name] = lines
	}
	return all
}
