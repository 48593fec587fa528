// Package console writes what people read while a command works: steps with
// their times, notes, warnings, errors and hints, and small tables. All of it
// goes to standard error, so that standard output belongs to the command that
// runs in the development container.
package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Console prints progress. Its zero value is not usable; New makes one.
type Console struct {
	w     io.Writer
	style Style
	now   func() time.Time

	mu     sync.Mutex
	status string // the transient line that is on the screen, without newline
}

// Style says how to print.
type Style struct {
	// Colour allows ANSI colours, Transient a status line that is rewritten
	// in place. Both need a terminal.
	Colour, Transient bool
	// Width returns the columns of the terminal; nil or 0 means that nobody
	// knows.
	Width func() int
}

// New returns a console that writes to w and takes times from now.
func New(w io.Writer, style Style, now func() time.Time) *Console {
	return &Console{w: w, style: style, now: now}
}

// ANSI sequences: SGR colours and "erase line" (ECMA-48).
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
	erase  = "\r\x1b[K"
)

// Step is one piece of work that is under way.
type Step struct {
	c     *Console
	start time.Time
}

// Start begins to measure a step.
func (c *Console) Start() *Step { return &Step{c: c, start: c.now()} }

// Done prints the finished step with the time that it took.
func (s *Step) Done(format string, args ...any) {
	took := s.c.now().Sub(s.start)
	text := fmt.Sprintf(format, args...)
	s.c.line(s.c.paint(green, "✓")+" %-52s %s", text, s.c.paint(dim, Duration(took)))
}

// Status shows what is being waited for: a line rewritten in place on a
// terminal, else a line of its own whenever the text changes.
func (c *Console) Status(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == c.status {
		return
	}
	c.status = text
	if c.style.Transient {
		c.write(erase + "  " + c.paint(dim, c.fit(text, 4)+" …"))
		return
	}
	c.write("  " + text + "\n")
}

// Note prints an indented line of detail.
func (c *Console) Note(format string, args ...any) {
	c.line("  %s", fmt.Sprintf(format, args...))
}

// Warn prints a warning.
func (c *Console) Warn(format string, args ...any) {
	c.line(c.paint(yellow, "!")+" %s", fmt.Sprintf(format, args...))
}

// Error prints an error and, when there is one, a hint that says what to do.
// Each is a line of its own, so that scripts can tell them apart.
func (c *Console) Error(err error, hint string) {
	c.line("%s %s", c.paint(red+bold, "error:"), strings.TrimSpace(err.Error()))
	if hint != "" {
		c.line("%s %s", c.paint(bold, "hint:"), hint)
	}
}

// Clear removes the transient line, before something else owns the terminal.
func (c *Console) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
}

func (c *Console) clear() {
	if c.style.Transient && c.status != "" {
		c.write(erase)
	}
	c.status = ""
}

func (c *Console) line(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	text := strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n"
	if c.style.Transient {
		// A command may have put the terminal into raw mode, where a line feed
		// does not return the carriage.
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	c.write(text)
}

// write ignores errors: there is nobody left to tell.
func (c *Console) write(text string) { _, _ = io.WriteString(c.w, text) }

func (c *Console) paint(colour, text string) string {
	if !c.style.Colour {
		return text
	}
	return colour + text + reset
}

// Duration prints a time for people: milliseconds below a second, tenths of
// seconds below a minute, whole seconds above.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}

// Bytes prints a size with binary prefixes (IEC 80000-13).
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefixes := float64(n)/unit, "KMGTPE"
	i := 0
	for value >= unit && i < len(prefixes)-1 {
		value /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", value, prefixes[i])
}
