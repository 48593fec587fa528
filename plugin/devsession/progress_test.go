package devsession

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/ignore"
)

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		at   first
		want string
	}{
		{first{scanning: true}, "reading both folders"},
		{first{}, "comparing both folders"},
		{first{doneFiles: 1}, "syncing 1 of 1 file, 0 B of 0 B"},
		{first{doneFiles: 3, leftFiles: 7, doneBytes: 3 << 20, leftBytes: 9 << 20, perSecond: 1 << 20, current: "a\nb"},
			`syncing 3 of 10 files, 3.0 MiB of 12.0 MiB, 1.0 MiB/s, 9s left: "a\nb"`},
		{first{doneFiles: 3, leftFiles: 7, leftBytes: 100, perSecond: 200, current: "x"},
			"syncing 3 of 10 files, 0 B of 100 B, 200 B/s: x"},
		{first{leftFiles: 1, leftBytes: 1 << 60, perSecond: 1}, "syncing 0 of 1 file, 0 B of 1.0 EiB, 1 B/s"},
	} {
		if got := c.at.String(); got != c.want {
			t.Errorf("%+v is shown as %q, want %q", c.at, got, c.want)
		}
	}
}

func TestRate(t *testing.T) {
	var r rate
	now := time.Unix(0, 0)
	if got := r.of(0, now); got != 0 {
		t.Errorf("at first: %v", got)
	}
	for i := range 100 {
		now = now.Add(100 * time.Millisecond)
		if got := r.of(int64(i+1)*100, now); math.Round(got) != 1000 {
			t.Fatalf("of a steady flow after %d steps: %v", i, got)
		}
	}
	if len(r.samples) > 32 {
		t.Errorf("%d samples are kept", len(r.samples))
	}
	for range 40 {
		now = now.Add(100 * time.Millisecond)
		r.of(10_000, now)
	}
	if got := r.of(10_000, now.Add(time.Second)); got != 0 {
		t.Errorf("after the flow ended: %v", got)
	}
}

// TestIgnoreLineNamesThePathAlone parses the line and asks for that path and
// others.
func TestIgnoreLineNamesThePathAlone(t *testing.T) {
	name := rapid.StringOfN(rapid.RuneFrom([]rune(`ab*?[]{}\!,#/ (-`)), 1, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		parts := strings.FieldsFunc(name.Draw(t, "path"), func(r rune) bool { return r == '/' })
		path := strings.Join(parts, "/")
		line := ignoreLine(engine.Usage{Path: path})
		if line == "" || path == "" {
			return
		}
		m, err := ignore.Parse(strings.NewReader(line+"\n"), nil)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, p := range []string{path + "x", "x" + path, "x/" + path, strings.ToUpper(path) + "A"} {
			if m.Match(p, false).Ignored {
				t.Fatalf("%q ignores %q", line, p)
			}
		}
		if !m.Match(path, false).Ignored || !m.Match(path+"/below", false).Ignored {
			t.Fatalf("%q does not ignore %q", line, path)
		}
	})
	for _, path := range []string{"a\nb", "a\xff", " a", "a "} {
		if line := ignoreLine(engine.Usage{Path: path}); line != "" {
			t.Errorf("%q has the line %q", path, line)
		}
	}
}

func TestWhatStandsOut(t *testing.T) {
	whole := engine.Usage{Changes: 1000, Bytes: 1 << 30, Size: 1 << 30}
	for want, list := range map[string][]engine.Usage{
		"chatty": {{Changes: 100, Files: 1}, {Changes: 500, Files: 0, Bytes: 1 << 29}},
		"big":    {{Size: 1 << 29, Files: 1}, {Bytes: 1 << 28, Files: 1000, Changes: 1000}},
		"":       {{}, {Changes: 99}, {Changes: 400, Files: 100}, {Size: 1 << 20}, {Size: bigBytes}},
	} {
		for _, u := range list {
			if got := standsOut(u, whole); got != want {
				t.Errorf("%+v is %q, want %q", u, got, want)
			}
		}
	}
}
