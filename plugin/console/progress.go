package console

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Intervals between two pictures of a progress.
const (
	redraw = 100 * time.Millisecond // on a terminal, in place
	repeat = 5 * time.Second        // elsewhere, a line each
)

// Progress shows how far something long is.
type Progress struct {
	c    *Console
	last time.Time
}

// Progress begins to show a progress. Elsewhere than on a terminal what is over
// soon shows none.
func (c *Console) Progress() *Progress {
	p := &Progress{c: c}
	if !c.style.Transient {
		p.last = c.now()
	}
	return p
}

// Show shows the text: on a terminal a line that is redrawn in place, cut to the
// terminal's width, elsewhere a line of its own every few seconds. A text that
// comes too soon after the one before is dropped.
func (p *Progress) Show(text string) {
	now, interval := p.c.now(), redraw
	if !p.c.style.Transient {
		interval = repeat
	}
	if !p.last.IsZero() && now.Sub(p.last) < interval {
		return
	}
	p.last = now
	p.c.Status("%s", text)
}

// Done removes the line.
func (p *Progress) Done() { p.c.Clear() }

// fit cuts a text to the width of the terminal, if that is known. Some columns
// are the caller's.
func (c *Console) fit(text string, taken int) string {
	if c.style.Width == nil {
		return text
	}
	width := c.style.Width()
	if width <= 0 {
		return text
	}
	return Cut(text, max(width-taken, 1))
}

// Cut cuts a text to a number of columns, the last of which then tells that
// there was more.
func Cut(text string, columns int) string {
	at, used := 0, 0
	for i, r := range text {
		w := columnsOf(r)
		if used+w > columns {
			return text[:at] + "…"
		}
		used += w
		if used < columns {
			at = i + utf8.RuneLen(r)
		}
	}
	return text
}

// columnsOf returns how many columns a character takes: two from the Hangul
// Jamo on, where the wide scripts begin (UAX #11), which is never too few.
func columnsOf(r rune) int {
	const firstWide = 0x1100
	if r >= firstWide && !unicode.In(r, unicode.Po, unicode.Pd) {
		return 2
	}
	return 1
}

// Path makes a path fit for people and terminals: one with characters that do
// not print, such as a line feed or an escape sequence, is quoted.
func Path(p string) string {
	if utf8.ValidString(p) && !strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return p
	}
	return strconv.Quote(p)
}

// Count prints a number with its noun: "1 file", "12 files", "2 copies".
func Count(n int, noun string) string {
	stem, y := strings.CutSuffix(noun, "y")
	switch {
	case n == 1:
	case y:
		noun = stem + "ies"
	default:
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
