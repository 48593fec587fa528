package watch

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// join puts a name below a folder of the tree.
func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// base returns the last component of a path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// reach returns a name by which the kernel finds a path of the tree, however
// long the path is, and a function to be called when the name was used. A path
// beyond PATH_MAX is reached through an open folder on the way.
func (n *inotify) reach(path string) (name string, release func(), err error) {
	name = n.root + "/" + path
	if len(name) < unix.PathMax {
		return name, func() {}, nil
	}
	const how = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open(n.root, how, 0)
	if err != nil {
		return "", nil, err
	}
	for rest := parent(path); rest != ""; {
		step := rest
		if len(step) >= unix.PathMax {
			step = parent(rest[:unix.PathMax])
		}
		rest = strings.TrimPrefix(rest[len(step):], "/")
		next, err := unix.Openat(fd, step, how, 0)
		_ = unix.Close(fd)
		if err != nil {
			return "", nil, err
		}
		fd = next
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/" + base(path), func() { _ = unix.Close(fd) }, nil
}
