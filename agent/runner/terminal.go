//go:build linux

package runner

import (
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo-terminal. The master's reads can be interrupted
// by a deadline.
func openTerminal(t TTY) (master, slave *os.File, err error) {
	opened, slave, err := pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	// The pty package leaves its file in blocking mode, where a read cannot be
	// interrupted, so that we take the descriptor over.
	fd, err := unix.FcntlInt(opened.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	opened.Close()
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		slave.Close()
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := setModes(int(slave.Fd()), t.Modes); err != nil {
		master.Close()
		slave.Close()
		return nil, nil, fmt.Errorf("setting the terminal's modes: %w", err)
	}
	// A size that the terminal refuses is no reason to have none.
	_ = resize(master, t.Size)
	return master, slave, nil
}

// resize changes the size of a terminal; the kernel tells its foreground
// process group.
func resize(master *os.File, s Size) error {
	return control(master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ,
			&unix.Winsize{Row: s.Rows, Col: s.Cols, Xpixel: s.Width, Ypixel: s.Height})
	})
}

// foreground returns the process group that has the terminal.
func foreground(master *os.File) (pgrp int, err error) {
	err = control(master, func(fd int) error {
		pgrp, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return pgrp, err
}

func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	if err := raw.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil {
		return err
	}
	return done
}

// drain reads what the terminal holds now, without waiting for more.
func drain(master *os.File, read func(fd int) (more bool)) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		for read(int(fd)) {
		}
	})
}

// setModes applies the terminal modes of RFC 4254, section 8. Modes that Linux
// does not have are ignored, as the RFC asks.
func setModes(fd int, modes map[uint8]uint32) error {
	if len(modes) == 0 {
		return nil
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	for opcode, value := range modes {
		if i, ok := controlCharacter(opcode); ok {
			t.Cc[i] = uint8(value)
			if value == 255 {
				t.Cc[i] = 0
			}
			continue
		}
		flags, mask := modeFlag(t, opcode)
		switch {
		case flags == nil:
		case value != 0:
			*flags |= mask
		default:
			*flags &^= mask
		}
	}
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// controlCharacter returns the index in termios of opcodes 1 to 18.
func controlCharacter(opcode uint8) (int, bool) {
	table := [...]int{
		1: unix.VINTR, 2: unix.VQUIT, 3: unix.VERASE, 4: unix.VKILL, 5: unix.VEOF, 6: unix.VEOL, 7: unix.VEOL2,
		8: unix.VSTART, 9: unix.VSTOP, 10: unix.VSUSP, 11: -1, 12: unix.VREPRINT, 13: unix.VWERASE, 14: unix.VLNEXT,
		15: -1, 16: unix.VSWTC, 17: -1, 18: unix.VDISCARD,
	}
	if opcode == 0 || int(opcode) >= len(table) || table[opcode] < 0 {
		return 0, false
	}
	return table[opcode], true
}

// modeFlag returns the flags that an opcode from 30 on is part of, and its bit.
func modeFlag(t *unix.Termios, opcode uint8) (*uint32, uint32) {
	input := [...]uint32{
		unix.IGNPAR, unix.PARMRK, unix.INPCK, unix.ISTRIP, unix.INLCR, unix.IGNCR, unix.ICRNL, unix.IUCLC, unix.IXON,
		unix.IXANY, unix.IXOFF, unix.IMAXBEL, unix.IUTF8,
	}
	local := [...]uint32{
		unix.ISIG, unix.ICANON, unix.XCASE, unix.ECHO, unix.ECHOE, unix.ECHOK, unix.ECHONL, unix.NOFLSH, unix.TOSTOP,
		unix.IEXTEN, unix.ECHOCTL, unix.ECHOKE, unix.PENDIN,
	}
	output := [...]uint32{unix.OPOST, unix.OLCUC, unix.ONLCR, unix.OCRNL, unix.ONOCR, unix.ONLRET}
	switch {
	case opcode >= 30 && int(opcode) < 30+len(input):
		return &t.Iflag, input[opcode-30]
	case opcode >= 50 && int(opcode) < 50+len(local):
		return &t.Lflag, local[opcode-50]
	case opcode >= 70 && int(opcode) < 70+len(output):
		return &t.Oflag, output[opcode-70]
	}
	return nil, 0
}
