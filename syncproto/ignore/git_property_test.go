package ignore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// gitTree is a repository with random files and random ignore files.
type gitTree struct {
	root  string
	paths []string // files and folders
	dirs  map[string]bool
}

// gitName draws a name that patterns may well hit.
func gitName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "ab", "aab", "x.o", "y.o", "A", "é", "a b", "b ", "#c", "!d", "[a]", "-", `\`, "*"}).Draw(t, "name")
}

// gitElement draws a path element of a pattern.
func gitElement(t *rapid.T) string {
	if rapid.IntRange(0, 3).Draw(t, "plain") == 0 {
		return gitName(t)
	}
	atoms := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "b", "x", "o", ".", "A", "?", "*", "[ab]", "[!a]", "[^b]", "[a-x]", "[]-a]", "[[:alpha:]]", "[![:space:]x]", "[\\]a]", "[a-\\b]",
		"[[:x]", "[b-a]", `\a`, `\*`, `\[`, `\ `, "é", " ", "[", "#", "!", "[\xc3]", "[!\xa9]", "{a,b}",
	}), 1, 3).Draw(t, "atoms")
	// Two asterisks make one, but for those that stand alone.
	return strings.ReplaceAll(strings.Join(atoms, ""), "**", "*")
}

// gitPattern draws a line of a .gitignore file.
func gitPattern(t *rapid.T) string {
	elements := make([]string, rapid.IntRange(1, 3).Draw(t, "elements"))
	for i := range elements {
		if elements[i] = gitElement(t); rapid.IntRange(0, 5).Draw(t, "deep") == 0 {
			elements[i] = "**"
		}
	}
	line := strings.Join(elements, "/")
	for _, add := range []string{"/", "!"} {
		if rapid.IntRange(0, 3).Draw(t, "prefix"+add) == 0 {
			line = add + line
		}
	}
	return line + rapid.SampledFrom([]string{"", "", "", "/", "/", " ", "  ", `\ `, "\t", "\r", "//", "\n# x", "\n"}).Draw(t, "end")
}

func drawGitTree(t *rapid.T, root string) gitTree {
	g := gitTree{root: root, dirs: map[string]bool{}}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var grow func(dir string, depth int)
	grow = func(dir string, depth int) {
		must(os.MkdirAll(filepath.Join(root, dir), 0o755))
		if rapid.IntRange(0, 2).Draw(t, "ignores") == 0 || dir == "" {
			lines := rapid.SliceOfN(rapid.Custom(gitPattern), 1, 4).Draw(t, "lines")
			must(os.WriteFile(filepath.Join(root, dir, GitFileName), []byte(strings.Join(lines, "\n")), 0o644))
		}
		for range rapid.IntRange(1, 4).Draw(t, "entries") {
			p := strings.TrimPrefix(dir+"/"+gitName(t), "/")
			if slices.Contains(g.paths, p) {
				continue
			}
			g.paths = append(g.paths, p)
			if g.dirs[p] = depth > 0 && rapid.Bool().Draw(t, "dir"); g.dirs[p] {
				grow(p, depth-1)
			} else {
				must(os.WriteFile(filepath.Join(root, p), nil, 0o644))
			}
		}
	}
	for _, d := range []string{".git/objects", ".git/refs", ".git/info"} {
		must(os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	must(os.WriteFile(filepath.Join(root, ".git/HEAD"), []byte("ref: refs/heads/main\n"), 0o644))
	must(os.WriteFile(filepath.Join(root, ".git/config"), []byte("[core]\n\trepositoryformatversion = 0\n\tbare = false\n"), 0o644))
	if rapid.Bool().Draw(t, "exclude") {
		must(os.WriteFile(filepath.Join(root, GitExclude), []byte(gitPattern(t)), 0o644))
	}
	grow("", 3)
	return g
}

// ask returns what git says of each path.
func (g gitTree) ask(t *rapid.T, git string) map[string]Result {
	cmd := exec.Command(git, "check-ignore", "--no-index", "--verbose", "--non-matching", "--stdin", "-z")
	cmd.Dir = g.root
	// Neither the user's ignore file nor a repository above has a say.
	cmd.Env = []string{"HOME=" + g.root, "XDG_CONFIG_HOME=" + g.root, "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(g.root), "LC_ALL=C"}
	cmd.Stdin = strings.NewReader(strings.Join(g.paths, "\x00") + "\x00")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Fatalf("git check-ignore: %v", err)
	}
	said := map[string]Result{}
	fields := strings.Split(string(bytes.TrimSuffix(out, []byte{0})), "\x00")
	for f := range slices.Chunk(fields, 4) {
		line, _ := strconv.Atoi(f[1])
		said[f[3]] = Result{Ignored: f[2] != "" && f[2][0] != '!', Line: line, File: f[0], Pattern: f[2]}
	}
	return said
}

// Git itself says of every path of random trees what is to be said of it, with
// the file and the line that decide.
func TestMatchAgreesWithGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed, and there is nothing else to compare with")
	}
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "ignore")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		g := drawGitTree(t, root)
		m, _, err := (*Matcher)(nil).WithGit(folderAt(root), noFolder)
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range g.ask(t, git) {
			if diff := cmp.Diff(want, m.Match(p, g.dirs[p])); diff != "" {
				t.Fatalf("%q (-git +matcher):\n%s%s", p, diff, g)
			}
		}
		g.checkLines(t, m)
	})
}

// checkLines compares what travels with what was read, and skips with what is
// below.
func (g gitTree) checkLines(t *rapid.T, m *Matcher) {
	again, err := ParseLines(strings.Join(m.Lines(), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.paths {
		if a, b := m.Match(p, g.dirs[p]), again.Match(p, g.dirs[p]); a.Ignored != b.Ignored || m.CanSkipDir(p) != again.CanSkipDir(p) {
			t.Fatalf("%q: %+v became %+v by way of %q", p, a, b, m.Lines())
		}
		for i := range len(p) {
			if p[i] == '/' && m.CanSkipDir(p[:i]) && !m.Match(p, g.dirs[p]).Ignored {
				t.Fatalf("%q can be skipped, but %q is not ignored", p[:i], p)
			}
		}
	}
}

// String shows the ignore files.
func (g gitTree) String() string {
	var b strings.Builder
	_ = filepath.WalkDir(g.root, func(p string, d fs.DirEntry, _ error) error {
		if d.Name() == GitFileName || strings.HasSuffix(filepath.ToSlash(p), GitExclude) {
			text, _ := os.ReadFile(p)
			rel, _ := filepath.Rel(g.root, p)
			b.WriteString(rel + ": " + strconv.Quote(string(text)) + "\n")
		}
		return nil
	})
	return b.String()
}
