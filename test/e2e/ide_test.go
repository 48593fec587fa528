//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// TestIDEServer installs a server as IDEs do, in a container whose user no image
// knows and whose file system is read-only: by a script for a shell, in the home
// folder that docs/ides.md sets. It is reached through ssh -D, goes on when the
// connection is lost, and its files are there for the next pod.
func TestIDEServer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", fmt.Sprintf(`
dev:
  api:
    command: sh
    workdir: /app
    sync: [".:/app"]
    image: %s/debian:1
    environment: {HOME: /home/dev}
    volumes: [/home/dev]
    persistentVolume: {size: 20Mi}
    securityContext:
      runAsUser: 1234567
      runAsGroup: 0
      runAsNonRoot: true
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
`, p.Registry))
	p.ok("up", "--", "true")
	const script = `mkdir -p ~/.ide && cd ~/.ide
[ "$(cat pod)" = "$(hostname)" ] || { hostname >pod; python3 -u -m http.server --bind 127.0.0.1 0 </dev/null >log 2>&1 & echo $! >pid; }
until port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' log) && [ "$port" ]; do sleep 0.1; done; echo $port $(cat pid) $(id -u)
`
	installed := p.connectIDE(script)
	if again := p.connectIDE(script); again != installed {
		t.Errorf("the second connection finds the server %q, the first had started %q", again, installed)
	}
	if !strings.HasSuffix(installed, " 1234567") {
		t.Errorf("the server is %q", installed)
	}
	p.replacePod()
	if got := p.with("ssh", "api.okteto", "cat ~/.ide/pod"); !strings.HasPrefix(got, "api-okteto-") {
		t.Errorf("the next pod has %q", got)
	}
}

// connectIDE runs the script of an IDE, asks the server that it names for its
// process id, and breaks off. It returns what the script says.
func (p *place) connectIDE(script string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), lab.Patience)
	defer cancel()
	proxy := fmt.Sprintf("127.0.0.1:%d", freePorts(p.t, 1)[0])
	ssh := p.client(ctx, "ssh", "-T", "-D", proxy, "api.okteto", "sh")
	stdin, err := ssh.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stdout, err := ssh.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stderr := lab.NewTranscript()
	ssh.Stderr = stderr
	if err := ssh.Start(); err != nil {
		p.t.Fatal(err)
	}
	defer func() {
		_ = ssh.Process.Kill()
		_ = ssh.Wait()
	}()
	if _, err := io.WriteString(stdin, script); err != nil {
		p.t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	said = strings.TrimSpace(said)
	words := strings.Fields(said)
	if err != nil || len(words) != 3 {
		p.t.Fatalf("the script says %q, %v\n%s", said, err, stderr)
	}
	client := http.Client{
		Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: proxy}), DisableKeepAlives: true},
		Timeout:   lab.Patience,
	}
	r, err := client.Get("http://localhost:" + words[0] + "/pid")
	if err != nil {
		p.t.Fatalf("%v\n%s", err, stderr)
	}
	defer func() { _ = r.Body.Close() }()
	if pid, err := io.ReadAll(r.Body); strings.TrimSpace(string(pid)) != words[1] {
		p.t.Errorf("the server says %q, %v; the script %q", pid, err, said)
	}
	return said
}
