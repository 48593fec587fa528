//go:build linux

package devsession

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// ready starts a session whose command waits for the end of its input.
func (p *pod) ready() *up {
	p.t.Helper()
	u := p.session("echo ready; cat").start()
	u.writes("ready\n")
	return u
}

// within bounds what a test waits for.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	t.Cleanup(cancel)
	return ctx
}

func TestStatusTellsWhatTheSessionKnows(t *testing.T) {
	p := newPod(t)
	write(t, p.path("a"), "0123456789")
	u := p.ready()
	ctx := within(t)
	if err := u.control().Flush(ctx, true); err != nil {
		t.Fatal(err)
	}
	s, err := u.control().Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "api" || !s.Connected || len(s.Folders) != 1 {
		t.Fatalf("status %+v", s)
	}
	f := s.Folders[0]
	if f.Local != filepath.Join(p.Dir, "laptop") || f.Remote != p.Workdir || f.State != "converged" || f.Files != 1 || f.Bytes != 10 {
		t.Errorf("folder %+v", f)
	}
	if f.DoneFiles != 1 || f.DoneBytes != 10 || f.SentBytes == 0 || f.ReceivedBytes == 0 || f.PendingFiles != 0 || f.LagSeconds != 0 {
		t.Errorf("folder %+v", f)
	}
}

// TestWatchIsDrivenByEvents follows what a change, a lost connection and the end
// of the session do to the status.
func TestWatchIsDrivenByEvents(t *testing.T) {
	p := newPod(t)
	u := p.ready()
	seen := make(chan SyncStatus, 1000)
	ended := make(chan error, 1)
	ctx := within(t)
	go func() {
		ended <- u.control().Watch(ctx, func(s SyncStatus) error { seen <- s; return nil })
	}()
	until := func(what string, is func(SyncStatus) bool) {
		t.Helper()
		for {
			select {
			case s := <-seen:
				if is(s) {
					return
				}
			case <-ctx.Done():
				t.Fatalf("%s is never seen", what)
			}
		}
	}
	until("the first status", func(s SyncStatus) bool { return s.Connected })
	write(t, p.path("new"), "12345")
	until("the new file", func(s SyncStatus) bool { return s.Folders[0].Files == 1 && s.Folders[0].State == "converged" })
	p.Proxy.Refuse(true)
	p.Proxy.Cut()
	until("the lost connection", func(s SyncStatus) bool { return !s.Connected })
	p.Proxy.Refuse(false)
	until("the next connection", func(s SyncStatus) bool { return s.Connected && s.Folders[0].State == "converged" })
	enough := errors.New("enough")
	if err := u.control().Watch(ctx, func(SyncStatus) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a watcher that has enough: %v", err)
	}
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the session ended") {
		t.Errorf("the watch ended with %v", err)
	}
}

func TestFoldersAreNamedByEitherPath(t *testing.T) {
	p := newPod(t)
	u := p.ready()
	ctx := within(t)
	for _, folder := range []string{"", filepath.Join(p.Dir, "laptop"), p.Workdir} {
		c := u.control()
		c.Folder = folder
		if err := c.Flush(ctx, true); err != nil {
			t.Errorf("%q: %v", folder, err)
		}
		if s, err := c.Status(ctx); err != nil || len(s.Folders) != 1 {
			t.Errorf("%q: %+v, %v", folder, s, err)
		}
	}
	c := u.control()
	c.Folder = "/nowhere"
	var refused *control.Error
	if err := c.Flush(ctx, true); !errors.As(err, &refused) || refused.Code != control.CodeParams || refused.Text != "/nowhere is not a synced folder of api" {
		t.Errorf("an unknown folder: %v", err)
	}
}

func TestTopNamesWhatIsChatty(t *testing.T) {
	p := newPod(t)
	write(t, p.path("quiet"), "1")
	u := p.ready()
	ctx := within(t)
	if err := os.Mkdir(p.path("cache"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range chattyChanges {
		write(t, p.path("cache/[1].log"), strings.Repeat("x", i+1))
		if err := u.flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	top, err := u.control().Top(ctx, 1)
	if err != nil || len(top) != 1 || len(top[0].Paths) != 1 {
		t.Fatalf("top %+v, %v", top, err)
	}
	got := top[0].Paths[0]
	if got.Path != "cache/[1].log" || got.Folder || got.Changes < chattyChanges || got.Why != "chatty" || got.Ignore != `/cache/\[1\].log` {
		t.Errorf("the chattiest is %+v", got)
	}
	// A write may be seen by halves, so that there are more changes than writes.
	if total := top[0].Total; total.Changes < chattyChanges+2 || total.Files != 2 || time.Since(total.Last) > lab.Patience {
		t.Errorf("the total is %+v", total)
	}
}

// TestStopsAreShownAndAnswered deletes most of a tree, which stops sync, and
// brings it back.
func TestStopsAreShownAndAnswered(t *testing.T) {
	p := newPod(t)
	for i := range 30 {
		write(t, p.path(fmt.Sprint(i)), "x")
	}
	u := p.ready()
	ctx := within(t)
	for i := range 30 {
		if err := os.Remove(p.path(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	u.shows("has stopped: ")
	var stopped *control.Error
	if err := u.flush(ctx); !errors.As(err, &stopped) || stopped.Code != control.CodeStopped || !strings.Contains(stopped.Text, "would be deleted") {
		t.Errorf("a flush while sync has stopped: %v", err)
	}
	for i := range 30 {
		write(t, p.path(fmt.Sprint(i)), "x")
	}
	u.shows("goes on")
	if err := u.flush(ctx); err != nil {
		t.Errorf("a flush after the stop: %v", err)
	}
}
