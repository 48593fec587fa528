package devsession

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// TestEventsThatTheUserSees shows each stop once, however its numbers change,
// and nothing that is no news.
func TestEventsThatTheUserSees(t *testing.T) {
	state := func(s engine.State, reason string) engine.Event {
		detail := string(s)
		if reason != "" {
			detail += ": " + reason
		}
		return engine.Event{Kind: engine.StateChanged, State: s, Detail: detail}
	}
	var out strings.Builder
	s := &Session{Console: console.New(&out, console.Style{}, time.Now)}
	tell := s.SyncEvents("/src")
	for _, e := range []engine.Event{
		state(engine.Scanning, ""), state(engine.Converged, ""), {Kind: engine.Applied, Path: "a"},
		state(engine.Stopped, "12 of 20 entries would be deleted"), state(engine.Stopped, "13 of 20 entries would be deleted"),
		state(engine.Waiting, ""), state(engine.Scanning, ""), state(engine.Stopped, "13 of 20 entries would be deleted"),
		state(engine.Stopped, "the disk is full"), state(engine.Syncing, ""), state(engine.Converged, ""),
		state(engine.Paused, ""), state(engine.Converged, ""),
		{Kind: engine.Conflict, Path: "a\x1b[2J", Detail: "b"}, {Kind: engine.Skipped, Path: "s", Detail: "is a socket"},
		{Kind: engine.Warning, Path: "p", Detail: "broken"}, {Kind: engine.Warning, Detail: "the limit is reached"},
	} {
		tell(e)
	}
	want := `! sync of /src has stopped: 12 of 20 entries would be deleted
! sync of /src has stopped: the disk is full
  sync of /src goes on
  sync of /src is paused
  sync of /src goes on
! conflict: "a\x1b[2J" changed on both sides; one version is kept as b
! sync: s is a socket
! sync: p broken
! sync: the limit is reached
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
