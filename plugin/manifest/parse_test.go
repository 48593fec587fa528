package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// parseDev parses one field of a development container.
func parseDev(t *testing.T, field string) (*Dev, error) {
	t.Helper()
	text := "dev:\n  api:\n    " + strings.ReplaceAll(field, "\n", "\n    ") + "\n"
	if !strings.HasPrefix(field, "sync:") {
		text += "    sync: [.:/app]\n"
	}
	m, err := Parse([]byte(text), testOptions("okteto.yaml"))
	if err != nil {
		return nil, err
	}
	return m.Select("api")
}

func TestForwardNotations(t *testing.T) {
	tests := []struct {
		field string
		want  []Forward
	}{
		{"forward: [8080:80]", []Forward{{Local: 8080, Remote: 80}}},
		{"forward: ['8080:80']", []Forward{{Local: 8080, Remote: 80}}},
		// YAML 1.1 reads this as a number to the base of 60.
		{"forward: [22:22]", []Forward{{Local: 22, Remote: 22}}},
		{"forward: [8080:web:80]", []Forward{{Local: 8080, Remote: 80, Service: "web"}}},
		{"forward: [8080:web.shop:80]", []Forward{{Local: 8080, Remote: 80, Service: "web.shop"}}},
		{"forward: [{localPort: 1, remotePort: 65535}]", []Forward{{Local: 1, Remote: 65535}}},
		{"forward: [{localPort: 1, remotePort: 2, name: web}]", []Forward{{Local: 1, Remote: 2, Service: "web"}}},
		{"forward: [{localPort: 1, remotePort: 2, labels: {a: b}}]", []Forward{{Local: 1, Remote: 2, Labels: map[string]string{"a": "b"}}}},
		{"forward: [9:9, 7:7, 8:8]", []Forward{{Local: 7, Remote: 7}, {Local: 8, Remote: 8}, {Local: 9, Remote: 9}}},
		{"forward: []", nil},
		{"forward:", nil},
	}
	for _, tt := range tests {
		dev, err := parseDev(t, tt.field)
		if err != nil {
			t.Errorf("%s: %v", tt.field, err)
			continue
		}
		if diff := cmp.Diff(tt.want, dev.Forward); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.field, diff)
		}
	}
}

func TestSyncNotations(t *testing.T) {
	tests := []struct {
		item string
		want SyncFolder
	}{
		{".:/app", SyncFolder{Local: "/work/shop", Remote: "/app"}},
		{"./api/:/app/", SyncFolder{Local: "/work/shop/api", Remote: "/app"}},
		{"/abs:/app", SyncFolder{Local: "/abs", Remote: "/app"}},
		{"~:/app", SyncFolder{Local: "/home/dev", Remote: "/app"}},
		{"~/x:/app", SyncFolder{Local: "/home/dev/x", Remote: "/app"}},
		{"~x:/app", SyncFolder{Local: "/work/shop/~x", Remote: "/app"}},
		{"a:/b", SyncFolder{Local: "/work/shop/a", Remote: "/b"}},
		{`c:\x:/app`, SyncFolder{Local: `c:\x`, Remote: "/app"}},
		{"c:/x:/app", SyncFolder{Local: "c:/x", Remote: "/app"}},
		{"${PROJECT}:/app", SyncFolder{Local: "/work/project", Remote: "/app"}},
		{"a b:/c d", SyncFolder{Local: "/work/shop/a b", Remote: "/c d"}},
	}
	for _, tt := range tests {
		dev, err := parseDev(t, "sync: ['"+tt.item+"']")
		if err != nil {
			t.Errorf("%s: %v", tt.item, err)
			continue
		}
		got := dev.Sync[0]
		got.Local = filepath.ToSlash(got.Local)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.item, diff)
		}
	}
}

