package stage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Limits of a trash that is not told otherwise.
const (
	DefaultTrashAge   = 7 * 24 * time.Hour
	DefaultTrashBytes = 2 << 30
)

// errTooLarge means that a file would fill the trash on its own.
var errTooLarge = errors.New("larger than the trash")

// Trash keeps what sync overwrote or deleted: one folder per batch, in it the
// paths as they were in the root. It lies outside every root.
type Trash struct {
	// config
	root     *os.Root
	maxBytes int64
	maxAge   time.Duration
	// state
	mu      sync.Mutex
	batches []trashBatch // oldest first
	used    int64
	links   bool // hard links into the trash work, as far as is known
	dropped func(batch string)
}

type trashBatch struct {
	name  string
	bytes int64
}

// OpenTrash opens the trash in dir, making it if need be, and drops what is
// older than maxAge or beyond maxBytes.
func OpenTrash(dir string, maxAge time.Duration, maxBytes int64) (*Trash, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening trash: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening trash: %w", err)
	}
	t := &Trash{root: root, maxBytes: maxBytes, maxAge: maxAge, links: true, dropped: func(string) {}}
	if err := t.load(time.Now()); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("opening trash: %w", err)
	}
	return t, nil
}

// OnDrop makes the trash call f for each batch that it drops for its limits. It
// must be called before the first change is applied.
func (t *Trash) OnDrop(f func(batch string)) { t.dropped = f }

// Close releases the trash; what it holds stays.
func (t *Trash) Close() error { return t.root.Close() }

// load measures the batches and drops those that are too old or too many.
func (t *Trash) load(now time.Time) error {
	list, err := fs.ReadDir(t.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			continue
		}
		if now.Sub(info.ModTime()) > t.maxAge {
			_ = t.root.RemoveAll(d.Name())
			continue
		}
		b := trashBatch{name: d.Name()}
		_ = fs.WalkDir(t.root.FS(), d.Name(), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if info, err := d.Info(); err == nil {
					b.bytes += info.Size()
				}
			}
			return nil
		})
		t.batches = append(t.batches, b)
		t.used += b.bytes
	}
	slices.SortFunc(t.batches, func(a, b trashBatch) int { return cmp.Compare(a.name, b.name) })
	t.prune()
	return nil
}

// prune drops the oldest batches until the rest fits; never the newest.
func (t *Trash) prune() {
	for t.used > t.maxBytes && len(t.batches) > 1 {
		_ = t.root.RemoveAll(t.batches[0].name)
		t.dropped(t.batches[0].name)
		t.used -= t.batches[0].bytes
		t.batches = t.batches[1:]
	}
}

// account adds bytes to a batch.
func (t *Trash) account(batch string, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.batches); n == 0 || t.batches[n-1].name != batch {
		t.batches = append(t.batches, trashBatch{name: batch})
	}
	t.batches[len(t.batches)-1].bytes += bytes
	t.used += bytes
	t.prune()
}

// keep puts what is at p in root into the batch and leaves the original where
// it is: as a hard link where the file system allows it, else as a copy. It
// returns the path in the trash.
func (t *Trash) keep(root *os.Root, p, batch string, size int64) (string, error) {
	if size > t.maxBytes/2 {
		return "", errTooLarge
	}
	for n := 1; ; n++ {
		name := batch
		if n > 1 { // the batch already holds another version of p
			name = fmt.Sprintf("%s.%d", batch, n)
		}
		to := path.Join(name, p)
		err := t.place(root, p, to)
		if (errors.Is(err, fs.ErrExist) || isNotDir(err)) && n < 100 {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("keeping %q in the trash: %w", p, err)
		}
		t.account(name, size)
		return to, nil
	}
}

// open opens a file of the trash.
func (t *Trash) open(p string) (*os.File, error) { return t.root.Open(filepath.FromSlash(p)) }

// Has reports whether a regular file is at p in the trash.
func (t *Trash) Has(p string) bool {
	info, err := t.root.Lstat(filepath.FromSlash(p))
	return err == nil && info.Mode().IsRegular()
}

func (t *Trash) place(root *os.Root, p, to string) error {
	if err := t.root.MkdirAll(filepath.FromSlash(path.Dir(to)), 0o700); err != nil {
		return err
	}
	t.mu.Lock()
	links := t.links
	t.mu.Unlock()
	if links {
		err := link(root, p, t.root, to)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
		t.mu.Lock()
		t.links = false // another file system, or none that links
		t.mu.Unlock()
	}
	return t.copy(root, p, to)
}

func (t *Trash) copy(root *os.Root, p, to string) (err error) {
	info, err := root.Lstat(p)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := root.Readlink(p)
		if err != nil {
			return err
		}
		return t.root.Symlink(target, to)
	}
	from, err := root.Open(p)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := t.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = t.root.Remove(to)
		return err
	}
	_ = t.root.Chtimes(to, info.ModTime(), info.ModTime()) // only for people who look
	return nil
}

// parentOf opens the folder that holds p; base is the name of p in it.
func parentOf(root *os.Root, p string) (dir *os.File, base string, err error) {
	name := tree.Parent(p)
	if name == "" {
		name = "."
	}
	dir, err = root.Open(name)
	return dir, path.Base(p), err
}
