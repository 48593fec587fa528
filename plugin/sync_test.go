package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// machine is a machine on which an `up` of api may run, in a cluster that
// cannot be reached.
type machine struct {
	t       *testing.T
	dir     string
	factory *Factory
	out     bytes.Buffer
	err     bytes.Buffer
	now     time.Time
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "ok") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir, now: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)}
	m.write("kubeconfig", `
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, namespace: shop}}]
clusters: [{name: test, cluster: {server: "http://127.0.0.1:1"}}]
`)
	m.write("okteto.yaml", "dev:\n  api:\n    sync: ['.:/app']\n")
	m.newFactory()
	return m
}

func (m *machine) newFactory() {
	m.t.Helper()
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &m.out, ErrOut: &m.err}
	f, err := newFactory(func(name string) (string, bool) {
		return map[string]string{"OKTETO_FOLDER": m.dir}[name], name == "OKTETO_FOLDER"
	}, streams)
	if err != nil {
		m.t.Fatal(err)
	}
	f.Dir = m.dir
	f.Now = func() time.Time { return m.now }
	m.factory = f
}

func (m *machine) write(name, content string) {
	m.t.Helper()
	file := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// up runs a session that answers as the methods do, until the test ends.
func (m *machine) up(dev string, methods map[string]control.Method) {
	m.t.Helper()
	*m.factory.Flags.KubeConfig = filepath.Join(m.dir, "kubeconfig")
	cluster, err := m.factory.Cluster()
	if err != nil {
		m.t.Fatal(err)
	}
	socket := m.factory.controlSocket(cluster, dev)
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		m.t.Fatal(err)
	}
	l, err := control.Listen(m.t.Context(), socket)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&control.Server{Build: "test", Methods: methods}).Serve(ctx, l)
	}()
	m.t.Cleanup(func() { cancel(); <-done })
}

// run runs a command line and returns its exit code.
func (m *machine) run(args ...string) int {
	m.t.Helper()
	m.newFactory() // flags keep what they were set to
	m.out.Reset()
	m.err.Reset()
	root := newRootCmd(m.factory)
	root.SetArgs(append(args, "--kubeconfig", filepath.Join(m.dir, "kubeconfig")))
	command, err := root.ExecuteContextC(m.t.Context())
	return exitCode(m.factory.Console(), withUsage(command, err))
}

// answers is a method with one result; asked gets the parameters.
func answers(result string, asked *string) control.Method {
	return func(_ context.Context, params json.RawMessage, reply func(any) error) error {
		if asked != nil {
			*asked = string(params)
		}
		return reply(json.RawMessage(result))
	}
}

func refuses(code control.Code, text string) control.Method {
	return func(context.Context, json.RawMessage, func(any) error) error {
		return &control.Error{Code: code, Text: text}
	}
}

// stoppedStatus is a session with much to tell; %s is a folder.
const stoppedStatus = `{"name":"api","connected":false,"folders":[
{"local":"%[1]s","remote":"/app","mode":"two-way","state":"stopped","reason":"the disk is full in the pod","files":1,"bytes":2048,
"pendingFiles":3,"pendingBytes":4096,"lagSeconds":75,"doneFiles":9,"doneBytes":10,
"conflicts":["a.conflict-pod-20260504-030201.txt","b.conflict-laptop-20260504-030202"],"held":["x: in the pod: permission denied"]},
{"local":"%[1]s/lib","remote":"/lib","mode":"push","state":"paused","files":2,"bytes":20}]}`