func TestCommandNotations(t *testing.T) {
	tests := []struct {
		field string
		want  Command
	}{
		{"command: bash", Command{Argv: []string{"bash"}}},
		{"command: ' bash '", Command{Argv: []string{"bash"}}},
		{"command: go run .", Command{Argv: []string{"go run ."}, Shell: true}},
		{"command: \"a\\tb\"", Command{Argv: []string{"a\tb"}, Shell: true}},
		{"command: [go run, .]", Command{Argv: []string{"go run", "."}}},
		{"command: 7", Command{Argv: []string{"7"}}},
		{"command: []", Command{Argv: []string{"sh"}}},
		{"command:", Command{Argv: []string{"sh"}}},
		{"image: x", Command{Argv: []string{"sh"}}},
	}
	for _, tt := range tests {
		dev, err := parseDev(t, tt.field)
		if err != nil {
			t.Errorf("%s: %v", tt.field, err)
			continue
		}
		if diff := cmp.Diff(tt.want, dev.Command); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.field, diff)
		}
	}
}

func TestTimeoutNotations(t *testing.T) {
	tests := []struct {
		field string
		want  Timeout
	}{
		{"image: x", Timeout{60 * time.Second, 120 * time.Second}},
		{"timeout: 90", Timeout{90 * time.Second, 120 * time.Second}},
		{"timeout: '90s'", Timeout{90 * time.Second, 120 * time.Second}},
		{"timeout: 1h2m", Timeout{62 * time.Minute, 120 * time.Second}},
		{"timeout: {default: 5s}", Timeout{5 * time.Second, 120 * time.Second}},
		{"timeout: {resources: 300}", Timeout{60 * time.Second, 300 * time.Second}},
		{"timeout: {}", Timeout{60 * time.Second, 120 * time.Second}},
	}
	for _, tt := range tests {
		dev, err := parseDev(t, tt.field)
		if err != nil {
			t.Errorf("%s: %v", tt.field, err)
			continue
		}
		if diff := cmp.Diff(tt.want, dev.Timeout); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.field, diff)
		}
	}
}

// TestDefaultsFromEnvironment covers the variables that Okteto takes defaults
// from.
func TestDefaultsFromEnvironment(t *testing.T) {
	tests := []struct {
		timeout, size string
		want          time.Duration
		wantSize      string
		warnings      int
	}{
		{"", "", 60 * time.Second, "5Gi", 0},
		{"3m", "9Gi", 3 * time.Minute, "9Gi", 0},
		{"soon", "big", 60 * time.Second, "5Gi", 2},
		{"-1s", "0", 60 * time.Second, "5Gi", 2},
	}
	for _, tt := range tests {
		opts := Options{Lookup: func(name string) (string, bool) {
			v := map[string]string{"OKTETO_TIMEOUT": tt.timeout, "OKTETO_DEV_PERSISTENT_VOLUME_SIZE": tt.size}[name]
			return v, v != ""
		}}
		m, err := Parse([]byte("dev: {api: {sync: [.:/app], volumes: [/data]}}"), opts)
		if err != nil {
			t.Fatal(err)
		}
		dev := m.Dev["api"]
		if dev.Timeout.Default != tt.want || dev.PersistentVolume.Size != tt.wantSize || len(m.Warnings) != tt.warnings {
			t.Errorf("%q, %q: got %v, %s, %q", tt.timeout, tt.size, dev.Timeout, dev.PersistentVolume.Size, m.Warnings)
		}
	}
}

// TestReasons checks the sentinels of errors that concern the whole file.
func TestReasons(t *testing.T) {
	tests := []struct {
		text string
		want error
	}{
		{"", ErrEmpty},
		{"# only a comment\n", ErrEmpty},
		{"---\n...\n", ErrEmpty},
		{"null", ErrEmpty},
		{"a: [", ErrNotYAML},
		{"a: \x00", ErrNotYAML},
		{"a: 1\n---\nb: 2", ErrNotYAML},
		{"- a", ErrNoKnownKey},
		{"services: {}", ErrNoKnownKey},
	}
	for _, tt := range tests {
		_, err := Parse([]byte(tt.text), Options{Path: "okteto.yaml"})
		if !errors.Is(err, tt.want) {
			t.Errorf("%q: got %v, want %v", tt.text, err, tt.want)
		}
	}
	_, err := Parse([]byte("dev: {api: {imag: x}}"), Options{})
	for _, reason := range []error{ErrEmpty, ErrNotYAML, ErrNoKnownKey, ErrNoDev, ErrDirectory} {
		if errors.Is(err, reason) {
			t.Errorf("%v is %v", err, reason)
		}
	}
}

