package receiver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// patience bounds waits for what happens at once on an idle machine.
const patience = 30 * time.Second

// pod is a receiver with two roots, one inside the other.
type pod struct {
	t        *testing.T
	receiver *Receiver
	outer    string
	statuses chan []config.RootStatus
	// prepared gets the path of each root that is prepared.
	prepared chan string
	// refuses makes it impossible to prepare a root.
	refuses atomic.Bool
}

var errNoSeed = errors.New("the seed has failed")

func newPod(t *testing.T, refuses bool) *pod {
	t.Helper()
	p := &pod{t: t, outer: filepath.Join(t.TempDir(), "src"), statuses: make(chan []config.RootStatus, 1000), prepared: make(chan string, 10)}
	p.refuses.Store(refuses)
	if err := os.MkdirAll(filepath.Join(p.outer, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.receiver = New(Config{
		Roots:    []config.Root{{Path: p.outer}, {Path: filepath.Join(p.outer, "inner")}},
		Others:   []string{p.outer, filepath.Join(p.outer, "inner")},
		StateDir: t.TempDir(),
		Dir:      func(root string) string { return root },
		Prepare: func(_ context.Context, root string) (*engine.Owner, error) {
			if p.refuses.Load() {
				return nil, errNoSeed
			}
			p.prepared <- root
			return nil, nil
		},
		OnStatus: func(s []config.RootStatus) { p.statuses <- s },
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.receiver.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

// leader makes a laptop's end.
func (p *pod) leader(dir string) *engine.Leader {
	p.t.Helper()
	l, err := engine.NewLeader(engine.Config{Root: dir, StateDir: p.t.TempDir()})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	return l
}

// run connects a leader to a root until stop is called, which returns how the
// two ends ended.
func (p *pod) run(l *engine.Leader, root string) (stop func() (laptop, pod error)) {
	a, b := net.Pipe()
	ctx, cancel := context.WithCancel(p.t.Context())
	laptop, pod := make(chan error, 1), make(chan error, 1)
	go func() { laptop <- l.Run(ctx, a, root) }()
	go func() { pod <- p.receiver.Serve(p.t.Context(), b) }()
	return func() (error, error) {
		cancel()
		return <-laptop, <-pod
	}
}

func (p *pod) await(what string, condition func([]config.RootStatus) bool) {
	p.t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case s := <-p.statuses:
			if condition(s) {
				return
			}
		case <-timeout:
			p.t.Fatalf("no status in which %s", what)
		}
	}
}

func TestServe(t *testing.T) {
	p := newPod(t, false)
	p.await("all wait", func(s []config.RootStatus) bool {
		return len(s) == 2 && s[0].Path == p.outer && s[0].State == "waiting" && s[1].State == "waiting"
	})
	laptop := t.TempDir()
	if err := os.WriteFile(filepath.Join(laptop, "file"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := p.leader(laptop)
	for range 2 { // the second time it is a reconnection
		stop := p.run(l, p.outer)
		if err := l.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.await("the root has converged", func(s []config.RootStatus) bool {
			return s[0].State == "converged" && s[0].Bytes == int64(len("content")) && s[1].State == "waiting"
		})
		stop()
		p.await("the laptop is gone", func(s []config.RootStatus) bool { return s[0].State == "waiting" })
	}
	if b, err := os.ReadFile(filepath.Join(p.outer, "file")); string(b) != "content" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	// The inner root is no part of the outer one.
	if _, err := os.Stat(filepath.Join(laptop, "inner")); !os.IsNotExist(err) {
		t.Errorf("the inner root was synced with the outer: %v", err)
	}
	if got := []string{<-p.prepared, <-p.prepared}; got[0] == got[1] || len(p.prepared) > 0 {
		t.Errorf("prepared %s and %d more; want each root once", got, len(p.prepared))
	}
}

func TestRefusals(t *testing.T) {
	p := newPod(t, true)
	l := p.leader(t.TempDir())
	laptop, _ := p.run(l, "/unknown")()
	if stop, ok := errors.AsType[*engine.StopError](laptop); ok && !strings.Contains(stop.Text, "not a sync folder of this pod") {
		t.Errorf("an unknown root: %v", laptop)
	}
	a, b := net.Pipe()
	go func() { _ = p.receiver.Serve(t.Context(), b) }()
	err := l.Run(t.Context(), a, p.outer)
	if stop, ok := errors.AsType[*engine.StopError](err); !ok || !strings.Contains(stop.Text, errNoSeed.Error()) {
		t.Errorf("a root that cannot be prepared: %v", err)
	}
	p.await("the reason is shown", func(s []config.RootStatus) bool {
		return s[0].State == "stopped" && s[0].Reason == errNoSeed.Error()
	})
	// The next laptop may have more luck.
	p.refuses.Store(false)
	stop := p.run(l, p.outer)
	if err := l.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
}

func TestNested(t *testing.T) {
	folders := []string{"/a", "/a/z", "/a/b/c", "/ab", "/"}
	for path, want := range map[string][]string{
		"/a": {"b/c", "z"}, "/a/z": nil, "/ab": nil, "/": {"a", "a/b/c", "a/z", "ab"},
	} {
		if diff := cmp.Diff(want, Nested(folders, path)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", path, diff)
		}
	}
}

// TestStatusIsToldNowAndThen has a change each millisecond, and then one.
func TestStatusIsToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		r := New(Config{OnStatus: func([]config.RootStatus) { told++ }})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		for range time.Second / time.Millisecond {
			time.Sleep(time.Millisecond)
			r.notify()
		}
		time.Sleep(2 * statusPause)
		synctest.Wait()
		if most := int(time.Second/statusPause) + 2; told < 2 || told > most {
			t.Errorf("told %d times in a second, want at most %d", told, most)
		}
		before := told
		r.notify()
		synctest.Wait()
		if told != before+1 {
			t.Errorf("a lone change is told %d times at once", told-before)
		}
		cancel()
		running.Wait()
	})
}
