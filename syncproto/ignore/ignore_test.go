package ignore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// parse parses lines that need no include.
func parse(t testing.TB, lines ...string) *Matcher {
	t.Helper()
	m, err := Parse(strings.NewReader(strings.Join(lines, "\n")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		patterns string // lines
		ignored  string // paths, separated by spaces
		kept     string
	}{
		// Names.
		{"foo", "foo sub/foo a/b/foo foo/below a/foo/b/c", "foobar barfoo fo a/xfoo a/foox"},
		{"a/b", "a/b x/a/b a/b/c x/a/b/c", "a b a/x/b xa/b a/bx"},
		{"/foo", "foo foo/x foo/x/y", "sub/foo sub/foo/x food"},
		{"/a/b", "a/b a/b/c", "x/a/b a b"},
		{"**/foo", "foo a/foo a/b/foo a/foo/b", "afoo foob"},
		{"**/a/b", "a/b x/a/b", "a/x/b"},
		{"**/**/foo", "a/foo a/b/foo", "foo"},

		// Folders and their contents.
		{"foo/", "foo/x a/foo/x a/foo/x/y", "foo a/foo"},
		{"/foo/", "foo/x foo/x/y", "foo a/foo/x"},
		{"foo/**", "foo/x a/foo/x/y", "foo a/foo"},
		{"/**", "a a/b", ""},
		{"/", "a a/b", ""},
		{"**", "a a/b", ""},
		{"*", "a a/b .hidden", ""},
		{"/*", "a a/b", ""},
		{"**/", "a a/b", ""},
		{"foo/*", "foo/x foo/x/y a/foo/x", "foo"},

		// Wildcards.
		{"te*st", "test teast sub/telerest telerest/x", "te/st tele/rest tes"},
		{"te**st", "test telerest tele/sub/dir/rest sub/te/st", "tes"},
		{"te??st", "tebest teéést", "test teb/st tebst te/bst"},
		{"*.pyc", "a.pyc b/a.pyc .pyc a.pyc/x", "a.pyco apyc pyc"},
		{"/*.pyc", "a.pyc a.pyc/x", "b/a.pyc"},
		{"tmp*", "tmp tmpx a/tmp/b a/tmpy/c", "atmp xtmp/y"},
		{"/tmp*", "tmp tmpx tmp/x", "a/tmp"},
		{"a*b*c", "abc axbxc x/aabbcc", "ab ac a/bc ab/c"},
		{"a/*/c", "a/b/c x/a/b/c/d", "a/c a/b/b/c"},
		{"a/**/c", "a/b/c a/b/b/c", "a/c"},
		{"a**", "a ab a/b x/ab/c", "b x/b"},
		{"/a**z", "az a/b/z axz/y", "b/az a/y"},

		// Sets.
		{"[a-c]x", "ax bx cx d/ax", "dx x abx"},
		{"[!a-c]x", "dx x/zx", "ax x"},
		{"[^a-c]x", "dx Ax", "ax x"},
		{"[abx-z]", "a b x y z q/a", "c w ab"},
		{"[a-]", "a -", "b"},
		{"[-a]", "a -", "b"},
		{`[\]\\a]`, `] \ a`, "b"},
		{"a[^x]b", "ayb", "a/b axb"},
		{"[α-ω]", "β x/ω", "b Ω"},

		// Alternatives.
		{"{banana,pineapple}", "banana pineapple a/banana/b", "apple banan"},
		{"*.{jpg,png}", "a.jpg b/c.png", "a.gif jpg"},
		{"a{,b,c*}d", "ad abd acd acxxd", "abcd a/d"},
		{"{a,{b,c}d}e", "ae bde cde", "be ade"},
		{"{a}", "a", "b {a}"},
		{"{**/x,y}/z", "a/x/z y/z a/y/z", "x/z z x"},
		{`{a\,b,c}`, "a,b c", "a b"},
		{"a,b}", "a,b}", "a b"},

		// Escapes.
		{`\{a\}`, "{a}", "a"},
		{`\*`, "* a/*", "a"},
		{`\!foo`, "!foo", "foo"},
		{`a\?b`, "a?b", "axb"},
		{`\#include`, "#include", ""},
		{"#escape=|\n|*.a", "*.a", "x.a"},
		{"#escape=|\na\\b", `a\b`, "ab a"},
		{"#escape = |\n// ok\n|{|}", "{}", ""},
		{`#escape=\` + "\n\\*", "*", "a"},

		// Order and prefixes.
		{"!/foo/keep\n/foo", "foo foo/x", "foo/keep foo/keep/below"},
		{"/foo\n!/foo/keep", "foo foo/x foo/keep", ""},
		{"!*.go\n*", "a a/b", "x.go a/x.go"},
		{"(?i)test", "test TEST tEsT a/Test", "tes"},
		{"(?i)ÄR[Ö-Ü].*", "äRö.x ärÜ.y", "ar.x"},
		{"(?i)*.PNG", "a.png a.PnG", "a.gif"},
		{"test", "test", "TEST"},
		{"!(?i)keep\n*", "x", "keep KEEP a/Keep"},
		{"(?i)!keep\n*", "x", "keep KEEP"},
		{"!!a\na", "a", "!a"},
		{"(?i)(?i)a", "(?I)A", "a"},

		// Comments and white space.
		{"// foo\n\n  \n\tfoo \r", "foo", "bar"},
		{"//\n#foo", "#foo a/#foo", "foo"},
		{"\ufefffoo", "foo", ""},

		// The normal forms of Unicode.
		{"caf\u00e9", "caf\u00e9 cafe\u0301 a/cafe\u0301/b", "cafe"},
		{"cafe\u0301", "caf\u00e9 cafe\u0301", "cafe"},
		{"/caf?", "caf\u00e9 cafe\u0301 cafe", "cafee"},
		{"[\u00e0-\u00ff]*", "e\u0301x", "ex"},
		{"(?i)\u00c9*", "e\u0301x E\u0301x \u00e9", "ex"},
		{"!cafe\u0301\n*", "cafe", "caf\u00e9 caf\u00e9/x cafe\u0301/x"},

		// Bytes that are not UTF-8.
		{"a\xffb", "a\xffb", "a\xfeb a\ufffdb ab"},
		{"a?b", "a\xffb a\ufffdb", "a\xff\xffb"},
		{"(?i)A\xffB", "a\xffb", "a\xfeb"},
	} {
		m := parse(t, strings.Split(tt.patterns, "\n")...)
		for p := range strings.SplitSeq(tt.ignored, " ") {
			if p != "" && !m.Match(p, false).Ignored {
				t.Errorf("%q: %q is not ignored", tt.patterns, p)
			}
		}
		for p := range strings.SplitSeq(tt.kept, " ") {
			if p != "" && m.Match(p, false).Ignored {
				t.Errorf("%q: %q is ignored", tt.patterns, p)
			}
		}
	}
}

func TestMatchKeepsInnerSpaces(t *testing.T) {
	m := parse(t, "  My File  ", `[ ]x[ ]`)
	for p, want := range map[string]bool{
		"My File": true, "a/My File/b": true, "MyFile": false, "My  File": false, " x ": true, "x": false,
	} {
		if got := m.Match(p, false).Ignored; got != want {
			t.Errorf("Match(%q) = %v, want %v", p, got, want)
		}
	}
}

func TestMatchLeavesTheRootAlone(t *testing.T) {
	for _, m := range []*Matcher{parse(t, "*", "**"), {}, nil} {
		for _, p := range []string{"", "."} {
			if m.Match(p, true).Ignored || m.CanSkipDir(p) {
				t.Errorf("the root %q is ignored", p)
			}
		}
	}
	if (*Matcher)(nil).Match("a", false) != (Result{}) || (*Matcher)(nil).CanSkipDir("a") || (*Matcher)(nil).Lines() != nil {
		t.Error("a nil Matcher has an opinion")
	}
}

func TestMatchSaysWhoDecided(t *testing.T) {
	fsys := fstest.MapFS{
		FileName:      {Data: []byte("// first\n!keep\n#include conf/more\n(?d)(?i)*.TMP\n*.pyc\n")},
		"conf/more":   {Data: []byte("\n*.log\n#include deeper\n")},
		"conf/deeper": {Data: []byte("*.bak")},
	}
	m, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]Result{
		"a.go":   {},
		"keep":   {Line: 2, File: FileName, Pattern: "!keep"},
		"a.tmp":  {Ignored: true, Deletable: true, Line: 4, File: FileName, Pattern: "(?d)(?i)*.TMP"},
		"x.pyc":  {Ignored: true, Line: 5, File: FileName, Pattern: "*.pyc"},
		"d/a.lo": {},
		"a.log":  {Ignored: true, Line: 2, File: "conf/more", Pattern: "*.log"},
		"a.bak":  {Ignored: true, Line: 1, File: "conf/deeper", Pattern: "*.bak"},
	} {
		if diff := cmp.Diff(want, m.Match(p, false)); diff != "" {
			t.Errorf("Match(%q) (-want +got):\n%s", p, diff)
		}
	}
}

func TestCanSkipDir(t *testing.T) {
	for _, tt := range []struct {
		patterns  string
		skip, not string
	}{
		{"foo", "foo a/foo foo/bar", "bar a"},
		{"foo/", "foo a/foo foo/x", "bar"},
		{"/foo/**", "foo foo/x", "a/foo"},
		{"/foo/*", "foo/x foo/x/y", "foo"},
		{"*.d", "a.d x/b.d", "d"},
		{"*", "a b/c", ""},
		{"/a/**/z", "a/b/z", "a a/b"},
		{"a{b,c/**}", "ab ac", "a"},
		// Only an earlier ! that can apply below the folder keeps it open.
		{"foo\n!foo/bar", "foo", ""},
		{"!foo/bar\nfoo", "", "foo x/foo"},
		{"!/foo/bar\nfoo", "x/foo foo/x foo/bartender", "foo foo/bar foo/bar/x"},
		{"!/f*/bar\nfoo", "x/foo", "foo"},
		{"!/keep\n*", "other keeper", "keep keep/x"},
		{"!/a/**/z\n*", "b", "a a/b a/z"},
		{"!*.go\nnode_modules", "", "node_modules"},
		{"!(?i)/FOO/bar\nfoo", "", "foo"},
		{"!/caf\u00e9/x\ncaf\u00e9", "a/cafe\u0301", "cafe\u0301"},
		// An ignored folder below a kept one.
		{"!/a\n/a/b\n*", "c", "a a/b"},
	} {
		m := parse(t, strings.Split(tt.patterns, "\n")...)
		for p := range strings.FieldsSeq(tt.skip) {
			if !m.CanSkipDir(p) {
				t.Errorf("%q: %q cannot be skipped", tt.patterns, p)
			}
		}
		for p := range strings.FieldsSeq(tt.not) {
			if m.CanSkipDir(p) {
				t.Errorf("%q: %q can be skipped", tt.patterns, p)
			}
		}
	}
}

func TestOpener(t *testing.T) {
	m := parse(t, "!/build/keep", "build", "!*.go", "node_modules", "tmp/")
	for folder, want := range map[string]Result{
		"build":        {Line: 1, File: FileName, Pattern: "!/build/keep"},
		"x/build":      {},
		"node_modules": {Line: 3, File: FileName, Pattern: "!*.go"},
		"src":          {}, // not ignored
		"tmp":          {},
		"":             {},
	} {
		if diff := cmp.Diff(want, m.Opener(folder)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", folder, diff)
		}
	}
}

func TestLines(t *testing.T) {
	fsys := fstest.MapFS{
		FileName: {Data: []byte("#escape=|\n// comment\n(?d)!(?i)Foo\n|*x\n\n#include more\na\\b")},
		"more":   {Data: []byte("\\!bar\n")},
	}
	m, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"!(?i)(?d)Foo", `\*x`, `\!bar`, `a\\b`}
	if diff := cmp.Diff(want, m.Lines()); diff != "" {
		t.Errorf("Lines (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		lines string
		files fstest.MapFS
		want  string // of the error's text
	}{
		{"foo\n[a", nil, ".stignore:2: \"[a\": [ without ]"},
		{"[]", nil, "no character between [ and ]"},
		{"[!]", nil, "no character between"},
		{"[z-a]", nil, "the range z-a runs backwards"},
		{"{a,b", nil, "{ without }"},
		{"# see {x", nil, "(a comment begins with //)"},
		{`a\`, nil, "nothing follows the escape character"},
		{`[a\`, nil, "nothing follows the escape character"},
		{`[\`, nil, "nothing follows"},
		{"!", nil, "no pattern follows the prefix"},
		{"(?d)(?i)!", nil, "no pattern follows the prefix"},
		{strings.Repeat("{", maxNesting+1), nil, "braces inside one another"},
		{strings.Repeat("x", MaxPattern+1), nil, "longer than 4096 bytes"},
		{strings.Repeat("x\n", MaxSize/2+1), nil, "larger than 1048576 bytes"},
		{"foo\n#escape=|", nil, ".stignore:2: #escape must stand before"},
		{"#escape=", nil, "exactly one character"},
		{"#escape=ab", nil, "exactly one character"},
		{"#escape=*", nil, "cannot be the escape character"},
		{"#include", nil, "needs a space"},
		{"#includefoo", nil, "needs a space"},
		{"\n#include missing", nil, `.stignore:2: including "missing": open missing: file does not exist`},
		{"#include ../outside", nil, `including "../outside": it lies outside of the synced folder`},
		{"#include .stignore", nil, "includes itself (.stignore → .stignore)"},
		{
			"#include d/a", fstest.MapFS{"d/a": {Data: []byte("\n#include ../d/b")}, "d/b": {Data: []byte("x\ny\n#include ./a")}},
			`.stignore:1: d/a:2: d/b:3: including "d/a": the file includes itself (.stignore → d/a → d/b → d/a)`,
		},
		{"#include a", fstest.MapFS{"a": {Data: []byte("ok\n{")}}, ".stignore:1: a:2: \"{\": { without }"},
		{"#include big", fstest.MapFS{"big": {Data: make([]byte, MaxSize)}}, "larger than"},
	} {
		fsys := fstest.MapFS{FileName: {Data: []byte(tt.lines)}}
		for name, f := range tt.files {
			fsys[name] = f
		}
		_, err := Load(fsys)
		if err == nil {
			t.Errorf("%.40q: no error", tt.lines)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: error %q, want %q", tt.lines, err, tt.want)
		}
	}
}

func TestParseErrorIsTyped(t *testing.T) {
	_, err := Parse(strings.NewReader("a\n#include x"), func(string) (io.ReadCloser, error) { return nil, fs.ErrPermission })
	var pe *ParseError
	if !errors.As(err, &pe) || pe.File != FileName || pe.Line != 2 || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %#v", err)
	}
	if _, err := Parse(strings.NewReader("#include x"), nil); err == nil {
		t.Error("an include was opened without a way to open it")
	}
}

func TestIncludeTwiceIsOnce(t *testing.T) {
	opened := 0
	m, err := Parse(strings.NewReader("#include a\n!x\n#include ./a"), func(string) (io.ReadCloser, error) {
		opened++
		return io.NopCloser(strings.NewReader("x")), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if opened != 1 || !m.Match("x", false).Ignored {
		t.Errorf("opened %d times; %+v", opened, m.Match("x", false))
	}
}

// An exponential matcher does not come back from these.
func TestMatchIsLinear(t *testing.T) {
	long := strings.Repeat("a", 4000)
	for _, p := range []string{
		strings.Repeat("*a", 500) + "b",
		strings.Repeat("**a", 500) + "b",
		strings.Repeat("{a,a}", 500) + "b",
		strings.Repeat("{*,**}", 100) + "b",
		strings.Repeat("{a,", maxNesting) + "*" + strings.Repeat("*}", maxNesting) + "b",
	} {
		if parse(t, p).Match(long, false).Ignored {
			t.Errorf("%.20q matches", p)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, p := range []string{"a", "a/b c", `we[i]rd/{x,y}*?\`, "!x", "(?i)x", "#include", "trailing ", "nl\nx", "cr\r", "é\xff", " lead"} {
		m := parse(t, Quote(p))
		if !m.Match(p, false).Ignored || !m.Match(p+"/x", false).Ignored || m.Match("x/"+p, false).Ignored || m.Match(p+"x", false).Ignored {
			t.Errorf("Quote(%q) = %q", p, Quote(p))
		}
	}
}

// BenchmarkMatch is the cost of a scan: 50,000 paths against 50 patterns, of
// which none matches.
func BenchmarkMatch(b *testing.B) {
	var lines []string
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("name%d", i), fmt.Sprintf("*.ext%d", i), fmt.Sprintf("/root%d/sub", i),
			fmt.Sprintf("pre%d*", i), fmt.Sprintf("**/deep%d/*.{a,b}", i))
	}
	m := parse(b, lines...)
	paths := make([]string, 50_000)
	for i := range paths {
		paths[i] = fmt.Sprintf("src/pkg%d/internal/module%d/file_%d.go", i%50, i%1000, i)
	}
	for b.Loop() {
		for _, p := range paths {
			if m.Match(p, false).Ignored {
				b.Fatal(p)
			}
		}
	}
}
