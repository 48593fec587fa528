package ignore

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A sample is a pattern together with the same pattern as a regular
// expression, which is the reference.
type sample struct{ glob, regex string }

func (s sample) then(t sample) sample { return sample{s.glob + t.glob, s.regex + t.regex} }

// literals are the characters that samples and paths are made of.
func literals() []rune { return []rune("aAbé.-") }

// drawGlob draws a pattern without a leading slash or prefix.
func drawGlob(t *rapid.T, depth int) sample {
	var s sample
	for range rapid.IntRange(1, 5).Draw(t, "length") {
		e := drawElement(t, depth)
		if strings.HasSuffix(s.glob, "*") && strings.HasPrefix(e.glob, "*") {
			continue // they would mean something else together
		}
		s = s.then(e)
	}
	return s
}

func drawElement(t *rapid.T, depth int) sample {
	kinds := []string{"char", "char", "char", "slash", "star", "deep", "any", "set", "escape"}
	if depth > 0 {
		kinds = append(kinds, "alternatives")
	}
	r := string(rapid.SampledFrom(literals()).Draw(t, "char"))
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "slash":
		return sample{"/", "/"}
	case "star":
		return sample{"*", "[^/]*"}
	case "deep":
		return sample{"**", ".*"}
	case "any":
		return sample{"?", "[^/]"}
	case "set":
		if rapid.Bool().Draw(t, "negated") {
			return sample{"[^a-f" + r + "]", `[^/a-f\` + `x{` + hex(r) + `}]`}
		}
		return sample{"[a-f" + r + "]", `[a-f\x{` + hex(r) + `}]`}
	case "escape":
		return sample{`\*`, `\*`}
	case "alternatives":
		alt := sample{"{", "(?:"}
		for i := range rapid.IntRange(1, 3).Draw(t, "alternatives") {
			if i > 0 {
				alt = alt.then(sample{",", "|"})
			}
			alt = alt.then(drawGlob(t, depth-1))
		}
		return alt.then(sample{"}", ")"})
	default:
		return sample{r, regexp.QuoteMeta(r)}
	}
}

func hex(s string) string {
	const digits = "0123456789abcdef"
	r := []rune(s)[0]
	return string([]byte{digits[r>>4&15], digits[r&15]})
}

// drawLine draws a line of an ignore file and the regular expression of the
// paths that it decides about.
func drawLine(t *rapid.T) (line string, re *regexp.Regexp) {
	s := drawGlob(t, 2)
	for strings.HasPrefix(s.glob, "/") {
		s = drawGlob(t, 2)
	}
	if strings.HasSuffix(s.glob, "/") {
		s.regex += ".*"
	}
	flags, prefix := "(?s)", ""
	if rapid.Bool().Draw(t, "include") {
		prefix += "!"
	}
	if rapid.Bool().Draw(t, "fold") {
		flags, prefix = "(?si)", prefix+"(?i)"
	}
	if rapid.Bool().Draw(t, "anchored") {
		return prefix + "/" + s.glob, regexp.MustCompile(flags + "^(?:" + s.regex + ")(?:/.*)?$")
	}
	return prefix + s.glob, regexp.MustCompile(flags + "^(?:.*/)?(?:" + strings.TrimPrefix(s.regex, ".*/") + ")(?:/.*)?$")
}

func drawPath(t *rapid.T) string {
	element := rapid.StringOfN(rapid.SampledFrom(append(literals(), 'c', '*')), 1, 5, -1).
		Filter(func(s string) bool { return s != "." })
	return strings.Join(rapid.SliceOfN(element, 1, 4).Draw(t, "path"), "/")
}

// The compiled matcher agrees with the reference on every path, including the
// order of the lines.
func TestMatchAgreesWithRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		var exprs []*regexp.Regexp
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			line, re := drawLine(t)
			lines, exprs = append(lines, line), append(exprs, re)
		}
		m, err := Parse(strings.NewReader(strings.Join(lines, "\n")), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			path := drawPath(t)
			want := Result{}
			for i, re := range exprs {
				if re.MatchString(path) {
					want = Result{Ignored: !strings.HasPrefix(lines[i], "!"), Line: i + 1, File: FileName, Pattern: lines[i]}
					break
				}
			}
			if diff := cmp.Diff(want, m.Match(path, false)); diff != "" {
				t.Fatalf("%q on %q (-regexp +matcher):\n%s", lines, path, diff)
			}
		}
	})
}

// A folder that can be skipped holds nothing that is kept, and what is below an
// ignored folder without ! lines before can be skipped.
func TestCanSkipDirIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		includes := false
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			line, _ := drawLine(t)
			lines = append(lines, line)
			includes = includes || strings.HasPrefix(line, "!")
		}
		m, err := Parse(strings.NewReader(strings.Join(lines, "\n")), nil)
		if err != nil {
			t.Fatal(err)
		}
		dir, below := drawPath(t), drawPath(t)
		if m.CanSkipDir(dir) && !m.Match(dir+"/"+below, false).Ignored {
			t.Fatalf("%q: %q is kept below %q, which can be skipped", lines, below, dir)
		}
		if !includes && m.Match(dir, true).Ignored && !m.CanSkipDir(dir) {
			t.Fatalf("%q: %q cannot be skipped", lines, dir)
		}
	})
}

// checkLines fails unless the canonical lines are a fixed point with the same
// meaning.
func checkLines(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *Matcher, paths ...string) {
	t.Helper()
	again, err := Parse(strings.NewReader(strings.Join(m.Lines(), "\n")), nil)
	if err != nil {
		t.Fatalf("canonical lines %q: %v", m.Lines(), err)
	}
	if diff := cmp.Diff(m.Lines(), again.Lines()); diff != "" {
		t.Fatalf("canonical lines change (-first +second):\n%s", diff)
	}
	for _, p := range paths {
		a, b := m.Match(p, false), again.Match(p, false)
		if a.Ignored != b.Ignored || a.Deletable != b.Deletable || m.CanSkipDir(p) != again.CanSkipDir(p) {
			t.Fatalf("%q: %+v became %+v by way of %q", p, a, b, m.Lines())
		}
	}
}

func TestLinesMeanTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Any text of the characters that mean something.
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab/*?[]{},!^-\\|#( )id\n\r\t\ufeffé"))).Draw(t, "text")
		if rapid.Bool().Draw(t, "escape") {
			text = "#escape=|\n" + text
		}
		m, err := Parse(strings.NewReader(text), nil)
		if err != nil {
			t.Skip("not an ignore file")
		}
		checkLines(t, m, drawPath(t), drawPath(t), "a", "b/a")
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"foo\n!/bar\n(?d)(?i)*.TMP", "#escape=|\n|*a\\b", "#include x\n**/a/{b,c}[^d-f]?", "// c\n\xff\xfe[\xf0-\xf1]",
		"{a,{b,}}\\", "(?i)\xc3\x84[Z-a]", "[a\n]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(strings.NewReader(text), nil)
		if err == nil {
			checkLines(t, m, "a", "a/b", "foo/bar.tmp", text)
		}
	})
}

// FuzzMatch compares the short cuts of simple patterns with the automaton.
func FuzzMatch(f *testing.F) {
	f.Add("*.go", "a/b.go")
	f.Add("/a*", "ab/c")
	f.Add("(?i)A/b", "x/a/B")
	f.Add("a/**/{b,c}*", "a/x/y/c/d")
	f.Add("[!\xff]", "\xfe")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		m, err := Parse(strings.NewReader(pattern), nil)
		if err != nil || len(m.rules) != 1 {
			return
		}
		r := &m.rules[0]
		p := subject{path: normal(path)}
		text := p.text(r.fold)
		want := r.glob.matches(text, r.anchored)
		if got := r.match(text); got != want {
			t.Fatalf("%q on %q: %v by short cut, %v by automaton", pattern, path, got, want)
		}
		m.CanSkipDir(path)
	})
}