func TestSyncList(t *testing.T) {
	m := newMachine(t)
	var asked string
	status := fmt.Sprintf(stoppedStatus, "/src")
	m.up("api", map[string]control.Method{"status": answers(status, &asked)})
	if code := m.run("sync", "list"); code != 0 {
		t.Fatalf("exit code %d: %s", code, m.err.String())
	}
	golden(t, "sync-list.txt", m.out.Bytes())
	if code := m.run("sync", "list", "-o", "json", "--folder", "lib"); code != 0 || !json.Valid(m.out.Bytes()) {
		t.Errorf("exit code %d: %s%s", code, m.out.String(), m.err.String())
	}
	if want := fmt.Sprintf(`{"folder":%q}`, filepath.Join(m.dir, "lib")); asked != want {
		t.Errorf("the session was asked %s, want %s", asked, want)
	}
	var got, want map[string]any
	_ = json.Unmarshal(m.out.Bytes(), &got)
	_ = json.Unmarshal([]byte(status), &want)
	if len(got["folders"].([]any)) != len(want["folders"].([]any)) {
		t.Errorf("got %v", got)
	}
}

func TestSyncFlush(t *testing.T) {
	m := newMachine(t)
	var asked string
	m.up("api", map[string]control.Method{"flush": answers("null", &asked)})
	if code := m.run("sync", "flush"); code != 0 || !strings.Contains(m.err.String(), "both sides of api have the same files") || m.out.Len() > 0 {
		t.Errorf("exit code %d: %s%s", code, m.out.String(), m.err.String())
	}
	if asked != `{"both":true}` {
		t.Errorf("the session was asked %s", asked)
	}
	m.up("stopped", map[string]control.Method{"flush": refuses(control.CodeStopped, "sync has stopped: the disk is full")})
	if code := m.run("sync", "flush", "stopped"); code != 1 || m.err.String() != "error: sync has stopped: the disk is full\n" {
		t.Errorf("exit code %d: %s", code, m.err.String())
	}
	m.up("slow", map[string]control.Method{
		"flush":  func(ctx context.Context, _ json.RawMessage, _ func(any) error) error { <-ctx.Done(); return ctx.Err() },
		"status": answers(fmt.Sprintf(stoppedStatus, "/src"), nil),
	})
	if code := m.run("sync", "flush", "slow", "--timeout", "20ms"); code != 1 ||
		m.err.String() != "error: the sides are not the same after 20ms; in /src 3 changes pending for 1m15s; there is no connection to the pod at the moment\n" {
		t.Errorf("exit code %d: %s", code, m.err.String())
	}
}

func TestSyncConflicts(t *testing.T) {
	m := newMachine(t)
	m.write("src/a.txt", "12345")
	m.write("src/a.conflict-pod-20260504-030201.txt", "123")
	for _, name := range []string{"src/a.txt", "src/a.conflict-pod-20260504-030201.txt"} {
		if err := os.Chtimes(filepath.Join(m.dir, name), m.now, m.now); err != nil {
			t.Fatal(err)
		}
	}
	src := filepath.Join(m.dir, "src")
	m.up("api", map[string]control.Method{"status": answers(fmt.Sprintf(stoppedStatus, src), nil)})
	m.up("good", map[string]control.Method{"status": answers(`{"folders":[]}`, nil)})
	if code := m.run("sync", "conflicts"); code != 0 {
		t.Fatalf("exit code %d: %s", code, m.err.String())
	}
	text := strings.ReplaceAll(m.out.String(), m.dir, "")
	golden(t, "sync-conflicts.txt", []byte(strings.ReplaceAll(text, m.now.Local().Format(time.DateTime), "2026-05-04 03:02:01")))
	if code := m.run("sync", "conflicts", "-o", "json"); code != 0 {
		t.Fatalf("exit code %d: %s", code, m.err.String())
	}
	var list []conflict
	if err := json.Unmarshal(m.out.Bytes(), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v in %s", err, m.out.String())
	}
	if c := list[0]; c.Side != "pod" || c.File.Path != filepath.Join(src, "a.txt") || c.File.Size != 5 || c.Copy.Size != 3 || !c.Copy.Modified.Equal(m.now) {
		t.Errorf("the first is %+v", c)
	}
	if c := list[1]; c.Side != "laptop" || c.File.Path != filepath.Join(src, "b") || !c.File.Modified.IsZero() {
		t.Errorf("the second is %+v", c)
	}
	if code := m.run("sync", "conflicts", "good"); code != 0 || m.out.String() != "No conflicts.\n" {
		t.Errorf("exit code %d: %s", code, m.out.String())
	}
}

