package manifest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) *Manifest {
	t.Helper()
	m, err := Parse([]byte(text), Options{Path: "okteto.yaml", Dir: "/work"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSelect(t *testing.T) {
	one := parse(t, "dev: {My_Api: {sync: [.:/app]}}")
	for _, name := range []string{"", "my-api", "My_Api"} {
		dev, err := one.Select(name)
		if err != nil || dev.Name != "my-api" {
			t.Errorf("%q: got %v, %v", name, dev, err)
		}
	}
	two := parse(t, "dev: {web: {sync: [.:/app]}, api: {sync: [.:/app]}}")
	if dev, err := two.Select("web"); err != nil || dev.Name != "web" {
		t.Errorf("got %v, %v", dev, err)
	}
	if diff := cmp.Diff([]string{"api", "web"}, two.Names()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSelectErrors(t *testing.T) {
	two := parse(t, "dev: {web: {sync: [.:/app]}, api: {sync: [.:/app]}}")
	tests := []struct{ name, want string }{
		{"", `okteto.yaml has 2 development containers: name one of "api", "web"`},
		{"apu", `okteto.yaml: development container "apu" doesn't exist; did you mean "api"?`},
		{"database", `okteto.yaml: development container "database" doesn't exist; the manifest has "api", "web"`},
	}
	for _, tt := range tests {
		_, err := two.Select(tt.name)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.name, err, tt.want)
		}
	}
	_, err := two.Select("")
	if choose := (*ChooseDevError)(nil); !errors.As(err, &choose) || len(choose.Known) != 2 {
		t.Errorf("got %#v", err)
	}
	_, err = two.Select("x")
	if unknown := (*UnknownDevError)(nil); !errors.As(err, &unknown) || unknown.Name != "x" {
		t.Errorf("got %#v", err)
	}
	for _, text := range []string{"name: x", "dev:", "dev: {}\nname: x"} {
		if _, err := parse(t, text).Select("api"); !errors.Is(err, ErrNoDev) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestDefault(t *testing.T) {
	tests := []struct{ workload, workdir, name, target string }{
		{"api", "/usr/src/app", "api", "/usr/src/app"},
		{"api", "", "api", "/okteto"},
		{"api", "/", "api", "/okteto"},
		{"api.v2", "/app", "api-v2", "/app"},
	}
	for _, tt := range tests {
		m := Default(tt.workload, tt.workdir, "/work/shop")
		dev, err := m.Select("")
		if err != nil {
			t.Fatal(err)
		}
		checkPromises(t, tt.name, dev)
		want := []SyncFolder{{Local: "/work/shop", Remote: tt.target}}
		if diff := cmp.Diff(want, dev.Sync); diff != "" || dev.Workload != tt.workload || dev.Workdir != tt.target {
			t.Errorf("%+v: got %+v", tt, dev)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"image", "imagePullPolicy", "interface", "environment", "envFiles", "sync", "dev", "deploy"}
	tests := []struct {
		name string
		want []string
	}{
		{"imag", []string{"image"}},
		{"iamge", []string{"image"}},
		{"Image", []string{"image"}},
		{"imagepullpolicy", []string{"imagePullPolicy"}},
		{"enviroment", []string{"environment"}}, //nolint:misspell // what is tested
		{"env", []string{"envFiles", "environment"}},
		{"envi", []string{"environment"}},
		{"en", nil},
		{"snyc", []string{"sync"}},
		{"dve", []string{"dev"}},
		{"zzz", nil},
		{"", nil},
		{"x", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Nearest(tt.name, known)); diff != "" {
			t.Errorf("%q: -want +got:\n%s", tt.name, diff)
		}
	}
}

func TestDotenv(t *testing.T) {
	tests := []struct {
		name, file string
		want       map[string]string
	}{
		{"empty", "", map[string]string{}},
		{"forms", "A=1\nexport B='x y'\nC=\"l1\\nl2\" # note\n# D=4\nE=\n",
			map[string]string{"A": "1", "B": "x y", "C": "l1\nl2", "E": ""}},
		{"no end of line", "A=1", map[string]string{"A": "1"}},
		{"byte order mark", "\xef\xbb\xbfA=1\r\nB=2\r\n", map[string]string{"A": "1", "B": "2"}},
		{"file before the laptop", "TAG=own\nA=$TAG", map[string]string{"TAG": "own", "A": "own"}},
		{"laptop until the file sets it", "A=$TAG\nTAG=own", map[string]string{"A": "v2", "TAG": "own"}},
		{"hard values", "A=${HARD}\nB=\"<$HARD>\"\nC='$HARD'", map[string]string{"A": "a'b\"c\\\n$d", "B": "<a'b\"c\\\n$d>", "C": "$HARD"}},
		{"escaped", `A="\$TAG"`, map[string]string{"A": "$TAG"}},
	}
	lookup := func(name string) (string, bool) {
		if name == "HARD" {
			return "a'b\"c\\\n$d", true
		}
		return testLookup(name)
	}
	for _, tt := range tests {
		got, err := parseDotenv([]byte(tt.file), lookup)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
}

// TestDotenvErrors checks that errors say where, and keep secrets.
func TestDotenvErrors(t *testing.T) {
	tests := []struct{ file, want string }{
		{"A=1\n\nno value secret\nB=2\n", "line 3 must be NAME=value"},
		{"A='secret", "a quoted value has no end"},
		{"secret", "every line must be NAME=value"},
		{"A=\x01secret", "it has control characters"},
	}
	for _, tt := range tests {
		_, err := parseDotenv([]byte(tt.file), testLookup)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.file, err, tt.want)
		}
	}
}
