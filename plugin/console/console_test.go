package console

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// clock advances by a second at each reading.
func clock() func() time.Time {
	t := time.Unix(0, 0)
	return func() time.Time { t = t.Add(time.Second); return t }
}

func TestPlainOutput(t *testing.T) {
	var b bytes.Buffer
	c := New(&b, Style{}, clock())
	step := c.Start()
	c.Status("pulling %s", "busybox")
	c.Status("pulling %s", "busybox")
	step.Done("pod %s is running", "api")
	c.Note("forward 8080")
	c.Warn("careful")
	c.Error(errors.New("it broke\n"), "mend it")
	want := "  pulling busybox\n" +
		"✓ pod api is running                                   1.0 s\n" +
		"  forward 8080\n! careful\nerror: it broke\nhint: mend it\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestTerminalOutputLeavesNoTransientLine(t *testing.T) {
	var b bytes.Buffer
	c := New(&b, Style{Colour: true, Transient: true}, clock())
	c.Status("waiting")
	c.Note("done")
	got := b.String()
	if strings.Count(got, erase) != 2 || !strings.HasSuffix(got, erase+"  done\r\n") {
		t.Errorf("the status line was not erased before the note: %q", got)
	}
	c.Clear()
	if b.String() != got {
		t.Errorf("Clear printed without a status line")
	}
}

func TestUnits(t *testing.T) {
	durations := map[time.Duration]string{
		250 * time.Millisecond:                "250 ms",
		1500 * time.Millisecond:               "1.5 s",
		90*time.Second + 400*time.Microsecond: "1m30s",
	}
	for d, want := range durations {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
	sizes := map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 127 << 20: "127.0 MiB", 1 << 62: "4.0 EiB"}
	for n, want := range sizes {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestProgressOnATerminalIsCutAndRemoved(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	c := New(&b, Style{Transient: true, Width: func() int { return 14 }}, func() time.Time { return now })
	p := c.Progress()
	p.Show("1 of 3 files")
	p.Show("too soon")
	now = now.Add(redraw)
	p.Show("3")
	p.Done()
	want := erase + "  1 of 3 fi… …" + erase + "  3 …" + erase
	if got := b.String(); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestProgressWithoutATerminalIsALineNowAndThen(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	c := New(&b, Style{Width: func() int { return 5 }}, func() time.Time { return now })
	p := c.Progress()
	for i := range 121 {
		p.Show(fmt.Sprintf("%d files", i))
		now = now.Add(redraw)
	}
	p.Done()
	if got := b.String(); got != "  50 files\n  100 files\n" {
		t.Errorf("got %q", got)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"abc", 1, "…"}, {"", 1, ""}, {"äöü", 2, "ä…"},
		{"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"a…b", 3, "a…b"},
	} {
		if got := Cut(c.text, c.columns); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

func TestPath(t *testing.T) {
	for p, want := range map[string]string{
		"a b/ü.go": "a b/ü.go", "a\nb": `"a\nb"`, "\x1b[31mred": `"\x1b[31mred"`, "\xff": `"\xff"`,
	} {
		if got := Path(p); got != want {
			t.Errorf("Path(%q) = %s, want %s", p, got, want)
		}
	}
	if one, two := Count(1, "file"), Count(0, "file"); one != "1 file" || two != "0 files" {
		t.Errorf("%s, %s", one, two)
	}
}

func TestBoardIsRedrawnInPlace(t *testing.T) {
	var b bytes.Buffer
	board := Board{W: &b, Width: func() int { return 6 }}
	for _, text := range []string{"one\ntwo\n", "a long line\n", "end"} {
		if err := board.Show(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.String(); got != "one\ntwo\n\x1b[2A\x1b[Ja lo…\n\x1b[1A\x1b[Jend\n" {
		t.Errorf("on a terminal: %q", got)
	}
	b.Reset()
	board = Board{W: &b}
	for _, text := range []string{"one\n", "one\n", "two\n"} {
		if err := board.Show(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.String(); got != "one\ntwo\n" {
		t.Errorf("elsewhere: %q", got)
	}
}
