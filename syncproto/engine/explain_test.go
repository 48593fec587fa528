package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/ignore"
)

func TestExplain(t *testing.T) {
	root := t.TempDir()
	write(t, root, ".stignore", "!/build/keep\n/build\n*.log\n!x.log\n")
	write(t, root, "src/a.go", "")
	must(t, os.MkdirAll(filepath.Join(root, "build", "out"), 0o755))
	must(t, os.Symlink("src", filepath.Join(root, "link")))
	x, err := NewExplainer(Config{Root: root, Exclude: []string{"own/root"}})
	must(t, err)
	defer x.Close()
	long := strings.Repeat("n", syncproto.MaxName+1)
	for _, tt := range []struct {
		path   string
		dir    bool
		synced bool
		reason Reason
		above  string
		line   int
	}{
		{"", true, true, ReasonRoot, "", 0},
		{".", true, true, ReasonRoot, "", 0},
		{"src/a.go", false, true, ReasonNoPattern, "", 0},
		{"not/there", false, true, ReasonNoPattern, "", 0},
		{"build", true, false, ReasonPattern, "", 2},
		{"build/out/x", false, false, ReasonPattern, "build", 2},
		{"build/keep/x", false, true, ReasonPattern, "", 1},
		{"a.log", false, false, ReasonPattern, "", 3},
		{"d.log/e/f.log", false, false, ReasonPattern, "d.log", 3},
		{"build/a.log", false, false, ReasonPattern, "build", 2},
		{"link", false, true, ReasonNoPattern, "", 0},
		{"link/a.go", false, false, ReasonSymlink, "link", 0},
		{"own", true, true, ReasonNoPattern, "", 0},
		{"own/root", true, false, ReasonExcluded, "", 0},
		{"own/root/a.log", false, false, ReasonExcluded, "own/root", 0},
		{".stignore", false, false, ReasonIgnoreFile, "", 0},
		{"src/.stignore", false, true, ReasonNoPattern, "", 0},
		{"src/" + syncproto.TempPrefix + "1", false, false, ReasonTemporary, "", 0},
		{"src/" + long, false, false, ReasonName, "", 0},
		{"src/../x", false, false, ReasonName, "", 0},
	} {
		e := x.Explain(tt.path, tt.dir)
		if e.Synced != tt.synced || e.Reason != tt.reason || e.Above != tt.above || e.Pattern.Line != tt.line {
			t.Errorf("%q: %+v", tt.path, e)
		}
	}
	if e := x.Explain("build", false); !e.Dir || !e.Exists || e.Opener.Line != 1 {
		t.Errorf("build: %+v", e)
	}
	if e := x.Explain("build/out", false); e.Opener.File != "" {
		t.Errorf("build/out: %+v", e)
	}
}

func TestExplainNamesWhatIsWrong(t *testing.T) {
	if _, err := NewExplainer(Config{Root: filepath.Join(t.TempDir(), "gone")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no root: %v", err)
	}
	root := t.TempDir()
	write(t, root, ".stignore", "[")
	var bad *ignore.ParseError
	if _, err := NewExplainer(Config{Root: root}); !errors.As(err, &bad) || bad.Line != 1 {
		t.Errorf("bad pattern: %v", err)
	}
}
