package sshclient

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"
)

// Size is the size of a terminal in characters.
type Size struct {
	Width, Height int
}

// TTY describes the terminal that a command gets.
type TTY struct {
	// Term is the kind of terminal, as in the variable TERM.
	Term string
	// Width and Height are the size in characters at the start; 0 means that
	// only the command's other terminals have one.
	Width, Height int
	// Resize tells of new sizes; nil means that there will be none.
	Resize <-chan Size
}

// Terminal is the terminal that the user sits at.
type Terminal struct {
	in, out *os.File
	restore func() error
}

// OpenTerminal returns the terminal behind two files; false when one of them
// is no terminal.
func OpenTerminal(in, out *os.File) (*Terminal, bool) {
	if !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil, false
	}
	return &Terminal{in: in, out: out}, true
}

// MakeRaw makes the terminal pass everything on, for the terminal in the pod
// to interpret it. Restore must follow.
func (t *Terminal) MakeRaw() error {
	state, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return fmt.Errorf("changing the mode of the terminal: %w", err)
	}
	restoreOutput := enableEscapes(t.out)
	t.restore = func() error {
		restoreOutput()
		return term.Restore(int(t.in.Fd()), state)
	}
	return nil
}

// Restore undoes MakeRaw; without it, it does nothing.
func (t *Terminal) Restore() error {
	if t.restore == nil {
		return nil
	}
	restore := t.restore
	t.restore = nil
	if err := restore(); err != nil {
		return fmt.Errorf("restoring the terminal: %w", err)
	}
	return nil
}

// Size returns the current size.
func (t *Terminal) Size() (Size, error) {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil {
		return Size{}, fmt.Errorf("reading the size of the terminal: %w", err)
	}
	return Size{width, height}, nil
}

// TTY describes the terminal for a command; kind is the value of TERM. Until
// ctx ends, it tells of new sizes, where the system does: not on Windows.
func (t *Terminal) TTY(ctx context.Context, kind string) *TTY {
	size, err := t.Size()
	if err != nil {
		size = Size{Width: 80, Height: 24}
	}
	return &TTY{Term: kind, Width: size.Width, Height: size.Height, Resize: t.watch(ctx)}
}
