//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// numbers are the lines that seq writes.
func numbers(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// TestCutWhileOutputFlows breaks the connections of up and of exec off again and
// again while a command writes: every byte arrives once, in order.
func TestCutWhileOutputFlows(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	proxy, kubeconfig := p.outage()
	const lines, cuts = 200_000, 8
	line := fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; done; exit 5", lines)
	over := func(s *session) {
		for i := range cuts {
			s.out(fmt.Sprintf("\n%d\n", i*(lines/cuts)+lines/cuts/2))
			proxy.Cut()
		}
		if code := s.code(); code != 5 {
			t.Errorf("it ended with %d, want 5", code)
		}
		if got := s.Stdout.String(); got != numbers(1, lines) {
			t.Errorf("%d bytes arrived, or others than were written", len(got))
		}
		if !strings.Contains(s.Stderr.String(), "reconnecting to api") {
			t.Errorf("nothing was cut:\n%s", s.Stderr)
		}
	}
	over(p.start("up", "--kubeconfig", kubeconfig, "--", "sh", "-c", line))
	over(p.start("exec", "--kubeconfig", kubeconfig, "api", "--", "sh", "-c", line))
}

// TestExecOutlastsABlackHole loses every packet for as long as it takes to give
// the connection up. What is typed meanwhile arrives.
func TestExecOutlastsABlackHole(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.ok("up", "--", "true")
	proxy, kubeconfig := p.outage()
	s := p.start("exec", "--kubeconfig", kubeconfig, "api", "--", "sh", "-c", "echo ready; cat; exit 9")
	s.out("ready\n")
	proxy.BlackHole(true)
	s.say("typed into the void")
	s.err("reconnecting to api")
	proxy.BlackHole(false)
	s.out("typed into the void\n")
	_ = s.Stdin.Close()
	if code := s.code(); code != 9 {
		t.Errorf("exec ended with %d, want 9", code)
	}
}

// TestExecSaysThatItsProcessIsGone replaces the pod while nobody is connected.
func TestExecSaysThatItsProcessIsGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.ok("up", "--", "true")
	proxy, kubeconfig := p.outage()
	s := p.start("exec", "--kubeconfig", kubeconfig, "api", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	proxy.Refuse(true)
	proxy.Cut()
	s.err("reconnecting to api")
	p.kubectl("delete", "pod", "--now", p.devPod())
	proxy.Refuse(false)
	if code := s.code(); code != 255 || !strings.Contains(s.Stderr.String(), "the command is gone") {
		t.Errorf("exec ended with %d\n%s", code, s.Stderr)
	}
}
