package scp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// errShort is a file that became shorter while it was sent.
var errShort = errors.New("the file became shorter while it was read")

// send sends paths to a sink.
func (o options) send(p *peer, paths []string) error {
	if err := p.answer(); err != nil {
		return err
	}
	for _, path := range expand(paths) {
		if err := o.sendPath(p, path); err != nil {
			return err
		}
	}
	return p.failed
}

// expand expands patterns. Clients count on the remote shell for that, and
// where this program answers there may be none.
func expand(paths []string) []string {
	var all []string
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			all = append(all, path)
			continue
		}
		matches, err := filepath.Glob(path)
		if err != nil || len(matches) == 0 {
			matches = []string{path}
		}
		all = append(all, matches...)
	}
	return all
}

// sendPath sends a file or a folder. Only errors that end the copy are
// returned.
func (o options) sendPath(p *peer, path string) error {
	err := o.trySend(p, path)
	if err == nil {
		return nil
	}
	if _, fatal := errors.AsType[*fatalError](err); fatal {
		return err
	}
	if _, local := errors.AsType[*fs.PathError](err); local || errors.Is(err, errors.ErrUnsupported) {
		return p.warn(err)
	}
	// The sink refused this one and goes on.
	p.failed = errors.Join(p.failed, err)
	return nil
}

func (o options) trySend(p *peer, path string) error {
	f, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir() && !o.recursive:
		return fmt.Errorf("%s: is a folder, and -r was not given: %w", path, errors.ErrUnsupported)
	case info.IsDir():
		return o.sendFolder(p, path, info, f)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file: %w", path, errors.ErrUnsupported)
	}
	return o.sendFile(p, info, f)
}

// openSource opens what can be sent. A named pipe would block the open.
func openSource(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file: %w", path, errors.ErrUnsupported)
	}
	return os.Open(path)
}

// sendHeader sends the T line, where wanted, and the record.
func (o options) sendHeader(p *peer, info fs.FileInfo, kind byte, size int64) error {
	if o.times {
		t := info.ModTime().Unix()
		if _, err := fmt.Fprintf(p.out, "T%d 0 %d 0\n", t, t); err != nil {
			return &fatalError{err}
		}
		if err := p.answer(); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(p.out, "%c%04o %d %s\n", kind, modeBits(info.Mode()), size, info.Name()); err != nil {
		return &fatalError{err}
	}
	return p.answer()
}

func (o options) sendFile(p *peer, info fs.FileInfo, f *os.File) error {
	if err := o.sendHeader(p, info, 'C', info.Size()); err != nil {
		return err
	}
	// The size is announced: a file that changes meanwhile is cut or filled,
	// and the error said afterwards, so that the records stay in step.
	sent, readErr := io.CopyN(p.out, f, info.Size())
	if missing := info.Size() - sent; missing > 0 {
		if _, err := io.CopyN(p.out, zeros{}, missing); err != nil {
			return &fatalError{err}
		}
		if readErr == nil || errors.Is(readErr, io.EOF) {
			readErr = errShort
		}
		if err := p.warn(fmt.Errorf("%s: %w", f.Name(), readErr)); err != nil {
			return &fatalError{err}
		}
	} else if err := p.ack(); err != nil {
		return &fatalError{err}
	}
	return p.answer()
}

func (o options) sendFolder(p *peer, path string, info fs.FileInfo, f *os.File) error {
	entries, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	if err := o.sendHeader(p, info, 'D', 0); err != nil {
		return err
	}
	for _, e := range entries {
		if err := o.sendPath(p, filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(p.out, "E\n"); err != nil {
		return &fatalError{err}
	}
	return p.answer()
}

// modeBits returns the twelve bits of a mode as the wire has them.
func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, b := range specialBits() {
		if m&b.mode != 0 {
			bits |= b.bit
		}
	}
	return bits
}

type specialBit struct {
	mode fs.FileMode
	bit  uint32
}

func specialBits() []specialBit {
	return []specialBit{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}
}

// zeros is an endless stream of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
