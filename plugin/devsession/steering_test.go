//go:build linux

package devsession

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
)

// TestPauseOutlivesALostConnection pauses, loses the connection, and resumes.
func TestPauseOutlivesALostConnection(t *testing.T) {
	p := newPod(t)
	u := p.ready()
	ctx := within(t)
	if err := u.control().Pause(ctx); err != nil {
		t.Fatal(err)
	}
	u.shows("is paused")
	write(t, p.path("new"), "1")
	p.Proxy.Cut()
	u.shows("reconnecting")
	u.echoes("the same\n")
	var stopped *control.Error
	if err := u.flush(ctx); !errors.As(err, &stopped) || stopped.Code != control.CodeStopped || !strings.Contains(stopped.Text, "sync is paused") {
		t.Errorf("a flush while sync is paused: %v", err)
	}
	if s, err := u.control().Status(ctx); err != nil || s.Folders[0].State != "paused" || s.Folders[0].Mode != "two-way" {
		t.Errorf("status %+v, %v", s, err)
	}
	if got := read(t, filepath.Join(p.Workdir, "new")); got != "" {
		t.Errorf("what is paused came over: %q", got)
	}
	if err := u.control().Resume(ctx); err != nil {
		t.Fatal(err)
	}
	u.shows("goes on")
	if err := u.flush(ctx); err != nil || read(t, filepath.Join(p.Workdir, "new")) != "1" {
		t.Errorf("after the pause: %v", err)
	}
}

// TestAStopAtTheStartIsWaitedOut ends a session, deletes most of the tree, and
// begins another one, which can be told that this was meant.
func TestAStopAtTheStartIsWaitedOut(t *testing.T) {
	p := newPod(t)
	for i := range 30 {
		write(t, p.path(fmt.Sprint(i)), fmt.Sprint("content ", i))
	}
	first := p.session("true").start()
	if err := first.end(); err != nil {
		t.Fatal(err)
	}
	if err := first.Folders[0].Leader.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if err := os.Remove(p.path(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	u := p.session("echo ready; cat").start()
	u.shows("sync resume")
	ctx := within(t)
	if err := u.control().Resume(ctx); err != nil {
		t.Fatal(err)
	}
	u.writes("ready\n")
	if _, err := os.Lstat(filepath.Join(p.Workdir, "0")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was meant to go is still there: %v", err)
	}
}

// TestUndoBringsBackWhatWasDeleted deletes most of a tree, lets it pass, and
// takes it back.
func TestUndoBringsBackWhatWasDeleted(t *testing.T) {
	p := newPod(t)
	for i := range 30 {
		write(t, p.path(fmt.Sprint(i)), fmt.Sprint("content ", i))
	}
	u := p.ready()
	ctx := within(t)
	for i := range 30 {
		if err := os.Remove(p.path(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	u.shows("has stopped: ")
	if err := u.control().Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if err := u.control().Flush(ctx, true); err != nil {
		t.Fatal(err)
	}
	list, err := u.control().Trash(ctx)
	if err != nil || len(list) == 0 {
		t.Fatalf("the trash holds %+v, %v", list, err)
	}
	newest := list[0]
	if newest.Side != "pod" || newest.Remote != p.Workdir || !newest.Destructive || len(newest.Paths) == 0 {
		t.Errorf("the newest batch is %+v", newest)
	}
	restored := 0
	for _, b := range list {
		undone, err := u.control().Undo(ctx, b.Batch)
		if err != nil || undone.Failed > 0 || undone.Batch.Batch != b.Batch {
			t.Fatalf("undone %+v, %v", undone, err)
		}
		restored += undone.Entries
	}
	if restored != 30 {
		t.Errorf("%d entries were restored", restored)
	}
	if err := u.control().Flush(ctx, true); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if got := read(t, p.path(fmt.Sprint(i))); got != fmt.Sprint("content ", i) {
			t.Errorf("file %d is %q", i, got)
		}
	}
	var refused *control.Error
	if _, err := u.control().Undo(ctx, "pod-none"); !errors.As(err, &refused) || !strings.Contains(refused.Text, "nothing to undo") {
		t.Errorf("an unknown batch: %v", err)
	}
	if _, err := u.control().Undo(ctx, ""); !errors.As(err, &refused) || refused.Code != control.CodeParams {
		t.Errorf("no batch: %v", err)
	}
}
