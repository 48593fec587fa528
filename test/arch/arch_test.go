package arch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"text/tabwriter"
)

// repository loads the module that this package belongs to.
func repository(t *testing.T) *module {
	t.Helper()
	m, err := load(os.DirFS(filepath.Join("..", "..")))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRules holds this repository to every rule.
func TestRules(t *testing.T) {
	text, err := os.ReadFile("waivers.txt")
	if err != nil {
		t.Fatal(err)
	}
	waivers, err := parseWaivers(string(text))
	if err != nil {
		t.Fatalf("waivers.txt: %v", err)
	}
	m := repository(t)
	var found []finding
	for _, r := range rules() {
		found = append(found, r.run(m)...)
	}
	left, unused := waive(found, waivers)
	for _, f := range left {
		t.Error(f)
	}
	for _, w := range unused {
		t.Errorf("waivers.txt:%d: %s breaks no rule %s any more: remove the line", w.line, w.path, w.rule)
	}
}

// TestPlanted runs each rule over a small module that breaks it. The archive
// says in comments where: want "a part of the text", on the line itself.
func TestPlanted(t *testing.T) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			archive, err := os.ReadFile(filepath.Join("testdata", r.name+".txt"))
			if err != nil {
				t.Fatalf("every rule needs a planted violation: %v", err)
			}
			files := unpack(string(archive))
			m, err := load(files)
			if err != nil {
				t.Fatal(err)
			}
			wanted := wants(files)
			if len(wanted) == 0 {
				t.Fatal("the archive wants nothing: the rule could not fail")
			}
			for _, f := range r.run(m) {
				place := fmt.Sprintf("%s:%d", f.path, f.line)
				i := slices.IndexFunc(wanted, func(w want) bool { return w.place == place && strings.Contains(f.text, w.text) })
				if i < 0 {
					t.Errorf("not wanted: %v", f)
					continue
				}
				wanted = slices.Delete(wanted, i, i+1)
			}
			for _, w := range wanted {
				t.Errorf("not found: %s: %s", w.place, w.text)
			}
		})
	}
}

// TestPlantedFilesHaveRules finds archives that no rule reads.
func TestPlantedFilesHaveRules(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range archives {
		name := strings.TrimSuffix(filepath.Base(a), ".txt")
		if !slices.ContainsFunc(rules(), func(r rule) bool { return r.name == name }) {
			t.Errorf("%s: there is no rule %s", a, name)
		}
	}
}

// TestDependencyTable prints who imports what, and fails when the table and
// the code differ: a row that nobody uses protects nothing.
func TestDependencyTable(t *testing.T) {
	m := repository(t)
	importers := m.importers()
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, d := range dependencies() {
		users := importers[d.path]
		fmt.Fprintf(w, "%s\t%s\t%s\n", d.path, strings.Join(users, ", "), d.why)
		for _, dir := range d.dirs {
			if !slices.ContainsFunc(users, func(user string) bool { return matches(dir, user) }) {
				t.Errorf("dependencies() lets %s import %s, but it does not", dir, d.path)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("third-party code:\n%s", out.String())
}

// TestLayersPointDown proves that the table itself has no cycle: no two rows
// may import each other.
func TestLayersPointDown(t *testing.T) {
	for _, a := range layers() {
		for _, b := range layers() {
			concrete := !strings.Contains(a.dir+b.dir, "...") && a.dir != b.dir
			if concrete && matchesAny(a.may, b.dir) && matchesAny(b.may, a.dir) {
				t.Errorf("%s and %s may import each other", a.dir, b.dir)
			}
		}
	}
}

func TestWaivers(t *testing.T) {
	waivers, err := parseWaivers("# comment\n\na/b.go:file: the table is one page\nc.go:init: never\n")
	if err != nil {
		t.Fatal(err)
	}
	found := []finding{{rule: "file", path: "a/b.go"}, {rule: "function", path: "a/b.go"}, {rule: "file", path: "c.go"}}
	left, unused := waive(found, waivers)
	if !reflect.DeepEqual(left, found[1:]) {
		t.Errorf("left are %v, want %v", left, found[1:])
	}
	if !reflect.DeepEqual(unused, waivers[1:]) {
		t.Errorf("unused are %v, want %v", unused, waivers[1:])
	}
	for _, bad := range []string{"a.go", "a.go:file", "a.go:file:", "a.go:file:  ", ":file: why", "a.go:: why"} {
		if _, err := parseWaivers(bad); err == nil {
			t.Errorf("parseWaivers(%q) gives no error", bad)
		}
	}
}

func TestLoadLeavesOut(t *testing.T) {
	m, err := load(unpack(strings.Join([]string{
		"-- go.mod --", "module example.com/m",
		"-- a/a.go --", "package a",
		"-- a/testdata/x.go --", "package x",
		"-- nested/go.mod --", "module example.com/nested",
		"-- nested/n.go --", "package n",
		"-- .hidden/h.go --", "package h",
		"-- a/doc.md --", "text", "",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if m.path != "example.com/m" || len(m.packages) != 1 || m.packages[0].dir != "a" || !reflect.DeepEqual(m.documents, []string{"a/doc.md"}) {
		t.Errorf("loaded %q with %d packages and the documents %q", m.path, len(m.packages), m.documents)
	}
	if _, err := load(fstest.MapFS{}); err == nil {
		t.Error("a folder without go.mod gives no error")
	}
	if _, err := load(unpack("-- go.mod --\nmodule m\n-- a.go --\npackage\n")); err == nil {
		t.Error("a file that is not Go gives no error")
	}
}

// unpack turns a text archive into files. A line `-- name --` begins a file;
// what stands before the first one is a comment.
func unpack(archive string) fstest.MapFS {
	header := regexp.MustCompile(`(?m)^-- (.+) --\n`)
	files := fstest.MapFS{}
	places := header.FindAllStringSubmatchIndex(archive, -1)
	for i, p := range places {
		end := len(archive)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		files[archive[p[2]:p[3]]] = &fstest.MapFile{Data: []byte(archive[p[1]:end])}
	}
	return files
}

// want is an expected finding.
type want struct{ place, text string }

// wants collects the expectations of all files of an archive. One that stands
// in a file called wants names its place first: `path want "text"` or
// `path:line want "text"`.
func wants(files fs.FS) []want {
	var all []want
	comment := regexp.MustCompile(`want "([^"]+)"`)
	if err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, c := range comment.FindAllStringSubmatch(line, -1) {
				place := fmt.Sprintf("%s:%d", name, i+1)
				if name == "wants" {
					place, _, _ = strings.Cut(line, " ")
					if !strings.Contains(place, ":") {
						place += ":1"
					}
				}
				all = append(all, want{place, c[1]})
			}
		}
		return nil
	}); err != nil {
		panic(err)
	}
	return all
}
