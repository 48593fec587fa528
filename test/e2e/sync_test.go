//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder is what sync list and status say about a synced folder.
type folder struct {
	Local, Remote, Mode, State, Reason string
	Files, PendingFiles                int
	LagSeconds                         float64
	SentBytes, ReceivedBytes           int64
	Conflicts, Held                    []string
}

// synced returns the only synced folder, as sync list tells.
func (p *place) synced(flags ...string) folder {
	p.t.Helper()
	var s struct {
		Name      string
		Connected bool
		Folders   []folder
	}
	p.decode(&s, append([]string{"sync", "list", "-o", "json"}, flags...)...)
	if s.Name != "api" || !s.Connected || len(s.Folders) != 1 {
		p.t.Fatalf("sync list: %+v", s)
	}
	return s.Folders[0]
}

// decode runs the plugin and reads the JSON that it prints.
func (p *place) decode(into any, args ...string) {
	p.t.Helper()
	out := p.ok(args...).stdout
	if err := json.Unmarshal([]byte(out), into); err != nil {
		p.t.Fatalf("%v in %s", err, out)
	}
}

// inPod runs a shell line in the pod, without waiting for sync.
func (p *place) inPod(line string) string {
	p.t.Helper()
	return p.ok("exec", "--no-wait", "api", "--", "sh", "-c", line).stdout
}

// TestSyncCommands runs every command of sync against an up.
func TestSyncCommands(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const files = 40
	for i := range files {
		p.write(fmt.Sprintf("src/%d.txt", i), fmt.Sprint("content ", i))
	}
	p.write(".stignore", "*.log\n")
	up := p.develop()
	if f := p.synced(); f.Local != p.src || f.Remote != "/app" || f.Mode != "two-way" || f.State != "converged" || f.Files != files+1 || f.SentBytes == 0 {
		t.Errorf("sync list: %+v", f)
	}
	if text := p.ok("sync", "list").stdout; !strings.Contains(text, "converged") || !strings.Contains(text, p.src) {
		t.Errorf("sync list:\n%s", text)
	}

	// What was saved before a flush is there after it, both ways.
	p.write("new.txt", "new")
	p.inPod("echo -n back > back.txt")
	p.ok("sync", "flush")
	if got := p.read("back.txt") + p.inPod("cat new.txt"); got != "backnew" {
		t.Errorf("after a flush both sides have %q", got)
	}

	p.conflict(up)
	p.massDelete(up, files)

	// What changes again and again is named.
	for i := range 110 {
		p.write("chatty.txt", strings.Repeat("x", i))
		p.ok("sync", "flush")
	}
	var top []struct {
		Paths []struct {
			Path, Why, Ignore string
			Changes           int
		}
	}
	p.decode(&top, "sync", "top", "-o", "json")
	if len(top) != 1 || len(top[0].Paths) == 0 || !slices.ContainsFunc(top[0].Paths, func(u struct {
		Path, Why, Ignore string
		Changes           int
	}) bool {
		return u.Path == "chatty.txt" && u.Why == "chatty" && u.Ignore == "/chatty.txt" && u.Changes >= 110
	}) {
		t.Errorf("sync top: %+v", top)
	}
	if text := p.ok("sync", "explain", "a.log").stdout; !strings.Contains(text, "ignored by .stignore:1") {
		t.Errorf("sync explain: %s", text)
	}

	var report struct {
		Sync struct {
			Source    string
			Connected bool
			Folders   []folder
		}
	}
	p.decode(&report, "status", "-o", "json")
	if s := report.Sync; s.Source != "session" || !s.Connected || len(s.Folders) != 1 || s.Folders[0].Local != p.src {
		t.Errorf("status here: %+v", report)
	}
	other := p.elsewhere()
	other.decode(&report, "status", "api", "-o", "json")
	if s := report.Sync; s.Source != "pod" || len(s.Folders) != 1 || s.Folders[0].Remote != "/app" || s.Folders[0].State != "converged" {
		t.Errorf("status elsewhere: %+v", report)
	}
	for _, command := range []string{"list", "flush", "pause", "resume", "conflicts", "top"} {
		if r := other.run("", "sync", command, "api"); r.code != 1 || !strings.Contains(r.stderr, "no `up` of api runs on this machine; ") ||
			!strings.Contains(r.stderr, "holds it since") {
			t.Errorf("sync %s elsewhere: exit code %d\n%s", command, r.code, r.stderr)
		}
	}
	if err := up.End(); err != nil {
		t.Error(err)
	}
	if r := p.run("", "sync", "list"); r.code != 1 || !strings.Contains(r.stderr, "`kubectl okteto up api` starts to sync") {
		t.Errorf("after up: exit code %d\n%s", r.code, r.stderr)
	}
}