func TestSyncTop(t *testing.T) {
	m := newMachine(t)
	var asked string
	m.up("api", map[string]control.Method{"top": answers(fmt.Sprintf(`[{"local":"/src","remote":"/app",
"total":{"folder":true,"changes":1200,"bytes":4096,"files":3,"size":2048},
"paths":[{"path":"web/.cache","folder":true,"changes":1000,"bytes":1024,"last":%q,"files":2,"size":10,"why":"chatty","ignore":"/web/.cache"},
{"path":"a\u001b.go","changes":0,"bytes":0,"files":1,"size":5}]},{"local":"/lib","remote":"/lib","total":{},"paths":[]}]`,
		m.now.Add(-90*time.Second).Format(time.RFC3339)), &asked)})
	if code := m.run("sync", "top", "--limit", "3"); code != 0 {
		t.Fatalf("exit code %d: %s", code, m.err.String())
	}
	golden(t, "sync-top.txt", m.out.Bytes())
	if asked != `{"limit":3}` {
		t.Errorf("the session was asked %s", asked)
	}
	if code := m.run("sync", "top", "-o", "json"); code != 0 || !json.Valid(m.out.Bytes()) || asked != `{"limit":10}` {
		t.Errorf("exit code %d: %s, asked %s", code, m.out.String(), asked)
	}
}

// TestSyncWithoutASession gets as far as asking a cluster that is not there.
func TestSyncWithoutASession(t *testing.T) {
	m := newMachine(t)
	for _, command := range syncCommands() {
		if code := m.run("sync", command); code != 1 || m.out.Len() > 0 ||
			m.err.String() != "error: no `up` of api runs on this machine\nhint: `kubectl okteto up api` starts to sync\n" {
			t.Errorf("sync %s: exit code %d: %s%s", command, code, m.out.String(), m.err.String())
		}
	}
	held := &notHereError{Dev: "api", Holder: "ann@desk/1", Since: m.now}
	if want := "no `up` of api runs on this machine; ann@desk/1 holds it since " + m.now.Local().Format(time.DateTime); held.Error() != want {
		t.Errorf("held elsewhere: %v", held)
	}
	if want := "run this command there, where `up` runs; `kubectl okteto status` works from everywhere"; hint(held) != want {
		t.Errorf("held elsewhere: %s", hint(held))
	}
}

// syncCommands are the commands that ask a running `up`.
func syncCommands() []string {
	return []string{"list", "flush", "conflicts", "top", "pause", "resume", "undo"}
}

func TestSyncOfAnOlderSession(t *testing.T) {
	m := newMachine(t)
	m.up("api", nil)
	for _, command := range syncCommands() {
		if code := m.run("sync", command); code != 1 || !strings.HasPrefix(m.err.String(), "error: the running session (test) has no method ") {
			t.Errorf("sync %s: exit code %d: %s", command, code, m.err.String())
		}
	}
	for _, command := range []string{"list -o yaml", "top --limit 0", "flush --timeout -1s", "list a b", "list -- x"} {
		if code := m.run(append([]string{"sync"}, strings.Fields(command)...)...); code != 2 {
			t.Errorf("sync %s: exit code %d: %s", command, code, m.err.String())
		}
	}
}

