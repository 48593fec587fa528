package scp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// receive receives from a source into a target: a folder, or the name of one
// file or folder.
func (o options) receive(p *peer, target string) error {
	info, err := os.Stat(target)
	isFolder := err == nil && info.IsDir()
	if o.folder && !isFolder {
		err := fmt.Errorf("%s: not a folder", target)
		if werr := p.warn(err); werr != nil {
			return werr
		}
		return err
	}
	if err := p.ack(); err != nil {
		return err
	}
	s := sink{options: o, peer: p}
	if err := s.folder(target, isFolder); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return p.failed
}

// sink receives.
type sink struct {
	options
	peer *peer
	// depth counts the open folders, of which there are at most maxDepth.
	depth int
}

// maxDepth bounds the depth of a tree: deeper than any path can be.
const maxDepth = 2048

// folder receives what goes into a folder, up to its end. Where inside is
// false the target is a name of its own, not a folder to put things into.
func (s *sink) folder(target string, inside bool) error {
	var times *stamps
	for {
		line, err := s.peer.line()
		if err != nil && s.depth > 0 {
			err = cutOff(err)
		}
		if err != nil {
			return err
		}
		kind := byte(0)
		if line != "" {
			kind = line[0]
		}
		switch kind {
		case ackWarning:
			s.peer.failed = errors.Join(s.peer.failed, errors.New(line[1:]))
			continue
		case ackFatal:
			return errors.New(line[1:])
		case 'E':
			if s.depth == 0 {
				return s.refuse(errors.New("the end of a folder outside of one"))
			}
			return s.peer.ack()
		case 'T':
			t, err := parseTimes(line)
			if err != nil {
				return s.refuse(err)
			}
			times = &t
			if err := s.peer.ack(); err != nil {
				return err
			}
			continue
		}
		r, err := parseRecord(line)
		if err != nil {
			return s.refuse(err)
		}
		path := target
		if inside {
			path = filepath.Join(target, r.name)
		}
		if err := s.entry(path, r, times); err != nil {
			return err
		}
		times = nil
	}
}

// refuse ends the copy with an error that the source is told.
func (s *sink) refuse(err error) error {
	if werr := s.peer.warn(err); werr != nil {
		return werr
	}
	return err
}

func (s *sink) entry(path string, r record, times *stamps) error {
	if r.kind == 'C' {
		return s.file(path, r, times)
	}
	if !s.recursive {
		return s.refuse(fmt.Errorf("%s: a folder, and -r was not given", r.name))
	}
	if s.depth++; s.depth > maxDepth {
		return s.refuse(fmt.Errorf("more than %d folders deep", maxDepth))
	}
	defer func() { s.depth-- }()
	mode := fileMode(r.mode)
	// While it is filled its owner must be able to write into it.
	err := os.Mkdir(path, mode.Perm()|0o700)
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		info, statErr := os.Stat(path)
		if err = statErr; err == nil && !info.IsDir() {
			err = fmt.Errorf("%s: not a folder", path)
		}
	}
	if err != nil {
		return s.refuse(err)
	}
	if err := s.peer.ack(); err != nil {
		return err
	}
	if err := s.folder(path, true); err != nil {
		return err
	}
	if created && !s.times {
		// The umask applied to what was asked for, not to the owner's rights.
		if info, err := os.Stat(path); err == nil {
			s.note(os.Chmod(path, info.Mode().Perm()&(mode.Perm()|0o077)))
		}
	}
	if s.times {
		s.note(os.Chmod(path, mode))
		if times != nil {
			s.note(os.Chtimes(path, times.accessed, times.modified))
		}
	}
	return nil
}

func (s *sink) note(err error) { s.peer.failed = errors.Join(s.peer.failed, err) }

// file receives one file. It is written in place, as scp always did: a target
// may be a device, a link or a file that others hold open.
func (s *sink) file(path string, r record, times *stamps) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, fileMode(r.mode).Perm())
	if err == nil {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil && info.IsDir() {
			err = fmt.Errorf("%s: is a folder", path)
		}
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		// The source skips this file and goes on.
		return s.peer.warn(err)
	}
	defer f.Close()
	if err := s.peer.ack(); err != nil {
		return err
	}
	w := &stickyWriter{w: f}
	if _, err := io.CopyN(w, s.peer.in, r.size); err != nil {
		return cutOff(err)
	}
	if err := s.peer.answer(); err != nil {
		if _, fatal := errors.AsType[*fatalError](err); fatal {
			return err
		}
		s.note(err)
	}
	for _, step := range []error{w.err, s.finish(f, r, times)} {
		if step != nil {
			return s.peer.warn(step)
		}
	}
	return s.peer.ack()
}

// stickyWriter keeps the first error and drops what comes after it: the bytes
// of a file must be read to their end, so that the records stay in step.
type stickyWriter struct {
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(p []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
	return len(p), nil
}

// finish sets what must be set last. A device cannot be truncated.
func (s *sink) finish(f *os.File, r record, times *stamps) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		err = f.Truncate(r.size)
	}
	if s.times {
		err = errors.Join(err, f.Chmod(fileMode(r.mode)))
	}
	err = errors.Join(err, f.Close())
	if s.times && times != nil {
		err = errors.Join(err, os.Chtimes(f.Name(), times.accessed, times.modified))
	}
	return err
}

// fileMode is the inverse of modeBits.
func fileMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits) & fs.ModePerm
	for _, b := range specialBits() {
		if bits&b.bit != 0 {
			m |= b.mode
		}
	}
	return m
}