// TestErrorText checks what users read.
func TestErrorText(t *testing.T) {
	tests := []struct{ path, text, want string }{
		{"okteto.yaml", "dev:\n  api:\n    imag: x\n    sync: [.:/app]\n",
			`okteto.yaml:3:5: field "imag" is not a property of "dev.api"; did you mean "image"?`},
		{"/home/dev/shop/.okteto/okteto.yml", "dev: 5",
			`.okteto/okteto.yml:1:6: "dev" must be a map of names to development containers, not the number 5`},
		{"/home/dev/shop/okteto.yml", "dev: 5",
			`okteto.yml:1:6: "dev" must be a map of names to development containers, not the number 5`},
		{"../x/dev.yaml", "dev:\n  api:\n    remote: 0\n    imag: x\n    sync: [.:/app]\n",
			"../x/dev.yaml has 2 problems:\n" +
				"  ../x/dev.yaml:3:13: \"dev.api.remote\": port 0 is not between 1 and 65535\n" +
				"  ../x/dev.yaml:4:5: field \"imag\" is not a property of \"dev.api\"; did you mean \"image\"?"},
	}
	for _, tt := range tests {
		_, err := Parse([]byte(tt.text), Options{Path: tt.path})
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v\nwant %s", err, tt.want)
		}
	}
}

// TestManyProblems checks that a broken file does not flood the terminal.
func TestManyProblems(t *testing.T) {
	text := "dev:\n  api:\n    sync: [.:/app]\n"
	for i := range 500 {
		text += fmt.Sprintf("    xxxxxxxxxx%d: 1\n", i)
	}
	_, err := Parse([]byte(text), Options{Path: "okteto.yaml"})
	var invalid *InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 500 {
		t.Fatalf("got %v", err)
	}
	if got := err.Error(); strings.Count(got, "\n") != maxReported+1 || !strings.HasSuffix(got, "\n  and 480 more") {
		t.Errorf("got %s", got)
	}
}

// TestLongMessage checks that a value does not flood the terminal either.
func TestLongMessage(t *testing.T) {
	_, err := parseDev(t, "imagePullPolicy: "+strings.Repeat("ü", 1<<16))
	if err == nil || len(err.Error()) > maxMessage+100 || !strings.HasSuffix(err.Error(), "ü…") {
		t.Errorf("got %.2000v", err)
	}
}

// TestAliasProblemOnce checks that a mistake in an anchor is said once for each
// meaning, not for each alias.
func TestAliasProblemOnce(t *testing.T) {
	_, err := Parse([]byte("dev:\n  a: &a {sync: [.:/app], imagePullPolicy: X}\n  b: *a\n"), Options{})
	var invalid *InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 2 {
		t.Fatalf("got %v", err)
	}
	if first := invalid.Problems[0]; first.Line != 2 || !strings.Contains(first.Message, `"dev.a.imagePullPolicy"`) {
		t.Errorf("got %v", first)
	}
}

