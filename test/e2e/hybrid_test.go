//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// hybridWeb is a workload with a Service, a second pod that calls it, and an
// environment from every source.
func (p *place) hybridWeb() {
	p.t.Helper()
	p.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: common}
data: {BOTH: from the ConfigMap, ONLY_MAP: map, my.dotted-name: "a = b", THREE: map}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {BOTH: from the Secret, ONLY_SECRET: "s3cr3t\nof two lines", THREE: secret}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 3000}]
---` + p.podAs("web", `
terminationGracePeriodSeconds: 1
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [httpd, -f, -p, "3000"]
  ports: [{containerPort: 3000}]
  resources: {limits: {memory: 64Mi}}
  envFrom:
  - configMapRef: {name: common}
  - secretRef: {name: keys}
  - prefix: PRE_
    secretRef: {name: keys}
  - configMapRef: {name: not-there, optional: true}
  env:
  - {name: THREE, value: spec}
  - {name: REFERS, value: "$(ONLY_MAP)/$(THREE)"}
  - {name: HOME, value: /pods/home}
  - name: APP
    valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}
  - name: MEMORY
    valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}
  - name: ABSENT
    valueFrom: {secretKeyRef: {name: not-there, key: x, optional: true}}
`) + "---" + p.podAs("caller", `
terminationGracePeriodSeconds: 1
containers: [{name: main, image: REGISTRY/debian:1, command: [sleep, "86400"]}]
`))
	for _, name := range []string{"web", "caller"} {
		if err := p.Ready(p.t.Context(), "deploy/"+name); err != nil {
			p.t.Fatal(err)
		}
	}
}

// hybridManifest leads the workload's port to a port of the laptop.
func hybridManifest(port int) string {
	return fmt.Sprintf(`
dev:
  web:
    mode: hybrid
    workdir: app
    command: ["sh serve.sh"]
    environment: {THREE: manifest, FROM_MANIFEST: manifest}
    reverse: ["3000:%d"]
