package tree

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// openDirectory opens a folder for a scan. A scan does little else than to open
// folders and to look at names in them, and so both take one system call.
func (r *Root) openDirectory(p string) (directory, error) {
	at := p
	if p == "" {
		at = "."
	}
	f, err := r.openBeneath(at, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, errors.ErrUnsupported) {
		return r.rootDirectory(p)
	}
	if err != nil {
		return nil, err
	}
	return rawDirectory{f}, nil
}

// rawDirectory is a folder by its descriptor.
type rawDirectory struct{ *os.File }

func (f rawDirectory) at(name string) place { return named{f, name} }

// named is a name in an open folder.
type named struct {
	dir  rawDirectory
	name string
}

func (n named) fd() int { return int(n.dir.Fd()) }

func (n named) lstat() (fs.FileInfo, error) {
	info := &stat{name: n.name}
	for {
		err := unix.Fstatat(n.fd(), n.name, &info.Stat_t, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			return info, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, &fs.PathError{Op: "fstatat", Path: n.name, Err: err}
		}
	}
}

func (n named) open() (*os.File, error) {
	for {
		fd, err := unix.Openat(n.fd(), n.name, unix.O_RDONLY|openFlags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), n.name), nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, &fs.PathError{Op: "openat", Path: n.name, Err: err}
		}
	}
}

func (n named) readlink() (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		got, err := unix.Readlinkat(n.fd(), n.name, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return "", &fs.PathError{Op: "readlinkat", Path: n.name, Err: err}
		case got < size:
			return string(b[:got]), nil
		}
	}
}

// stat is what the system tells of a name.
type stat struct {
	unix.Stat_t
	name string
}

// Name implements fs.FileInfo.
func (s *stat) Name() string { return s.name }

// Size implements fs.FileInfo.
func (s *stat) Size() int64 { return s.Stat_t.Size }

// ModTime implements fs.FileInfo.
func (s *stat) ModTime() time.Time { return time.Unix(s.Mtim.Unix()) }

// IsDir implements fs.FileInfo.
func (s *stat) IsDir() bool { return s.Mode().IsDir() }

// Sys implements fs.FileInfo; it returns a *unix.Stat_t.
func (s *stat) Sys() any { return &s.Stat_t }

// Mode implements fs.FileInfo: the type, and the permission bits.
func (s *stat) Mode() fs.FileMode {
	mode := fs.FileMode(s.Stat_t.Mode) & fs.ModePerm
	switch s.Stat_t.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return mode
	case unix.S_IFDIR:
		return mode | fs.ModeDir
	case unix.S_IFLNK:
		return mode | fs.ModeSymlink
	case unix.S_IFIFO:
		return mode | fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return mode | fs.ModeSocket
	case unix.S_IFBLK:
		return mode | fs.ModeDevice
	case unix.S_IFCHR:
		return mode | fs.ModeDevice | fs.ModeCharDevice
	default:
		return mode | fs.ModeIrregular
	}
}
