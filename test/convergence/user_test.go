package convergence

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"
)

// An op is what a user does once.
type op struct {
	verb string
	path string
	to   string // of rename, copy and symlink
	n    int    // of anything else
}

func (o op) String() string {
	s := fmt.Sprintf("%s %q", o.verb, o.path)
	if o.to != "" {
		s += fmt.Sprintf(" %q", o.to)
	}
	if o.n != 0 {
		s += fmt.Sprintf(" %d", o.n)
	}
	return s
}

// A user works in one root. What he writes and what he removes is in the books.
type user struct {
	mu    sync.Mutex
	side  string // the letter of his segments
	root  *os.Root
	count int
	owed  map[string]string // segment name to what wrote it
}

func newUser(side, dir string) (*user, error) {
	root, err := os.OpenRoot(dir)
	return &user{side: side, root: root, owed: map[string]string{}}, err
}

// do carries an op out. What cannot be done, such as the removal of what is not
// there, is not done.
func (u *user) do(o op) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch o.verb {
	case "write":
		u.write(o, os.O_TRUNC)
	case "create":
		u.write(o, os.O_EXCL)
	case "append":
		u.write(o, os.O_APPEND)
	case "replace":
		u.replace(o)
	case "truncate":
		u.truncate(o)
	case "delete":
		u.removing(o.path, func() error { return u.root.Remove(o.path) })
	case "mkdir":
		_ = u.root.MkdirAll(o.path, 0o755)
	case "rmdir":
		u.removing(o.path, func() error { return u.root.RemoveAll(o.path) })
	case "rename":
		u.parent(o.to)
		u.removing(o.to, func() error { return u.root.Rename(o.path, o.to) })
	case "copy":
		if b, err := u.root.ReadFile(o.path); err == nil {
			u.parent(o.to)
			u.removing(o.to, func() error { _ = u.root.RemoveAll(o.to); return u.root.WriteFile(o.to, b, 0o644) })
		}
	case "symlink":
		u.parent(o.path)
		u.removing(o.path, func() error { return u.root.RemoveAll(o.path) })
		_ = u.root.Symlink(o.to, o.path)
	case "chmod":
		u.chmod(o)
	case "touch":
		at := time.Now().Add(time.Duration(o.n) * time.Second)
		_ = u.root.Chtimes(o.path, at, at)
	default:
		panic("unknown verb " + o.verb)
	}
}

func (u *user) parent(p string) { _ = u.root.MkdirAll(path.Dir(p), 0o755) }

// fresh returns a segment that nobody wrote before.
func (u *user) fresh(letters int) (name string, content []byte) {
	u.count++
	name = fmt.Sprint(u.side, u.count)
	return name, segment(name, letters)
}

// write writes in place, in two halves, as most programs do.
func (u *user) write(o op, flag int) {
	u.parent(o.path)
	name, b := u.fresh(o.n)
	before, _ := u.root.ReadFile(o.path)
	f, err := u.root.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		return
	}
	if flag == os.O_TRUNC {
		u.removed(before)
	}
	half := len(b) / 2
	_, err1 := f.Write(b[:half])
	_, err2 := f.Write(b[half:])
	if f.Close() == nil && err1 == nil && err2 == nil {
		u.owed[name] = o.String()
	}
}

// besideName is what careful programs call a file until it is whole. Sync leaves
// it out by default: where the way to it changes meanwhile, such as through a link,
// one may stay on its side.
const besideName = ".beside~"

// replace writes beside and renames, as careful programs do.
func (u *user) replace(o op) {
	u.parent(o.path)
	beside := path.Join(path.Dir(o.path), besideName)
	name, b := u.fresh(o.n)
	if u.root.WriteFile(beside, b, 0o644) != nil {
		return
	}
	u.owed[name] = o.String()
	var err error
	u.removing(o.path, func() error { err = u.root.Rename(beside, o.path); return err })
	if err != nil {
		u.removing(beside, func() error { return u.root.Remove(beside) })
	}
}

// truncate leaves the first segments of a file.
func (u *user) truncate(o op) {
	b, err := u.root.ReadFile(o.path)
	list := segments(b)
	if err != nil || len(list) == 0 {
		return
	}
	end := list[o.n%len(list)].start
	f, err := u.root.OpenFile(o.path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if f.Truncate(int64(end)) == nil {
		u.removed(b[end:])
	}
}

func (u *user) chmod(o op) {
	info, err := u.root.Stat(o.path)
	if err != nil {
		return
	}
	mode := []fs.FileMode{0o644, 0o600, 0o755, 0o444, 0o640}[o.n%5]
	if info.IsDir() {
		mode = []fs.FileMode{0o755, 0o700, 0o711, 0o777, 0o750}[o.n%5]
	}
	_ = u.root.Chmod(o.path, mode)
}

// removing does what removes the files at and below p, and takes them off the
// books if they are gone then.
func (u *user) removing(p string, do func() error) {
	before := u.files(p)
	failed := do() != nil
	for q, b := range before {
		if failed { // perhaps half way
			if now, err := u.root.ReadFile(q); err == nil && bytes.Equal(b, now) {
				continue
			}
		}
		u.removed(b)
	}
}

// removed takes the segments that this user wrote off the books.
func (u *user) removed(content []byte) {
	for _, s := range segments(content) {
		delete(u.owed, s.name)
	}
}

// files returns the contents at and below p, no link followed.
func (u *user) files(p string) map[string][]byte {
	list := map[string][]byte{}
	walk(u.root, p, func(q string, info fs.FileInfo) {
		if info.Mode().IsRegular() {
			list[q], _ = u.root.ReadFile(q)
		}
	})
	return list
}

// walk visits p and what is below it. Names need not be UTF-8, and what
// vanishes meanwhile is left out.
func walk(root *os.Root, p string, visit func(p string, info fs.FileInfo)) {
	info, err := root.Lstat(p)
	if err != nil {
		return
	}
	visit(p, info)
	if !info.IsDir() {
		return
	}
	dir, err := root.Open(p)
	if err != nil {
		return
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	for _, name := range names {
		walk(root, path.Join(p, name), visit)
	}
}