`, port)
}

// call calls the workload by its Service's name from another pod.
func (p *place) call(path string) (string, error) {
	program := fmt.Sprintf("import urllib.request as u; print(u.urlopen('http://web/%s', timeout=60).read().decode(), end='')", path)
	return p.Kubectl(p.t.Context(), "", "exec", "deploy/caller", "--", "python3", "-c", program)
}

// controlled is the process on the laptop, which says who it is and does what it
// is told.
const controlled = "echo pid $$\nwhile read -r line; do eval \"$line\"; done\n"

// environ returns the variables of a local process of a name.
func environ(t *testing.T, pid int) []string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

// pidOf returns the number that the process said last.
func pidOf(t *testing.T, s *session) int {
	t.Helper()
	all := strings.Split(s.Stdout.String(), "pid ")
	number, _, _ := strings.Cut(all[len(all)-1], "\n")
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("%v in\n%s", err, s.Stdout)
	}
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// TestHybridServes has another pod call a program on the laptop by the workload's
// Service, also while that program restarts.
func TestHybridServes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.hybridWeb()
	before := p.snapshot("deploy/web")
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p.write("okteto.yaml", hybridManifest(port))
	p.write("app/serve.sh", controlled)
	s := p.start("up", "web")
	s.out("pid ")
	s.err(fmt.Sprintf("reverse  3000 <- %d", port))
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	serve := func(text string) (stop func()) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, text+" "+r.URL.Path)
		})}
		server.SetKeepAlivesEnabled(false)
		go func() { _ = server.Serve(l) }()
		return func() { _ = server.Close() }
	}
	stop := serve("laptop")
	if got, err := p.call("hello"); got != "laptop /hello" {
		t.Errorf("another pod got %q, %v", got, err)
	}
	stop()
	// Nobody listens now: the requests wait for whoever comes next.
	answers := make(chan string, 5)
	for i := range cap(answers) {
		go func() {
			out, err := p.call(strconv.Itoa(i))
			answers <- fmt.Sprint(out, err)
		}()
	}
	eventually(t, "the requests are on their way", func() bool {
		processes := p.kubectl("exec", "deploy/caller", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
		return strings.Count(processes, "http://web") == cap(answers)
	})
	defer serve("again")()
	var got []string
	for range cap(answers) {
		got = append(got, <-answers)
	}
	slices.Sort(got)
	if want := []string{"again /0<nil>", "again /1<nil>", "again /2<nil>", "again /3<nil>", "again /4<nil>"}; !slices.Equal(got, want) {
		t.Errorf("during a restart the answers are %q", got)
	}

	status := p.ok("status", "web", "-o", "json").stdout
	if !strings.Contains(status, `"mode":"hybrid"`) || !strings.Contains(p.ok("status", "web").stdout, "hybrid") {
		t.Errorf("the status does not tell the mode: %s", status)
	}
	mode := p.kubectl("get", "deploy", "web", "web-okteto", "-o", `jsonpath={.items[*].metadata.annotations.dev\.okteto\.com/dev-mode}`)
	if mode != "hybrid hybrid" {
		t.Errorf("the annotations are %q", mode)
	}
	pid := pidOf(t, s)
	s.say("sleep 1000 & echo child pid $!; exit 7")
	if code := s.code(); code != 7 {
		t.Errorf("exit code %d, want the command's 7", code)
	}
	if child := pidOf(t, s); child == pid || alive(child) {
		t.Errorf("process %d is left behind", child)
	}
	p.ok("down", "web")
	if after := p.snapshot("deploy/web"); after != before {
		t.Errorf("the original is not as it was:\n%s\nwant\n%s", after, before)
	}
}

// TestHybridEnvironment compares the environment of the local process with that of
// the original container.
func TestHybridEnvironment(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.hybridWeb()
	original := strings.Split(p.kubectl("exec", "deploy/web", "--", "sh", "-c", "tr '\\0' '\\1' </proc/1/environ"), "\x01")
	// A shell between would drop names that are not a shell's.
	p.write("okteto.yaml", strings.Replace(hybridManifest(0x8000), `["sh serve.sh"]`, "[sh, serve.sh]", 1))
	p.write("app/serve.sh", "pwd; "+controlled)
	s := p.start("up", "web")
	s.out("pid ")
	if got := s.Stdout.String(); !strings.HasPrefix(got, filepath.Join(p.src, "app")+"\n") {
		t.Errorf("it runs elsewhere: %q", got)
	}
	local := environ(t, pidOf(t, s))
	for _, want := range []string{
		"BOTH=from the ConfigMap", "THREE=manifest", "FROM_MANIFEST=manifest", "ONLY_MAP=map", "ONLY_SECRET=s3cr3t\nof two lines",
		"PRE_BOTH=from the Secret", "PRE_ONLY_SECRET=s3cr3t\nof two lines", "my.dotted-name=a = b", "REFERS=map/manifest",
		"APP=web", "MEMORY=64", "HOME=" + p.Home, "PATH=" + os.Getenv("PATH"), "OKTETO_NAME=web",
	} {
		if !slices.Contains(local, want) {
			t.Errorf("the local process has no %q", want)
		}
	}
	// Of all that the original has only those differ that have to.
	differs := []string{"BOTH", "THREE", "REFERS", "HOME", "PATH", "HOSTNAME", "SHLVL", "PWD"}
	for _, e := range original {
		name, _, _ := strings.Cut(e, "=")
		if e != "" && !slices.Contains(differs, name) && !slices.Contains(local, e) {
			t.Errorf("the original's %q is missing", e)
		}
	}
	if len(original) < 15 {
		t.Errorf("the original has only %q", original)
	}
	if slices.ContainsFunc(local, func(e string) bool { return strings.HasPrefix(e, "ABSENT=") }) {
		t.Error("an optional reference to nothing became a variable")
	}
}

// TestHybridReconnects cuts the connection, then replaces the pod: the local
// process goes on, until its environment is another one. Killed, the plugin leaves
// nothing behind.
func TestHybridReconnects(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.hybridWeb()
	p.write("okteto.yaml", hybridManifest(0x8001))
	p.write("app/serve.sh", controlled)
	proxy, kubeconfig := p.outage()
	s := p.start("up", "web", "--kubeconfig", kubeconfig)
	s.out("pid ")
	first := pidOf(t, s)
	proxy.Cut()
	s.err("reconnecting to web")
	p.kubectl("delete", "pod", "-l", "app=web,interactive.dev.okteto.com=web", "--wait=false")
	eventually(t, "another pod is connected", func() bool { return strings.Count(s.Stderr.String(), "development container web is running") >= 2 })
	s.say("echo still $$")
	s.out(fmt.Sprintf("still %d\n", first))

	p.kubectl("patch", "configmap", "common", "-p", `{"data":{"ONLY_MAP":"another"}}`)
	p.kubectl("delete", "pod", "-l", "app=web,interactive.dev.okteto.com=web", "--wait=false")
	s.err("the environment of the pod changed (ONLY_MAP, REFERS): running the command again")
	eventually(t, "the command runs again", func() bool { return strings.Count(s.Stdout.String(), "pid ") >= 2 })
	second := pidOf(t, s)
	if second == first || alive(first) || !slices.Contains(environ(t, second), "ONLY_MAP=another") {
		t.Errorf("process %d came after %d, which is there: %v", second, first, alive(first))
	}
	s.say("sleep 1000 & echo child pid $!")
	s.out("child pid ")
	child := pidOf(t, s)
	if err := s.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left behind", func() bool { return !alive(second) && !alive(child) })
}

// TestHybridRefuses says what is wrong before anything in the cluster changes.
func TestHybridRefuses(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("web")
	before := p.snapshot("deploy/web")
	p.write("okteto.yaml", hybridManifest(0x8002))
	r := p.run("", "up", "web")
	if r.code != 2 || !strings.Contains(r.stderr, "app\" does not exist") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	p.write("app/x", "")
	r = p.run("", "up", "web", "--detach")
	if r.code != 255 || !strings.Contains(r.stderr, "leave the flag out") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	out := p.ok("up", "web", "--dry-run").stdout
	if !strings.Contains(out, "dev.okteto.com/dev-mode: hybrid") || strings.Contains(out, "dev-mode: sync") {
		t.Errorf("--dry-run does not show the mode:\n%s", out)
	}
	if after := p.snapshot("deploy/web"); after != before {
		t.Errorf("something was changed:\n%s", after)
	}
}