func TestSyncPauseAndResume(t *testing.T) {
	m := newMachine(t)
	var asked []string
	note := func(method string) control.Method {
		return func(_ context.Context, params json.RawMessage, _ func(any) error) error {
			asked = append(asked, method+string(params))
			return nil
		}
	}
	m.up("api", map[string]control.Method{"pause": note("pause"), "resume": note("resume")})
	for command, want := range map[string]string{
		"pause": "  sync of api is paused; `kubectl okteto sync resume` lets it go on\n", "resume": "  sync of api is resumed\n",
	} {
		if code := m.run("sync", command, "--folder", "/app"); code != 0 || m.err.String() != want {
			t.Errorf("sync %s: exit code %d: %s", command, code, m.err.String())
		}
		if got := strings.Join(asked, " "); got != command+`{"folder":"/app"}` {
			t.Errorf("sync %s: the session was asked %s", command, got)
		}
		asked = nil
	}
}

func TestSyncUndo(t *testing.T) {
	m := newMachine(t)
	batch := func(name, side string, minutes int, destructive bool) devsession.TrashBatch {
		return devsession.TrashBatch{
			Local: "/src", Remote: "/app", Batch: name, Side: side, Time: m.now.Add(time.Duration(minutes) * time.Minute),
			Entries: 12, Bytes: 1024, Paths: []string{"a", "b\n", "c"}, Why: []string{"deleted", "overwritten"}, Destructive: destructive,
		}
	}
	list := []devsession.TrashBatch{batch("pod-1", "pod", 1, true), batch("pod-2", "pod", 3, false), batch("laptop-1", "laptop", 2, true)}
	encoded, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var asked string
	undone, err := json.Marshal(devsession.Undone{Batch: list[2], Entries: 11, Failed: 1, Failures: []devsession.Failure{{Path: "c", Reason: "permission denied"}}})
	if err != nil {
		t.Fatal(err)
	}
	m.up("api", map[string]control.Method{"trash": answers(string(encoded), nil), "undo": answers(string(undone), &asked)})
	if code := m.run("sync", "undo", "--list"); code != 0 {
		t.Fatalf("exit code %d: %s", code, m.err.String())
	}
	text := m.out.String()
	for i := range 4 {
		at := m.now.Add(time.Duration(i) * time.Minute)
		text = strings.ReplaceAll(text, at.Local().Format(time.DateTime), at.Format(time.DateTime))
	}
	golden(t, "sync-undo.txt", []byte(text))
	// Without a name the newest that destroyed something.
	code := m.run("sync", "undo", "-o", "json")
	if want := "! c: permission denied\nerror: 1 path could not be brought back\n"; code != 1 || !strings.HasSuffix(m.err.String(), want) ||
		!strings.HasPrefix(m.err.String(), "  11 paths of /src are as they were before ") {
		t.Errorf("exit code %d: %s", code, m.err.String())
	}
	if asked != `{"folder":"/app","batch":"laptop-1"}` || strings.TrimSpace(m.out.String()) != string(undone) {
		t.Errorf("the session was asked %s and answered %s", asked, m.out.String())
	}
	if code := m.run("sync", "undo", "pod-2"); code != 1 || asked != `{"folder":"/app","batch":"pod-2"}` {
		t.Errorf("exit code %d, asked %s", code, asked)
	}
	for args, want := range map[string]int{"none": 1, "a b": 2, "--list pod-1": 2, "--list -o yaml": 2} {
		if code := m.run(append([]string{"sync", "undo"}, strings.Fields(args)...)...); code != want {
			t.Errorf("sync undo %s: exit code %d: %s", args, code, m.err.String())
		}
	}
	m.up("empty", map[string]control.Method{"trash": answers("[]", nil)})
	if code := m.run("sync", "undo", "--name", "empty"); code != 1 || !strings.HasPrefix(m.err.String(), "error: there is nothing to undo") {
		t.Errorf("exit code %d: %s", code, m.err.String())
	}
	if code := m.run("sync", "undo", "--name", "empty", "--list"); code != 0 || m.out.String() != "The trash is empty.\n" {
		t.Errorf("exit code %d: %s", code, m.out.String())
	}
	twice := append(list, list...)
	if _, err := choose(twice, "pod-1"); err == nil || !strings.Contains(err.Error(), "--folder") {
		t.Errorf("a batch of two folders: %v", err)
	}
}
