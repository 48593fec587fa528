//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// manifest is the okteto.yaml that most tests use.
const manifest = `
dev:
  api:
    command: sh
    workdir: /app
    sync: [".:/app"]
    environment: {FROM_MANIFEST: manifest}
`

func TestUpThenDown(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	p.write("hello.txt", "hello from the laptop\n")

	r := p.ok("up", "api", "--", "sh", "-c", "cat hello.txt; pwd; echo $FROM_SPEC $FROM_MANIFEST; echo generated > made-in-pod.txt")
	if want := "hello from the laptop\n/app\nspec manifest\n"; r.stdout != want {
		t.Errorf("the command wrote %q, want %q\n%s", r.stdout, want, r.stderr)
	}
	if got := p.read("made-in-pod.txt"); got != "generated\n" {
		t.Errorf("what the command wrote did not come back before up ended: %q", got)
	}
	for _, hint := range []string{"kubectl okteto up api", "kubectl okteto down api"} {
		if !strings.Contains(r.stderr, hint) {
			t.Errorf("up does not say %q at its end:\n%s", hint, r.stderr)
		}
	}

	p.ok("down", "api")
	if after := p.snapshot("deploy/api"); after != before {
		t.Errorf("down did not restore the original to the byte:\n%s\nwas\n%s", after, before)
	}
	eventually(t, "the clone and the lease are gone", func() bool {
		return strings.TrimSpace(p.kubectl("get", "deploy,lease,pvc", "-o", "name")) == "deployment.apps/api"
	})
	if r := p.ok("down", "api"); !strings.Contains(r.stderr, "api") {
		t.Errorf("a second down says nothing of api: %q", r.stderr)
	}
}

func TestUpPassesTheExitCodeOn(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	for _, code := range []int{0, 1, 42, 255} {
		if r := p.run("", "up", "--", "sh", "-c", fmt.Sprintf("exit %d", code)); r.code != code {
			t.Errorf("up ended with %d, want %d\n%s", r.code, code, r.stderr)
		}
	}
	if r := p.run("", "up", "--", "sh", "-c", "kill -TERM $$"); r.code != 128+15 {
		t.Errorf("up of a command that SIGTERM ended returned %d, want 143\n%s", r.code, r.stderr)
	}
	if r := p.run("", "up", "--", "no-such-program"); r.code != 127 {
		t.Errorf("up of an unknown command returned %d, want 127\n%s", r.code, r.stderr)
	}
}

func TestUpWithoutTerminalKeepsPipesApart(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	r := p.run("one\ntwo\n", "up", "--", "sh", "-c", "cat; echo problem >&2; test -t 1 || echo no tty")
	if r.stdout != "one\ntwo\nno tty\n" || !strings.Contains(r.stderr, "problem\n") {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
}

func TestUpOnATerminal(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	cmd := p.Command(t.Context(), p.src, "up", "api")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 31, Cols: 97})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	screen := lab.NewTranscript()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			_, _ = screen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	s := &session{t: t, Session: &lab.Session{Stdout: screen, Stderr: screen}}
	s.out("# ")
	_, _ = terminal.WriteString("stty size; tty\r")
	s.out("31 97\r\n/dev/pts/")
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	_, _ = terminal.WriteString("until [ \"$(stty size)\" = '40 120' ]; do :; done; echo resi''zed\r")
	s.out("resized")
	_, _ = terminal.WriteString("trap 'echo inter''rupted' INT; echo sleep''ing; sleep 1000\r")
	s.out("sleeping")
	_, _ = terminal.WriteString("\x03")
	s.out("interrupted")
	_, _ = terminal.WriteString("exit 7\r")
	select {
	case <-copied:
	case <-time.After(lab.Patience):
		t.Fatalf("up does not end:\n%s", screen)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("up ended with %v, want exit status 7\n%s", err, screen)
	}
}

