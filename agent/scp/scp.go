// Package scp is the remote end of the old scp protocol, the one of BSD rcp: a
// source that sends files and a sink that receives them. OpenSSH's scp speaks
// it with -O, and clients older than OpenSSH 9 always do.
//
// Everything starts with the sink's first acknowledgement. The source sends
// records, each a line, and the sink answers each with an acknowledgement:
//
//	T<mtime> 0 <atime> 0     times of the next file or folder, seconds
//	C<mode> <size> <name>    a file; its bytes follow, then a zero byte
//	D<mode> 0 <name>         a folder; what is in it follows
//	E                        the end of the folder
//
// An acknowledgement is a zero byte, or 0x01 (a warning) or 0x02 (the end)
// followed by a line of text. The protocol has no specification; what is said
// here is how OpenSSH's and BSD's programs behave.
package scp

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	ackOK      = 0
	ackWarning = 1
	ackFatal   = 2

	// maxLine bounds a record or a message, in bytes. Names are at most 255
	// bytes on Linux.
	maxLine = 4096
)

// Run is the program: args are scp's own, without its name. It returns after
// the other end has everything, with an error when some of it failed.
func Run(args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet("scp", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	source := fs.Bool("f", false, "send files")
	sink := fs.Bool("t", false, "receive files")
	var o options
	fs.BoolVar(&o.recursive, "r", false, "folders too")
	fs.BoolVar(&o.times, "p", false, "keep times and modes")
	fs.BoolVar(&o.folder, "d", false, "the target must be a folder")
	fs.Bool("v", false, "verbose, ignored")
	if err := fs.Parse(splitFlags(args)); err != nil {
		return fmt.Errorf("scp: %w", err)
	}
	p := &peer{in: bufio.NewReader(in), out: out}
	switch {
	case *source == *sink:
		return errors.New("scp: one of -f and -t is needed: this is the remote end of a copy")
	case *source && fs.NArg() > 0:
		return o.send(p, fs.Args())
	case *sink && fs.NArg() == 1:
		return o.receive(p, fs.Arg(0))
	}
	return fmt.Errorf("scp: %d paths are not what the mode needs", fs.NArg())
}

// options are the flags that both ends share.
type options struct {
	recursive, times, folder bool
}

// splitFlags turns combined flags, "-rp", into single ones.
func splitFlags(args []string) []string {
	var split []string
	for i, a := range args {
		if a == "--" || !strings.HasPrefix(a, "-") {
			return append(split, args[i:]...)
		}
		for _, f := range a[1:] {
			split = append(split, "-"+string(f))
		}
	}
	return split
}

// peer is the other end.
type peer struct {
	in  *bufio.Reader
	out io.Writer
	// failed is set when anything went wrong that did not end the copy.
	failed error
}

// fatalError ends a copy.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// warn tells the other end about an error that concerns one file.
func (p *peer) warn(err error) error {
	p.failed = errors.Join(p.failed, err)
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if len(text) > maxLine-8 {
		text = text[:maxLine-8]
	}
	_, werr := fmt.Fprintf(p.out, "%cscp: %s\n", ackWarning, text)
	return werr
}

// ack sends an acknowledgement.
func (p *peer) ack() error {
	_, err := p.out.Write([]byte{ackOK})
	return err
}

// answer reads an acknowledgement. A warning is an error of this step alone; a
// fatalError ends the copy.
func (p *peer) answer() error {
	c, err := p.in.ReadByte()
	if err != nil {
		return &fatalError{cutOff(err)}
	}
	switch c {
	case ackOK:
		return nil
	case ackWarning, ackFatal:
		text, err := p.line()
		if err != nil {
			return &fatalError{cutOff(err)}
		}
		err = errors.New(text)
		if c == ackFatal {
			return &fatalError{err}
		}
		return err
	}
	return &fatalError{fmt.Errorf("got byte %#x for an acknowledgement", c)}
}

// cutOff turns an end of input where there must be none into an error.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// line reads up to a newline, which is not part of the result. The end of
// input before the first byte is io.EOF.
func (p *peer) line() (string, error) {
	var b []byte
	for {
		c, err := p.in.ReadByte()
		switch {
		case err != nil && len(b) > 0:
			return "", cutOff(err)
		case err != nil:
			return "", err
		case c == '\n':
			return string(b), nil
		case len(b) == maxLine:
			return "", fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		b = append(b, c)
	}
}

// record is a C or D line.
type record struct {
	kind byte
	mode uint32
	size int64
	name string
}

// parseRecord parses a C or D line. The name is one that stays in its folder.
func parseRecord(line string) (record, error) {
	if line == "" || line[0] != 'C' && line[0] != 'D' {
		return record{}, fmt.Errorf("unexpected record %.20q", line)
	}
	fields := strings.SplitN(line[1:], " ", 3)
	if len(fields) != 3 || len(fields[0]) != 4 {
		return record{}, fmt.Errorf("malformed record %.60q", line)
	}
	mode, err := strconv.ParseUint(fields[0], 8, 16)
	if err != nil {
		return record{}, fmt.Errorf("mode of record %.60q: %w", line, err)
	}
	size, err := strconv.ParseUint(fields[1], 10, 63)
	if err != nil {
		return record{}, fmt.Errorf("size of record %.60q: %w", line, err)
	}
	name := fields[2]
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return record{}, fmt.Errorf("unsafe name %.60q", name)
	}
	return record{line[0], uint32(mode), int64(size), name}, nil
}

// stamps are the times of a T line.
type stamps struct{ modified, accessed time.Time }

// parseTimes parses a T line.
func parseTimes(line string) (stamps, error) {
	fields := strings.Fields(strings.TrimPrefix(line, "T"))
	if len(fields) != 4 {
		return stamps{}, fmt.Errorf("malformed record %.60q", line)
	}
	var n [4]int64
	for i, f := range fields {
		var err error
		if n[i], err = strconv.ParseInt(f, 10, 64); err != nil || n[i] < 0 {
			return stamps{}, fmt.Errorf("malformed record %.60q", line)
		}
	}
	if n[1] >= 1e6 || n[3] >= 1e6 {
		return stamps{}, fmt.Errorf("microseconds of record %.60q", line)
	}
	return stamps{time.Unix(n[0], n[1]*1000), time.Unix(n[2], n[3]*1000)}, nil
}