// conflict pauses sync, changes a file on both sides, and resumes.
func (p *place) conflict(up *session) {
	p.t.Helper()
	p.ok("sync", "pause")
	up.err("is paused")
	p.write("new.txt", "laptop")
	p.inPod("echo -n pod > new.txt")
	if r := p.run("", "sync", "flush"); r.code != 1 || !strings.Contains(r.stderr, "sync is paused") {
		p.t.Errorf("a flush of what is paused: exit code %d\n%s", r.code, r.stderr)
	}
	if f := p.synced(); f.State != "paused" {
		p.t.Errorf("sync list: %+v", f)
	}
	p.ok("sync", "resume")
	p.ok("sync", "flush")
	up.err("conflict: new.txt changed on both sides")
	var conflicts []struct {
		File, Copy struct {
			Path string
			Size int
		}
		Side string
	}
	p.decode(&conflicts, "sync", "conflicts", "-o", "json")
	if len(conflicts) != 1 || conflicts[0].File.Path != filepath.Join(p.src, "new.txt") || conflicts[0].File.Size != 6 ||
		conflicts[0].Copy.Size != 3 || conflicts[0].Side != "pod" {
		p.t.Fatalf("sync conflicts: %+v", conflicts)
	}
	if text := p.ok("sync", "conflicts").stdout; !strings.Contains(text, conflicts[0].Copy.Path) {
		p.t.Errorf("sync conflicts:\n%s", text)
	}
	if err := os.Remove(conflicts[0].Copy.Path); err != nil {
		p.t.Fatal(err)
	}
	p.ok("sync", "flush")
	if text := p.ok("sync", "conflicts").stdout; text != "No conflicts.\n" {
		p.t.Errorf("after the copy is gone:\n%s", text)
	}
}

// massDelete deletes most of the tree, which stops sync; lets it pass, and
// brings it back.
func (p *place) massDelete(up *session, files int) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.src, "src")); err != nil {
		p.t.Fatal(err)
	}
	up.err("has stopped: ")
	if r := p.run("", "sync", "flush"); r.code != 1 || !strings.Contains(r.stderr, "would be deleted") {
		p.t.Errorf("a flush of what has stopped: exit code %d\n%s", r.code, r.stderr)
	}
	if f := p.synced(); f.State != "stopped" || f.PendingFiles == 0 || f.LagSeconds <= 0 {
		p.t.Errorf("sync list: %+v", f)
	}
	// What went before it was more than half has gone.
	if got := strings.TrimSpace(p.inPod("ls src | wc -l")); got == "0" {
		p.t.Error("the pod has no files while sync has stopped")
	}
	p.ok("sync", "resume")
	p.ok("sync", "flush")
	if got := strings.TrimSpace(p.inPod("ls")); strings.Contains(got, "src") {
		p.t.Errorf("the pod has %s after it was let pass", got)
	}
	if text := p.ok("sync", "undo", "--list").stdout; !strings.Contains(text, "deleted") {
		p.t.Errorf("sync undo --list:\n%s", text)
	}
	var undone struct{ Entries, Failed int }
	p.decode(&undone, "sync", "undo", "--yes", "-o", "json")
	if undone.Entries < files+1 || undone.Failed != 0 {
		p.t.Errorf("sync undo: %+v", undone)
	}
	p.ok("sync", "flush")
	for i := range files {
		if got := p.read(fmt.Sprintf("src/%d.txt", i)); got != fmt.Sprint("content ", i) {
			p.t.Errorf("src/%d.txt is %q after the undo", i, got)
		}
	}
}
