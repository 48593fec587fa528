package plugin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// fullReport has a value in every field.
func fullReport(t *testing.T) *report {
	t.Helper()
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	var s devsession.SyncStatus
	if err := json.Unmarshal([]byte(fmt.Sprintf(stoppedStatus, "/src")), &s); err != nil {
		t.Fatal(err)
	}
	s.Folders[0].Current = "big.bin"
	s.Folders[0].Wire = devsession.Wire{SentBytes: 1, ReceivedBytes: 2, SentBytesPerSecond: 3, ReceivedBytesPerSecond: 4}
	return &report{
		identity: identity{Name: "api", Workload: "deployment/api", Mode: "hybrid", Namespace: "shop", Pod: "api-okteto-1"},
		Holder:   "ann@desk/1", Since: at,
		Forwards: []string{"8080 -> 80"},
		Agent: config.Status{
			Version: "v1", Started: at, Clients: 1, Sessions: 2,
			Runner: config.RunnerStatus{Running: true, Started: at, Starts: 1, UID: 1000, GID: 1000},
			Roots:  []config.RootStatus{{Path: "/app", State: "stopped", Reason: "the disk is full", Files: 1, Bytes: 2, Generation: 7}},
		},
		Services: []workload.ServiceState{{Workload: "statefulset/db", Ready: 1, Replicas: 2}},
		session:  &s,
	}
}

// TestStatusJSON pins the documented fields, with a session on this machine and
// without.
func TestStatusJSON(t *testing.T) {
	for name, change := range map[string]func(*report){
		"status-session.json": func(*report) {},
		"status-pod.json":     func(r *report) { r.session, r.Holder, r.Since = nil, "", time.Time{} },
	} {
		r := fullReport(t)
		change(r)
		var out strings.Builder
		o := &statusOptions{output: "json", board: console.Board{W: &out}}
		if err := o.show(r); err != nil {
			t.Fatal(err)
		}
		if strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: a report is not one line", name)
		}
		var pretty any
		if err := json.Unmarshal([]byte(out.String()), &pretty); err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(pretty, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, append(text, '\n'))
	}
}

func TestStatusText(t *testing.T) {
	r := fullReport(t)
	var out strings.Builder
	o := &statusOptions{board: console.Board{W: &out}}
	if err := o.show(r); err != nil {
		t.Fatal(err)
	}
	local := r.Since.Local().Format(time.DateTime)
	golden(t, "status.txt", []byte(strings.ReplaceAll(out.String(), local, "2026-05-04 03:02:01")))
}
