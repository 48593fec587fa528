package tree

import (
	"bytes"
	"encoding/binary"
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
	fd, err := r.openat2(at, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, errors.ErrUnsupported) {
		return r.rootDirectory(p)
	}
	if err != nil {
		return nil, err
	}
	return rawDirectory{fd, p}, nil
}

// rawDirectory is a folder by its descriptor: a file of package os would cost as
// much as the system calls.
type rawDirectory struct {
	fd   int
	path string
}

func (f rawDirectory) at(name string) place { return named{f.fd, name} }
func (f rawDirectory) Close() error         { return unix.Close(f.fd) }

// Where the fields of a linux_dirent64 are, getdents64(2).
const (
	direntLength = 16 // of the whole, two bytes
	direntType   = 18
	direntName   = 19 // ends with a zero byte
)

// direntsSize is how many bytes of names are read at once: as package os.
const direntsSize = 8 << 10

func (f rawDirectory) names() ([]listed, error) {
	var names []listed
	buf := make([]byte, direntsSize)
	for {
		n, err := unix.Getdents(f.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return names, &fs.PathError{Op: "getdents64", Path: f.path, Err: err}
		case n <= 0:
			return names, nil
		}
		for rest := buf[:n]; len(rest) > 0; {
			length := binary.NativeEndian.Uint16(rest[direntLength:])
			entry := rest[:length]
			rest = rest[length:]
			name, _, _ := bytes.Cut(entry[direntName:], []byte{0})
			if l := (listed{string(name), entry[direntType] == unix.DT_DIR}); l.name != "." && l.name != ".." {
				if entry[direntType] == unix.DT_UNKNOWN {
					l.dir = f.isDir(l.name)
				}
				names = append(names, l)
			}
		}
	}
}

// isDir looks at a name of which the file system does not tell the type with it.
func (f rawDirectory) isDir(name string) bool {
	info, err := named{f.fd, name}.lstat()
	return err == nil && info.IsDir()
}

// named is a name in an open folder.
type named struct {
	folder int
	name   string
}

func (n named) lstat() (fs.FileInfo, error) {
	info := &stat{name: n.name}
	for {
		err := unix.Fstatat(n.folder, n.name, &info.Stat_t, unix.AT_SYMLINK_NOFOLLOW)
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
		fd, err := unix.Openat(n.folder, n.name, unix.O_RDONLY|openFlags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
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
		got, err := unix.Readlinkat(n.folder, n.name, b)
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
