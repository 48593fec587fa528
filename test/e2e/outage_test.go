//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// outage puts a proxy between the plugin and the API server, and returns it and
// a kubeconfig that leads through it: outages must not reach other tests.
func (p *place) outage() (*tunneltest.Proxy, string) {
	p.t.Helper()
	proxy, file, err := p.Proxy(p.t.Context(), p.t.TempDir())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = proxy.Close() })
	return proxy, file
}

// TestAPIServerGone cuts all connections off and lets none in for a while.
func TestAPIServerGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.write("file.txt", "before")
	proxy, kubeconfig := p.outage()
	s := p.start("up", "--kubeconfig", kubeconfig, "--", "sh", "-c", loop)
	s.started(1)

	proxy.Refuse(true)
	proxy.Cut()
	s.err("connection lost")
	s.err("reconnecting to api")
	p.write("file.txt", "during the outage")
	p.write("new/file.txt", "made meanwhile")
	s.say("echo typed meanwhile")
	r := p.run("", "exec", "--kubeconfig", kubeconfig, "api", "--", "true")
	if r.code != 255 || !strings.Contains(r.stderr, "error: ") || !strings.Contains(r.stderr, "hint: is the cluster reachable?") {
		t.Errorf("exec during the outage: exit code %d\n%s", r.code, r.stderr)
	}
	// The pod does not know of the outage and goes on.
	p.kubectl("exec", p.devPod(), "-c", "main", "--", "sh", "-c", "echo changed meanwhile >/app/pods.txt")

	proxy.Refuse(false)
	s.out("typed meanwhile\n")
	s.say("until [ -e new/file.txt ] && grep -q during file.txt; do :; done; cat file.txt new/file.txt; echo; echo end >last.txt; exit 6")
	s.out("during the outagemade meanwhile\n")
	s.started(1)
	if code := s.code(); code != 6 {
		t.Errorf("up ended with %d, want 6", code)
	}
	if got := p.read("pods.txt") + p.read("last.txt"); got != "changed meanwhile\nend\n" {
		t.Errorf("the pod's files arrived as %q", got)
	}
}

// TestBlackHole loses every packet, which no side is told of: first for less
// time than it takes to give a connection up, then for longer.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	proxy, kubeconfig := p.outage()
	s := p.start("up", "--kubeconfig", kubeconfig, "--", "sh", "-c", loop)
	s.started(1)

	proxy.BlackHole(true)
	p.write("short.txt", "short")
	s.say("until [ -e short.txt ]; do :; done; echo over")
	// Nothing happens in a black hole that one could wait for.
	time.Sleep(3 * time.Second)
	proxy.BlackHole(false)
	s.out("over\n")
	if stderr := s.Stderr.String(); strings.Contains(stderr, "reconnecting") {
		t.Errorf("three seconds without an answer ended the connection:\n%s", stderr)
	}

	proxy.BlackHole(true)
	p.write("long.txt", "long")
	s.err("reconnecting to api")
	proxy.BlackHole(false)
	s.say("until [ -e long.txt ]; do :; done; cat long.txt; exit 7")
	s.out("long")
	s.started(1)
	if code := s.code(); code != 7 {
		t.Errorf("up ended with %d, want 7", code)
	}
}
