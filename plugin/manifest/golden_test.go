package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// update rewrites what the tests in testdata want by what they got:
// go test ./plugin/manifest -run TestGood -update. Read the difference.
var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// testLookup is the environment of the manifests in testdata.
func testLookup(name string) (string, bool) {
	v, ok := map[string]string{
		"HOME":    "/home/dev",
		"USER":    "dev",
		"TAG":     "v2",
		"EMPTY":   "",
		"PROJECT": "/work/project",
	}[name]
	return v, ok
}

// testStat has every folder, except where the name says that it is a file or
// what is wrong.
func testStat(path string) (fs.FileInfo, error) {
	base := filepath.Base(path)
	switch {
	case strings.Contains(base, "missing"):
		return nil, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
	case base == "forbidden":
		return nil, fs.ErrPermission
	case base == "large.key":
		return fs.Stat(fstest.MapFS{"f": {Data: make([]byte, 1<<20+1)}}, "f")
	case strings.HasSuffix(base, ".txt"), strings.HasSuffix(base, ".key"):
		return fs.Stat(fstest.MapFS{"f": {}}, "f")
	default:
		return fs.Stat(fstest.MapFS{"d/f": {}}, "d")
	}
}

func testOptions(path string) Options {
	return Options{
		Path: path, Dir: "/work/shop", Lookup: testLookup, Stat: testStat,
		ReadFile: func(path string) ([]byte, error) {
			return os.ReadFile(filepath.Join("testdata", "env", filepath.Base(path)))
		},
	}
}

func manifests(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in testdata/%s: %v", folder, err)
	}
	return files
}

// TestGood compares the result of each good manifest with a golden file.
func TestGood(t *testing.T) {
	for _, file := range manifests(t, "good") {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(data, testOptions("okteto.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			got := golden(t, m)
			path := strings.TrimSuffix(file, ".yaml") + ".json"
			if diff := compared(t, path, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// golden renders a manifest without what is empty; sections by name.
func golden(t *testing.T, m *Manifest) []byte {
	t.Helper()
	plain := *m
	plain.Sections = nil
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	if len(m.Sections) > 0 {
		tree["Sections"] = slices.Sorted(maps.Keys(m.Sections))
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(withoutEmpty(tree)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func withoutEmpty(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if e = withoutEmpty(e); e == nil {
				delete(x, k)
			} else {
				x[k] = e
			}
		}
		if len(x) == 0 {
			return nil
		}
	case []any:
		for i := range x {
			if s, ok := x[i].(string); !ok || s != "" {
				x[i] = withoutEmpty(x[i])
			}
		}
		if len(x) == 0 {
			return nil
		}
	case string:
		if x == "" {
			return nil
		}
	case float64:
		if x == 0 {
			return nil
		}
	}
	return v
}

// expectMark begins a line of a bad manifest that says what is wrong in it.
const expectMark = "# want:"

// TestBad compares the problems of each bad manifest with its first lines.
func TestBad(t *testing.T) {
	for _, file := range manifests(t, "bad") {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			body := string(data)
			for strings.HasPrefix(body, expectMark) {
				var line string
				line, body, _ = strings.Cut(body, "\n")
				want = append(want, strings.TrimSpace(strings.TrimPrefix(line, expectMark)))
			}
			if len(want) == 0 && !*update {
				t.Fatalf("the manifest says nowhere %q", expectMark)
			}
			if *update {
				want = expectations(t, body)
				text := expectMark + " " + strings.Join(want, "\n"+expectMark+" ") + "\n" + body
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, problems(t, body, len(want))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// problems returns what is wrong with a manifest below a number of lines.
func problems(t *testing.T, body string, above int) []string {
	t.Helper()
	_, err := Parse([]byte(strings.Repeat(expectMark+"\n", above)+body), testOptions("okteto.yaml"))
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.in("okteto.yaml"))
	}
	return got
}

// expectations returns the problems of a manifest below as many lines as there
// are problems.
func expectations(t *testing.T, body string) []string {
	t.Helper()
	for above := 1; ; {
		got := problems(t, body, above)
		if len(got) == above {
			return got
		}
		above = len(got)
	}
}

// compared returns how got differs from a file; with -update it is written.
func compared(t *testing.T, path string, got []byte) string {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return cmp.Diff(string(want), string(got))
}