func TestSyncGoesBothWays(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.write(".stignore", "*.log\n")
	p.write("a/b.txt", "one")
	p.write("noise.log", "noise")
	s := p.start("up", "--", "sh", "-c", "echo ready; while read -r line; do eval \"$line\"; done")
	s.out("ready\n")
	s.say("cat a/b.txt; echo; ls *.log 2>/dev/null; echo listed")
	s.out("one\nlisted\n")

	p.write("a/b.txt", "two")
	s.say("until [ \"$(cat a/b.txt)\" = two ]; do :; done; echo edited")
	s.out("edited")
	if err := os.Remove(filepath.Join(p.src, "a/b.txt")); err != nil {
		t.Fatal(err)
	}
	s.say("while [ -e a/b.txt ]; do :; done; echo deleted")
	s.out("deleted")

	s.say("mkdir -p deep/er; printf pod > deep/er/file; ln -s file deep/er/link; chmod 755 deep/er/file; echo wrote")
	eventually(t, "the pod's file arrives with its mode", func() bool {
		info, err := os.Stat(filepath.Join(p.src, "deep/er/file"))
		return err == nil && info.Mode().Perm() == 0o755 && p.read("deep/er/link") == "pod"
	})
	s.say("rm -r deep; echo gone")
	eventually(t, "the pod's deletion arrives", func() bool {
		_, err := os.Stat(filepath.Join(p.src, "deep"))
		return os.IsNotExist(err)
	})
	if p.read("noise.log") != "noise" {
		t.Error("an ignored file was touched")
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
}

func TestExecInParallelFromAnotherMachine(t *testing.T) {
	p := newPlace(t)
	s := p.develop()

	other := p.elsewhere()
	var wg sync.WaitGroup
	for i := range 8 {
		from := p
		if i%2 == 1 {
			from = other
		}
		wg.Go(func() {
			payload := strings.Repeat(fmt.Sprintf("line %d\n", i), 2000)
			r := from.run(payload, "exec", "api", "--", "sh", "-c", fmt.Sprintf("cat; exit %d", i))
			if r.stdout != payload || r.code != i {
				t.Errorf("exec %d: %d bytes of %d, exit code %d\n%s", i, len(r.stdout), len(payload), r.code, r.stderr)
			}
		})
	}
	wg.Wait()
	r := p.ok("exec", "api", "--", "printf", "%s|", "a b", "$HOME", "'", "")
	if r.stdout != "a b|$HOME|'||" {
		t.Errorf("the arguments did not arrive as they were: %q", r.stdout)
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
}

func TestExecSeesWhatWasSavedBefore(t *testing.T) {
	p := newPlace(t)
	p.develop()
	for i := range 10 {
		want := bytes.Repeat([]byte{byte('a' + i)}, 300_000)
		p.write("big.txt", string(want))
		if r := p.ok("exec", "api", "--", "cat", "big.txt"); r.stdout != string(want) {
			t.Fatalf("round %d: exec ran on stale code: %d bytes, starting with %.1q", i, len(r.stdout), r.stdout)
		}
	}
}

func TestForwardAndReverse(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.apply(p.podAs("web", `
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sh, -c, "mkdir -p /www && echo from web > /www/index.html && exec httpd -f -p 8081 -h /www"]
`))
	p.apply(`
apiVersion: v1
kind: Service
metadata: {name: web, labels: {role: web}}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8081}]
`)
	if err := p.Ready(t.Context(), "deploy/web"); err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 5)
	p.write("okteto.yaml", fmt.Sprintf(manifest+`
    forward:
    - %d:8080
    - %d:web:80
    - {localPort: %d, remotePort: 80, labels: {role: web}}
    reverse:
    - 9000:%d
forward:
- %d:web:80
`, ports[0], ports[1], ports[2], ports[3], ports[4]))
	p.write("www/index.html", "from the pod")
	answer := serve(t, ports[3], "from the laptop")
	s := p.start("up", "--", "sh", "-c", "httpd -p 127.0.0.1:8080 -h www; echo ready; cat")
	s.out("ready\n")
	for port, want := range map[int]string{
		ports[0]: "from the pod", ports[1]: "from web\n", ports[2]: "from web\n", ports[4]: "from web\n",
	} {
		if got := get(t, port); got != want {
			t.Errorf("port %d answers %q, want %q", port, got, want)
		}
	}
	if r := p.ok("exec", "api", "--", "wget", "-qO-", "http://127.0.0.1:9000/"); r.stdout != "from the laptop" {
		t.Errorf("through the reverse tunnel the pod read %q", r.stdout)
	}
	if got := answer(); got == 0 {
		t.Error("the laptop's server saw no request")
	}
}

// TestStatefulSetKeepsNameAndClaim has claims that one pod at a time may have, so
// that the original's pod has to end first.
func TestStatefulSetKeepsNameAndClaim(t *testing.T) {
	p := newPlace(t)
	p.apply(fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  ordinals: {start: 3}
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 3
      containers:
      - name: main
        image: %s/busybox:1
        command: [sh, -c, "hostname >>/data/file; exec sleep 86400"]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOncePod], resources: {requests: {storage: 10Mi}}}
`, p.Registry))
	if err := p.Ready(t.Context(), "sts/db"); err != nil {
		t.Fatal(err)
	}
	before, claims := p.snapshot("sts/db"), p.claims()
	p.write("okteto.yaml", "dev:\n  db:\n    sync: ['.:/src']\n")
	r := p.ok("up", "--", "sh", "-c", "hostname -f; cat /data/file; echo developed >>/data/file")
	if want := "db-3.db." + p.Namespace + ".svc."; !strings.HasPrefix(r.stdout, want) || !strings.HasSuffix(r.stdout, "\ndb-3\n") {
		t.Errorf("the dev container of a StatefulSet wrote %q", r.stdout)
	}
	if !strings.Contains(r.stderr, "is still theirs") {
		t.Errorf("up does not say what it waits for:\n%s", r.stderr)
	}
	if got := p.claims(); got != claims {
		t.Errorf("there are the claims %s, not %s", got, claims)
	}
	p.restores("sts/db", before)
	if err := p.Ready(t.Context(), "sts/db"); err != nil {
		t.Fatal(err)
	}
	for pod, want := range map[string]string{"db-3": "db-3\ndeveloped\ndb-3\n", "db-4": "db-4\ndb-4\n"} {
		if got := p.kubectl("exec", pod, "--", "cat", "/data/file"); got != want {
			t.Errorf("%s has %q, want %q", pod, got, want)
		}
	}
}

func TestUpWithoutManifest(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("main.txt", "no manifest")
	if r := p.ok("up", "api", "--", "cat", "/app/main.txt"); r.stdout != "no manifest" {
		t.Errorf("got %q\n%s", r.stdout, r.stderr)
	}
	p.ok("down", "api")
}

func TestDistrolessImage(t *testing.T) {
	p := newPlace(t)
	p.apply(p.podAs("api", `
containers: [{name: main, image: "REGISTRY/distroless:1"}]
`))
	p.write("okteto.yaml", "dev:\n  api:\n    sync: ['.:/src']\n")
	p.write("file.txt", "in a distroless image")
	s := p.start("up", "--", "/var/okteto/bin/agent", "version")
	if code := s.code(); code != 0 {
		t.Errorf("a command in an image without a shell ended with %d\n%s", code, s.Stderr)
	}
	if r := p.run("", "exec", "api", "--", "sh"); r.code != 127 {
		t.Errorf("a shell in an image without one ended with %d, want 127\n%s", r.code, r.stderr)
	}
}

func TestSecondUpIsRefusedUntilItTakesOver(t *testing.T) {
	p := newPlace(t)
	first := p.develop()
	r := p.run("", "up", "--", "true")
	if r.code == 0 || !strings.Contains(r.stderr, "--take-over") || !strings.Contains(r.stderr, "exec") {
		t.Errorf("a second up: exit code %d\n%s", r.code, r.stderr)
	}
	p.ok("up", "--take-over", "--", "true")
	if code := first.code(); code == 0 {
		t.Errorf("the first up ended with 0 after a take-over")
	}
	first.err("took over")
}

func TestUpReconnectsInPlace(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	name := func() string {
		return p.kubectl("get", "pods", "-l", "interactive.dev.okteto.com=api", "-o", "jsonpath={.items[*].metadata.name}")
	}
	p.ok("up", "--", "true")
	first := name()
	p.ok("up", "--", "true")
	if second := name(); first == "" || first != second {
		t.Errorf("the second up replaced pod %q by %q", first, second)
	}
}

func TestPodDeletedInTheMiddle(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.write("file.txt", "survives")
	s := p.start("up", "--", "sh", "-c", "echo ready on $(hostname); cat file.txt; cat")
	s.out("ready on ")
	p.kubectl("delete", "pod", "-l", "interactive.dev.okteto.com=api", "--grace-period=0", "--force", "--wait=false")
	s.err("reconnect")
	eventually(t, "the command runs again in the new pod", func() bool {
		return strings.Count(s.Stdout.String(), "survives") == 2
	})
	if p.read("file.txt") != "survives" {
		t.Error("the laptop's file was lost")
	}
}

func TestDownWorksWhenHalfIsGone(t *testing.T) {
	for name, damage := range map[string][]string{
		"clone gone":    {"delete", "deploy", "api-okteto"},
		"original gone": {"delete", "deploy", "api"},
		"lease gone":    {"delete", "lease", "--all"},
		"scaled up":     {"scale", "deploy", "api", "--replicas=3"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.deployed("api")
			p.write("okteto.yaml", manifest)
			p.ok("up", "--", "true")
			p.kubectl(damage...)
			p.ok("down", "api")
			p.ok("down", "api")
			eventually(t, "nothing of up is left", func() bool {
				left := p.kubectl("get", "deploy,lease", "-o", "name")
				return !strings.Contains(left, "okteto")
			})
			if name == "clone gone" {
				if got := p.kubectl("get", "deploy", "api", "-o", "jsonpath={.spec.replicas}"); got != "2" {
					t.Errorf("the original has %s replicas, want 2", got)
				}
			}
		})
	}
}

func TestVersionNeedsNoCluster(t *testing.T) {
	cmd := exec.Command("../../bin/kubectl-okteto", "version")
	cmd.Env = []string{"HOME=" + t.TempDir(), "KUBECONFIG=/nonexistent"}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "0.1.0") {
		t.Errorf("version: %v\n%s", err, out)
	}
}
