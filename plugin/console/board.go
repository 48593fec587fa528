package console

import (
	"fmt"
	"io"
	"strings"
)

// Board is a text that changes: on a terminal it is redrawn in place, elsewhere
// printed again.
type Board struct {
	// W is where it is shown.
	W io.Writer
	// Width returns the columns of the terminal; nil means that W is none.
	Width func() int

	last  string // what was shown last
	lines int    // on the screen
}

// Show shows the text in the place of the one before, unless it is the same. Its lines are cut to the
// terminal's width: one that wraps could not be taken back.
func (b *Board) Show(text string) error {
	if text == b.last {
		return nil
	}
	b.last = text
	if b.Width != nil {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if width := b.Width(); width > 1 {
			for i := range lines {
				lines[i] = Cut(lines[i], width-1)
			}
		}
		text = strings.Join(lines, "\n") + "\n"
		if b.lines > 0 {
			// Cursor up, and erase to the end of the screen (ECMA-48).
			text = fmt.Sprintf("\x1b[%dA\x1b[J", b.lines) + text
		}
		b.lines = len(lines)
	}
	_, err := io.WriteString(b.W, text)
	return err
}
