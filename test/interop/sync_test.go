//go:build linux

package interop

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// runSync runs the laptop's end over a connection of its own until the
// function that it returns is called.
func (p *pod) runSync(l *engine.Leader, root string) (stop func()) {
	p.t.Helper()
	client := p.connect()
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		for range requests {
		}
	}()
	s := newSessionRequest(config.SubsystemSync)
	if ok, err := channel.SendRequest("subsystem", true, s); !ok || err != nil {
		p.t.Fatalf("the sync subsystem: %v, %v", ok, err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, channel, root) }()
	return func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			p.t.Errorf("the laptop's end: %v", err)
		}
		client.Close()
	}
}

// The sidecar seeds a fresh workspace, then both sides follow each other, over
// restarts of everything.
func TestSync(t *testing.T) {
	p := start(t, func(p *pod) {
		p.roots = []string{filepath.Join(p.work, "src")}
		p.image = p.path("image")
		seeded := filepath.Join(p.image, p.roots[0])
		for _, dir := range []string{p.roots[0], seeded} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				p.t.Fatal(err)
			}
		}
		for name, content := range map[string]string{"from-image": "image", "both": "image"} {
			if err := os.WriteFile(filepath.Join(seeded, name), []byte(content), 0o644); err != nil {
				p.t.Fatal(err)
			}
		}
	})
	root := p.roots[0]
	local := p.path("laptop")
	if err := os.Mkdir(local, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(dir, name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is := func(dir, name, want string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", filepath.Join(dir, name), got, err, want)
		}
	}
	bounded, cancel := context.WithTimeout(t.Context(), lab.Patience)
	defer cancel()
	put(local, "both", "laptop")
	put(local, "from-laptop", "laptop")
	leader, err := engine.NewLeader(engine.Config{Root: local, StateDir: p.path("leader")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leader.Close() })
	status := p.watchStatus()
	stop := p.runSync(leader, root)
	if err := leader.Settle(bounded); err != nil {
		t.Fatal(err)
	}
	is(root, "both", "laptop")
	is(root, "from-laptop", "laptop")
	is(local, "from-image", "image")
	s := status("the root converges", func(s config.Status) bool { return s.Roots[0].State == "converged" && s.Roots[0].Files >= 3 })
	if s.Roots[0].Path != root {
		t.Errorf("the status is about %s", s.Roots[0].Path)
	}
	put(local, "edited", "1")
	if err := leader.Flush(bounded); err != nil {
		t.Fatal(err)
	}
	is(root, "edited", "1")
	p.output("dev", "rm src/from-image; printf pod >src/from-pod")
	if err := leader.Settle(bounded); err != nil {
		t.Fatal(err)
	}
	is(local, "from-pod", "pod")
	stop()
	status("the laptop is gone", func(s config.Status) bool { return s.Roots[0].State == "waiting" })

	// What was deleted does not come back with the next start of the sidecar.
	_ = p.sidecar.Process.Kill()
	_, _ = p.sidecar.Process.Wait()
	p.startSidecar()
	p.output("dev", "true")
	put(local, "meanwhile", "laptop")
	stop = p.runSync(leader, root)
	defer stop()
	if err := leader.Settle(bounded); err != nil {
		t.Fatal(err)
	}
	is(root, "meanwhile", "laptop")
	for _, dir := range []string{root, local} {
		if _, err := os.Stat(filepath.Join(dir, "from-image")); !os.IsNotExist(err) {
			t.Errorf("a deleted file is back in %s: %v", dir, err)
		}
	}
}

func TestSyncOfUnknownRoot(t *testing.T) {
	p := start(t)
	leader, err := engine.NewLeader(engine.Config{Root: p.work, StateDir: p.path("leader")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leader.Close() })
	client := p.connect()
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range requests {
		}
	}()
	if ok, err := channel.SendRequest("subsystem", true, newSessionRequest(config.SubsystemSync)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	defer cancel()
	err = leader.Run(ctx, channel, "/no/such/root")
	if _, ok := errors.AsType[*engine.StopError](err); !ok {
		t.Errorf("got %v", err)
	}
}
