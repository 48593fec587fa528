package tree

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRefuses(t *testing.T) {
	windows := Names{FoldCase: true, UTF8: true, Reserved: true}
	mac := Names{FoldCase: true, FoldForm: true, UTF8: true}
	for _, tt := range []struct {
		path                string
		onWindows, onDarwin bool
	}{
		{"a/b.txt", false, false},
		{"CON", true, false},
		{"con.txt", true, false},
		{"nul .tar.gz", true, false},
		{"dir/aux.c", true, false},
		{"Com1", true, false},
		{"COM\u00b9.log", true, false},
		{"COM10", false, false},
		{"console", false, false},
		{"conin$", true, false},
		{"LPT0/x", true, false},
		{"a:b", true, false},
		{"what?", true, false},
		{"back\\slash", true, false},
		{"trailing.", true, false},
		{"trailing /x", true, false},
		{".hidden", false, false},
		{"new\nline", true, false},
		{"tab\there", true, false},
		{"bad\xff", true, true},
		{"\u00fcber", false, false},
	} {
		if got := windows.Refuses(tt.path); (got != "") != tt.onWindows {
			t.Errorf("%q on Windows: %q", tt.path, got)
		}
		if got := mac.Refuses(tt.path); (got != "") != tt.onDarwin {
			t.Errorf("%q on macOS: %q", tt.path, got)
		}
		if got := (Names{}).Refuses(tt.path); got != "" {
			t.Errorf("%q on Linux: %q", tt.path, got)
		}
	}
}

func TestKey(t *testing.T) {
	const composed, decomposed = "caf\u00e9", "cafe\u0301"
	for _, tt := range []struct {
		a, b       string
		byCase     bool
		byFormOnly bool
	}{
		{"README", "readme", true, false},
		{"Src/x", "src/x", true, false},
		{composed, decomposed, true, true},
		{"CAF\u00c9", decomposed, true, false},
		{"\u03a3", "\u03c2", true, false}, // sigma, and at the end of a word
		{"\u212a", "k", true, false},      // the sign of kelvin
		{"\xff", "\xfe", false, false},
		{"a", "b", false, false},
		{".Git/hooks", ".git/hooks", true, false},
	} {
		if got := (Names{FoldCase: true}).Key(tt.a) == (Names{FoldCase: true}).Key(tt.b); got != tt.byCase {
			t.Errorf("%q and %q by case: %v", tt.a, tt.b, got)
		}
		if got := (Names{FoldForm: true}).Key(tt.a) == (Names{FoldForm: true}).Key(tt.b); got != tt.byFormOnly {
			t.Errorf("%q and %q by form: %v", tt.a, tt.b, got)
		}
		if (Names{}).Key(tt.a) == (Names{}).Key(tt.b) {
			t.Errorf("%q and %q are one on Linux", tt.a, tt.b)
		}
	}
	if got := (Names{FoldCase: true}).Key(".STIGNORE"); got != ".stignore" {
		t.Errorf("the key is %q: patterns are written in lower case", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		n, p := Names{FoldCase: true}, rapid.String().Draw(t, "path")
		if key := n.Key(p); n.Key(key) != key || n.Key(strings.ToUpper(p)) != n.Key(strings.ToUpper(key)) {
			t.Fatalf("key %q of %q", key, p)
		}
	})
}

// On the file systems of this system's tests nothing is folded, and what the
// probe makes is gone afterwards.
func TestProbeNames(t *testing.T) {
	dir := t.TempDir()
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	got := root.ProbeNames()
	if want := (Names{}); runtime.GOOS == "linux" && got != want {
		t.Errorf("got %+v", got)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	// As if names were folded: what a folder lists is there, nothing else.
	root.names.FoldCase = true
	if err := root.MkdirAll("a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := root.LstatReal("a/b"); err != nil {
		t.Error(err)
	}
	if _, err := root.LstatReal("a/c"); err == nil {
		t.Error("found what is not there")
	}
}
