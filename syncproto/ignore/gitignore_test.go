package ignore

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folderAt is a folder of the disk.
type folderAt string

func (f folderAt) ReadDir(name string) ([]fs.DirEntry, error) {
	return os.ReadDir(filepath.Join(string(f), filepath.FromSlash(name)))
}

func (f folderAt) OpenFile(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(f), filepath.FromSlash(name)))
}

func noFolder(string) bool { return false }

// writeTree makes files, and folders where a name ends with a slash.
func writeTree(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		dir, isDir := filepath.Dir(full), false
		if strings.HasSuffix(name, "/") {
			dir, isDir = full, true
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if isDir {
			continue
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// withGit reads the .gitignore files of a tree.
func withGit(t testing.TB, m *Matcher, root string) (*Matcher, []error) {
	t.Helper()
	g, problems, err := m.WithGit(folderAt(root), noFolder)
	if err != nil {
		t.Fatal(err)
	}
	return g, problems
}

func TestGitLine(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"a", "a"}, {"a  ", "a"}, {`a\ `, `a\ `}, {`a\  `, `a\ `}, {`a \ b `, `a \ b`}, {"a\t", "a\t"}, {"  ", ""}, {" a", " a"},
		{"a\r", "a"}, {"a \r", "a"}, {"a\r\r", "a\r"}, {"# a", ""}, {`\# a`, `\# a`}, {"a # b", "a # b"}, {"a\x00b", "a"}, {`a  \`, `a  \`},
		{`a\\ `, `a\\`}, {"", ""},
	} {
		if got := gitLine(tt.line); got != tt.want {
			t.Errorf("gitLine(%q) = %q, want %q", tt.line, got, tt.want)
		}
	}
}

// Paths that end with a slash are folders.
func TestGitMatch(t *testing.T) {
	for _, tt := range []struct {
		patterns string // lines of the root's file
		ignored  string // paths, separated by spaces
		kept     string
	}{
		// Names.
		{"foo", "foo a/foo foo/ foo/x a/foo/x/y", "foobar a/xfoo"},
		{"foo/", "foo/ foo/x a/foo/x", "foo a/foo"},
		{"/foo", "foo foo/x", "a/foo"},
		{"a/b", "a/b a/b/c", "x/a/b b"},
		{"a/b/", "a/b/ a/b/c", "a/b x/a/b/"},
		{"a/", "a/b/c", "a"},
		{"foo//", "", "foo foo/ foo/x"},
		{"//foo", "", "foo a/foo"},
		{"/", "", "a a/b"},
		{"!", "", "a"},

		// Wildcards.
		{"*.o", "x.o a/x.o .o x.o/y", "x.oo o"},
		{"/*.o", "x.o x.o/y", "a/x.o"},
		{"a*", "a ab x/ab/c", "ba"},
		{"/a*", "ab ab/c", "x/ab"},
		{"a/*", "a/b a/b/c", "a/ x/a/b"},
		{"a/*/c", "a/b/c", "a/c a/b/b/c"},
		{"a?c", "abc x/abc", "ac a/c abbc"},
		{"a?", "a\xff", "aé"},
		{"a??", "aé", ""},
		{"a/?c", "a/bc", "a/c a//c"},
		{"*", "a a/b .x", ""},
		{"/*\n!/keep", "a b/c", "keep keep/x"},

		// Two asterisks.
		{"**/foo", "foo a/foo a/b/foo/x", "afoo"},
		{"**/a/b", "a/b x/a/b x/y/a/b/c", "xa/b a/x/b"},
		{"a/**/b", "a/b a/x/b a/x/y/b", "b x/a/b a/xb"},
		{"a/**", "a/x a/x/y", "a a/ x/a/b"},
		{"**", "a a/b", ""},
		{"/**", "a a/b", ""},
		{"**/", "a/ a/b", "a"},
		{"a**b", "ab axb x/axyb", "a/b"},
		{"x?**/b", "xab/b xa/b", "xa/c/b"},
		{`**\/foo`, "a/foo a/b/foo", "foo"},

		// Classes.
		{"[ab]c", "ac x/bc", "cc c"},
		{"[!ab]c\n", "cc", "ac"},
		{"[^ab]c", "cc", "ac"},
		{"x[!a]y", "xby", "xay x/y"},
		{"/x[!a]y", "xby", "x/y"},
		{"[]a]x", "]x ax", "bx"},
		{"[!]a]x", "bx", "]x ax"},
		{"[a-c-e]x", "ax bx cx -x ex", "dx"},
		{"[-a]x", "-x ax", "bx"},
		{"[a-]x", "-x ax", "bx"},
		{`[\]a]x`, "]x ax", `\x`},
		{`[a\-c]x`, "ax -x cx", "bx"},
		{`[a-\c]x`, "ax bx cx", `\x dx`},
		{"[c-a]x", "cx", "ax bx"},
		{"[[:digit:]x]y", "1y xy", "ay :y"},
		{"[[:upper:][:space:]]y", "Ay", "ay"},
		{"[![:alnum:]]y", "_y", "ay 1y"},
		{"[[:x]y", "[y :y xy", "dy"},
		{"[[:nope:]a]y", "", "ay"},
		{"[[::]a]y", "", "ay :y"},
		{"[a", "", "[a a"},
		{"[[:alpha:", "", "a"},

		// Escapes.
		{`\#a`, "#a", "a"},
		{`\!a`, "!a", "a"},
		{`a\*`, "a*", "ab"},
		{`a\`, "", `a a\`},
		{`a\b`, "ab", `a\b`},
		{`a\/`, "", "a/ a/b"},

		// Order.
		{"*.o\n!x.o", "y.o a/y.o", "x.o a/x.o"},
		{"!x.o\n*.o", "x.o", ""},
		{"a/\n!a/b", "a/b a/c", ""},
		{"a/*\n!a/b", "a/c", "a/b a/b/c"},
		{"*\n!*/\n!*.go", "x a/x", "x.go a/ a/x.go"},
		{"x\n!x/", "x a/x", "x/ x/y"},

		// Case and odd lines.
		{"Foo", "Foo", "foo"},
		{"\ufefffoo", "foo", ""},
		{"a\xffb", "a\xffb", "a\xfeb"},
		{"(?i)a\n{a,b}", "(?i)a {a,b}", "A a b"},

		// Git's own folder is not theirs.
		{"x\n.git", "x", ".git/ .git/config sub/.git/x"},
	} {
		root := t.TempDir()
		writeTree(t, root, map[string]string{GitFileName: tt.patterns})
		m, _ := withGit(t, nil, root)
		check := func(paths string, want bool) {
			for p := range strings.FieldsSeq(paths) {
				p, dir := strings.CutSuffix(p, "/")
				if m.Match(p, dir).Ignored != want {
					t.Errorf("%q: Match(%q, %v) = %+v", tt.patterns, p, dir, m.Match(p, dir))
				}
			}
		}
		check(tt.ignored, true)
		check(tt.kept, false)
	}
}

func TestGitFilesTogether(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{
		".gitignore":          "*.log\n!keep.log\nout/\n/rooted\nsub/named\n\n# no\n[bad\n",
		".git/info/exclude":   "*.bak\nkeep.log\n!x.log\n",
		"sub/.gitignore":      "!b.log\n/top\n!out/\n",
		"sub/deep/.gitignore": "b.log\n!a.log\n",
		"out/.gitignore":      "!*\n",
		"dir/.gitignore/x":    "*\n",
		"node_modules/a/b":    "", "node_modules/.gitignore": "!*",
	})
	m, problems := withGit(t, parse(t, "node_modules", "!never.log"), root)
	for p, want := range map[string]Result{
		"a.log":          {Ignored: true, Line: 1, File: ".gitignore", Pattern: "*.log"},
		"keep.log":       {Line: 2, File: ".gitignore", Pattern: "!keep.log"},
		"x.bak":          {Ignored: true, Line: 1, File: ".git/info/exclude", Pattern: "*.bak"},
		"x.log":          {Ignored: true, Line: 1, File: ".gitignore", Pattern: "*.log"},
		"out/x":          {Ignored: true, Line: 3, File: ".gitignore", Pattern: "out/"},
		"sub/rooted":     {},
		"rooted":         {Ignored: true, Line: 4, File: ".gitignore", Pattern: "/rooted"},
		"sub/named":      {Ignored: true, Line: 5, File: ".gitignore", Pattern: "sub/named"},
		"sub/sub/named":  {},
		"sub/b.log":      {Line: 1, File: "sub/.gitignore", Pattern: "!b.log"},
		"sub/out/x":      {},
		"sub/top":        {Ignored: true, Line: 2, File: "sub/.gitignore", Pattern: "/top"},
		"sub/deep/top":   {},
		"sub/deep/b.log": {Ignored: true, Line: 1, File: "sub/deep/.gitignore", Pattern: "b.log"},
		"sub/deep/a.log": {Line: 2, File: "sub/deep/.gitignore", Pattern: "!a.log"},
		"dir/x":          {},
		"node_modules/a": {Ignored: true, Line: 1, File: FileName, Pattern: "node_modules"},
		"a/never.log":    {Line: 2, File: FileName, Pattern: "!never.log"},
		".git/x.bak":     {},
	} {
		if diff := cmp.Diff(want, m.Match(p, false)); diff != "" {
			t.Errorf("Match(%q) (-want +got):\n%s", p, diff)
		}
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), `.gitignore:8: "[bad": [ without ]`) {
		t.Errorf("problems: %v", problems)
	}
	want := []string{
		"node_modules", "!never.log",
		"//gitignore ", "*.bak", "keep.log", "!x.log", "*.log", "!keep.log", "out/", "/rooted", "sub/named",
		"//gitignore sub", "!b.log", "/top", "!out/",
		"//gitignore sub/deep", "b.log", "!a.log",
	}
	if diff := cmp.Diff(want, m.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestCanSkipDirWithGit(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{".gitignore": "out\nsub/*\n!sub/keep\n"})
	m, _ := withGit(t, parse(t, "!/out/wanted"), root)
	for dir, want := range map[string]bool{
		"out": false, "out/wanted": false, "out/other": true, "a/out": true, "a/out/x": true, "sub": false, "sub/x": true, "sub/keep": false,
	} {
		if m.CanSkipDir(dir) != want {
			t.Errorf("CanSkipDir(%q) = %v", dir, !want)
		}
	}
}

func TestWithGitFindsWhatItMay(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{
		"own/.gitignore": "a", "skipped/.gitignore": "a", "x/.gitignore": "a", "x/.git/.gitignore": "a", ".git/.gitignore": "a",
	})
	if err := os.Symlink("x/.gitignore", filepath.Join(root, GitFileName)); err != nil {
		t.Skip("no symlinks here")
	}
	m, problems, err := parse(t, "skipped").WithGit(folderAt(root), func(dir string) bool { return dir == "own" })
	if err != nil || problems != nil {
		t.Fatal(err, problems)
	}
	if diff := cmp.Diff([]string{"skipped", "//gitignore x", "a"}, m.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestWithGitIsBounded(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{".gitignore": strings.Repeat("x\n", MaxSize/4), "a/.gitignore": strings.Repeat("x\n", MaxSize/3)})
	if _, _, err := (*Matcher)(nil).WithGit(folderAt(root), noFolder); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error %v", err)
	}
	root = t.TempDir()
	writeTree(t, root, map[string]string{".gitignore": "a\n" + strings.Repeat("x", MaxPattern+1)})
	m, problems := withGit(t, nil, root)
	if len(problems) != 1 || !m.Match("a", false).Ignored {
		t.Errorf("problems: %v", problems)
	}
}

func TestParseLinesErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[a":                      "[ without ]",
		"#include x":              "includes are not possible",
		"a\n//gitignore x\nb\n[a": `x/.gitignore:4: "[a": [ without ]`,
	} {
		if _, err := ParseLines(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLinesOfOddFolders(t *testing.T) {
	m := &Matcher{git: gitRules{}}
	for _, dir := range []string{"a\nb", "%0A", "100%", " x ", "\xff", "//gitignore y"} {
		r, err := parseGitLine("z", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		m.git[dir] = []gitRule{r}
	}
	again, err := ParseLines(strings.Join(m.Lines(), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for dir := range m.git {
		if !again.Match(dir+"/z", false).Ignored {
			t.Errorf("%q is lost", dir)
		}
	}
}
