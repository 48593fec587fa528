package engine

import (
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

func TestIndependentChanges(t *testing.T) {
	mkdir := func(p string) syncproto.Change {
		return syncproto.Change{Op: syncproto.OpMkdir, Path: p, Entry: syncproto.Entry{Type: syncproto.EntryDir}}
	}
	put := func(p, from string) syncproto.Change {
		return syncproto.Change{Op: syncproto.OpPut, Path: p, From: from, Entry: syncproto.Entry{Type: syncproto.EntryFile}}
	}
	replace := mkdir("x")
	replace.Expect.Type = syncproto.EntryDir
	for name, test := range map[string]struct {
		changes []syncproto.Change
		want    int
	}{
		"new folders side by side":       {[]syncproto.Change{mkdir("a"), mkdir("b"), mkdir("c/d")}, 3},
		"a folder in a new one":          {[]syncproto.Change{mkdir("a"), mkdir("b"), mkdir("a/c")}, 2},
		"far below a new one":            {[]syncproto.Change{mkdir("a"), mkdir("a/b/c")}, 1},
		"a name that begins like one":    {[]syncproto.Change{mkdir("a"), mkdir("ab/c")}, 2},
		"a folder that was there before": {[]syncproto.Change{mkdir("a"), replace}, 1},
		"files after folders":            {[]syncproto.Change{mkdir("a"), put("a/f", "")}, 1},
		"files":                          {[]syncproto.Change{put("a/f", ""), put("a/g", "b"), put("h", "b")}, 3},
		"a copy of what was written":     {[]syncproto.Change{put("f", ""), put("g", "f")}, 1},
		"what is copied from":            {[]syncproto.Change{put("g", "f"), put("f", "")}, 1},
		"the same path twice":            {[]syncproto.Change{put("f", ""), put("f", "")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := independent(test.changes, 0); got != test.want {
				t.Errorf("the first %d may be applied at once, want %d", got, test.want)
			}
		})
	}
}