// TestBounds checks that hostile files end in an error, soon.
func TestBounds(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
	}
	tests := []struct{ name, text, want string }{
		{"alias bomb", bomb, "has more than 100000 values once its aliases are replaced"},
		{"lists in lists", "dev: " + strings.Repeat("[", 500) + strings.Repeat("]", 500), "nested more than 100 deep"},
		{"maps in maps", "dev: " + strings.Repeat("{a: ", 500) + strings.Repeat("}", 500), "nested more than 100 deep"},
		{"far too deep", strings.Repeat("[", 50_000), "exceeded max depth"},
		{"large aliases", "a: &a " + strings.Repeat("x", 1<<19) + "\nb: [" + strings.Repeat("*a,", 1000) + "]", "has more than 4194304 bytes of text"},
		{"long key", "dev:\n  ? " + strings.Repeat("x", 2000) + "\n  : 1", "a key must have at most 1024 bytes"},
		{"itself", "dev: &a\n  <<: *a\n", `the anchor "a" contains itself`},
		{"by way of another", "dev: &a {b: &b {c: *a}}\n", `the anchor "a" contains itself`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.text), Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestSectionsArePlain checks that what is kept for others needs no knowledge
// of aliases.
func TestSectionsArePlain(t *testing.T) {
	m, err := Parse([]byte("build:\n  a: &a {context: x}\n  b:\n    <<: *a\n    image: y\n  c: *a\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]string
	if err := m.Sections["build"].Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{"a": {"context": "x"}, "b": {"context": "x", "image": "y"}, "c": {"context": "x"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if line := m.Sections["build"].Content[0].Line; line != 2 {
		t.Errorf("the line is lost: %d", line)
	}
}

func TestTolerationsKeepTheirPointers(t *testing.T) {
	dev, err := parseDev(t, "tolerations: [{key: a, operator: Exists, tolerationSeconds: 0}, {}]")
	if err != nil {
		t.Fatal(err)
	}
	zero := int64(0)
	want := []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists, TolerationSeconds: &zero}, {}}
	if diff := cmp.Diff(want, dev.Pod.Tolerations); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzParse checks that no text makes the parser panic, that what it accepts
// keeps the promises of the types, and that it says where it refuses.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"good", "bad"} {
		files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds: %v", err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	opts := testOptions("okteto.yaml")
	opts.ReadFile = func(string) ([]byte, error) { return []byte("A=1\n"), nil }
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data, opts)
		if err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 || err.Error() == "" {
				t.Fatalf("got %#v", err)
			}
			return
		}
		for name, dev := range m.Dev {
			checkPromises(t, name, dev)
		}
	})
}

// checkPromises checks what the comments in types.go say of every result.
func checkPromises(t *testing.T, name string, dev *Dev) {
	t.Helper()
	if dev.Name != name || dev.Workload == "" || dev.Interface == "" {
		t.Errorf("names: %+v", dev)
	}
	if len(dev.Command.Argv) == 0 || len(dev.Sync) == 0 && dev.LocalDir == "" {
		t.Errorf("neither may be empty: %+v", dev)
	}
	if dev.Timeout.Default <= 0 || dev.Timeout.Resources <= 0 {
		t.Errorf("timeouts: %+v", dev.Timeout)
	}
	for _, s := range dev.Sync {
		if !strings.HasPrefix(s.Remote, "/") || s.Remote == "/" || !filepath.IsAbs(s.Local) && !onDrive(s.Local) {
			t.Errorf("folder: %+v", s)
		}
	}
	for _, fw := range dev.Forward {
		if !isEnd(fw.Local, fw.LocalSocket) || !isEnd(fw.Remote, fw.RemoteSocket) || fw.Protocol == UDP && fw.LocalSocket+fw.RemoteSocket != "" {
			t.Errorf("forward: %+v", fw)
		}
	}
	for _, r := range dev.Reverse {
		if !isEnd(r.Local, r.LocalSocket) || !isEnd(r.Remote, r.RemoteSocket) || r.Protocol == UDP && r.LocalSocket+r.RemoteSocket != "" {
			t.Errorf("reverse: %+v", r)
		}
	}
	if (len(dev.Volumes) > 0 || dev.PersistentVolume.Enabled) && dev.PersistentVolume.Size == "" {
		t.Errorf("claim: %+v", dev.PersistentVolume)
	}
}

// isEnd tells whether one end of a forward is either a port or a socket.
func isEnd(port int, socket string) bool {
	if port == 0 {
		return filepath.IsAbs(socket)
	}
	return socket == "" && port > 0 && port <= 65535
}
