package stage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Limits of a trash that is not told otherwise.
const (
	DefaultTrashAge   = 7 * 24 * time.Hour
	DefaultTrashBytes = 2 << 30
)

// diskShare is the part of its disk that a trash takes at most: what is synced
// may have no other.
const diskShare = 4

// What is removed within gatherGap of each other is one batch to people, such
// as all that one `git checkout` does; but a batch ends after gatherMost, so
// that a program that never stops writing cannot make all of a day one batch.
const (
	gatherGap  = 2 * time.Second
	gatherMost = time.Minute
)

// batchLayout is how batches are called. The names sort by time.
const batchLayout = "20060102-150405"

// errTooLarge means that a file would fill the trash on its own.
var errTooLarge = errors.New("larger than the trash")

// Trash keeps what sync overwrote or deleted: one folder per batch, in it the
// paths as they were in the root, and beside it a list of them. It lies outside
// every root.
//
// SPEC.md, "Trash", is the specification.
type Trash struct {
	// config
	root     *tree.Root
	maxBytes int64
	maxAge   time.Duration
	now      func() time.Time
	// state
	mu       sync.Mutex
	batches  []*batch // oldest first
	used     int64    // bytes of the batches that were measured
	measured bool     // all that were found at the start are
	links    bool     // hard links into the trash work, as far as is known
	dropped  func(folder string)
	freeing  sync.WaitGroup // what is removed by others than who wanted it
}

// batch is what was removed together.
type batch struct {
	name  string
	began time.Time // as its name says
	since time.Time // when it began, zero if that was in another process
	last  time.Time // when it got its last entry
	bytes int64
	undo  bool     // an undo removes it
	ended bool     // nothing joins it any more
	fresh bool     // nothing is in it yet
	users int      // who write or read it: it is not dropped meanwhile
	list  *os.File // nil while nothing was written, and when it is closed
}

// OpenTrash opens the trash in dir, making it if need be, and drops what is
// older than maxAge by the clock now. What is beyond maxBytes, or beyond its share
// of the disk, goes with the next removal, or with Expire.
func OpenTrash(dir string, maxAge time.Duration, maxBytes int64, now func() time.Time) (*Trash, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening trash: %w", err)
	}
	root, err := tree.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening trash: %w", err)
	}
	if size := diskSize(dir); size > 0 {
		maxBytes = min(maxBytes, size/diskShare)
	}
	t := &Trash{root: root, maxBytes: maxBytes, maxAge: maxAge, now: now, links: true, dropped: func(string) {}}
	if err := t.load(); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("opening trash: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	return t, nil
}

// OnDrop makes the trash call f for each of its folders that it drops for its
// limits. It must be called before the first change is applied.
func (t *Trash) OnDrop(f func(folder string)) { t.dropped = f }

// Close releases the trash; what it holds stays.
func (t *Trash) Close() error {
	t.freeing.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.batches {
		b.close()
	}
	return t.root.Close()
}

// load finds the batches. Their sizes are measured when they matter: a start
// has no time for it.
func (t *Trash) load() error {
	list, err := fs.ReadDir(t.root.FS(), ".")
	if err != nil {
		return err
	}
	found := map[string]*batch{}
	for _, d := range list {
		name, _, _ := strings.Cut(d.Name(), ".")
		if name == "" || found[name] != nil {
			continue
		}
		b := &batch{name: name, began: batchTime(name), ended: true}
		if b.began.IsZero() {
			if info, err := d.Info(); err == nil {
				b.began = info.ModTime()
			}
		}
		found[name] = b
		t.batches = append(t.batches, b)
	}
	slices.SortFunc(t.batches, func(a, b *batch) int { return cmp.Compare(a.name, b.name) })
	return nil
}

// batchTime returns the time in a batch's name, zero if there is none.
func batchTime(name string) time.Time {
	if len(name) != len(batchLayout)+4 {
		return time.Time{}
	}
	// A comma or a dot introduces fractions of a second for package time.
	at, err := time.Parse(batchLayout+".000", name[:len(batchLayout)]+"."+name[len(batchLayout)+1:])
	if err != nil {
		return time.Time{}
	}
	return at
}

// Begin returns the name of the batch to which removals from now on belong,
// until End is called with it: the one before while that is recent.
func (t *Trash) Begin() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.batches); n > 0 {
		b, now := t.batches[n-1], t.now()
		if age := now.Sub(b.since); !b.ended && age >= 0 && age < gatherMost && now.Sub(b.last) < gatherGap {
			b.users++
			return b.name
		}
	}
	return t.begin().name
}

// BeginUndo returns the name of a batch of its own for what an undo removes,
// until End is called with it.
func (t *Trash) BeginUndo() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.begin()
	b.undo, b.ended = true, true
	return b.name
}

// begin begins a batch. Names tell the order of batches, so that it is called
// later than the one before even if the clock was set back meanwhile.
func (t *Trash) begin() *batch {
	now := t.now()
	at := now.UTC()
	if n := len(t.batches); n > 0 && at.Before(t.batches[n-1].began) {
		at = t.batches[n-1].began
	}
	for ; ; at = at.Add(time.Millisecond) {
		name := strings.Replace(at.Format(batchLayout+".000"), ".", "-", 1)
		if t.find(name) == nil {
			return t.add(&batch{name: name, began: at, since: now, last: now, fresh: true, users: 1})
		}
	}
}

func (t *Trash) add(b *batch) *batch {
	if n := len(t.batches); n > 0 {
		t.batches[n-1].ended = true
	}
	t.batches = append(t.batches, b)
	return b
}

func (t *Trash) find(name string) *batch {
	for _, b := range slices.Backward(t.batches) {
		if b.name == name {
			return b
		}
	}
	return nil
}

// End releases a batch: it may be dropped from now on.
func (t *Trash) End(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.find(name)
	if b == nil {
		return
	}
	if b.users--; b.users == 0 && b.fresh {
		t.batches = slices.DeleteFunc(t.batches, func(o *batch) bool { return o == b })
	}
}

func (b *batch) close() {
	if b.list != nil {
		_ = b.list.Close()
		b.list = nil
	}
}

// Expire drops what is too old and, oldest first, what is too much.
func (t *Trash) Expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	t.measure()
	t.prune()
}

func (t *Trash) expire() {
	now := t.now()
	t.batches = slices.DeleteFunc(t.batches, func(b *batch) bool {
		if b.users > 0 || now.Sub(b.began) <= t.maxAge {
			return false
		}
		t.drop(b)
		return true
	})
}

// measure learns the sizes of the batches that were found at the start.
func (t *Trash) measure() {
	if t.measured {
		return
	}
	t.measured = true
	for _, b := range t.batches {
		if b.fresh {
			continue
		}
		records, _ := t.records(b.name)
		for _, r := range records {
			b.bytes += r.size()
			t.used += r.size()
		}
	}
}

// prune drops the oldest batches until the rest fits; never the newest, nor one
// in use.
func (t *Trash) prune() {
	for i := 0; t.used > t.maxBytes && i < len(t.batches)-1; {
		b := t.batches[i]
		if b.users > 0 {
			i++
			continue
		}
		t.drop(b)
		t.batches = slices.Delete(t.batches, i, i+1)
	}
}

// makeRoom drops the oldest batch that is not in use, on a full disk also the
// newest; but none with anything in it that nobody agreed to lose. It returns
// false when there is none.
func (t *Trash) makeRoom() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, b := range t.batches {
		if b.users > 0 || b.fresh || !t.agreed(b.name) {
			continue
		}
		t.drop(b)
		t.batches = slices.Delete(t.batches, i, i+1)
		t.freeing.Wait()
		return true
	}
	return false
}

// agreed reports whether all that a batch holds was deleted or replaced by
// somebody who had it.
func (t *Trash) agreed(batch string) bool {
	records, err := t.records(batch)
	return err == nil && !slices.ContainsFunc(records, func(r record) bool {
		return r.why&^(syncproto.WhyDeleted|syncproto.WhyOverwritten) != 0
	})
}

// drop removes what a batch holds, its list last: what is left after a crash is
// dropped again. Nobody waits for it, since the system takes long to free large
// files, and many.
func (t *Trash) drop(b *batch) {
	b.close()
	t.used -= b.bytes
	dropped := t.dropped
	t.freeing.Go(func() {
		for n := 1; n <= maxVersions; n++ {
			folder := versionName(b.name, n)
			if _, err := t.root.Lstat(folder); err != nil && n > 1 {
				break
			}
			_ = t.root.RemoveAll(folder)
			dropped(folder)
		}
		_ = t.root.Remove(listName(b.name))
	})
}

// maxVersions bounds how often one path may be in one batch.
const maxVersions = 100

// versionName is the folder of the n-th version of what is in a batch.
func versionName(batch string, n int) string {
	if n <= 1 {
		return batch
	}
	return fmt.Sprintf("%s.%d", batch, n)
}

// keep puts what has a name in the folder of from into its batch and leaves the
// original where it is: as a hard link where the file system allows it, else as
// a copy. Of a folder, the list remembers that there was one. It returns the
// path in the trash.
func (t *Trash) keep(from target, name string, r record) (string, error) {
	if r.size() > t.maxBytes/2 {
		return "", errTooLarge
	}
	try := func() (err error) {
		if r.stored() {
			if r.version, err = t.store(from, name, r.path); err != nil {
				return err
			}
		}
		return t.note(from.batch, r)
	}
	err := try()
	for IsDiskFull(err) && t.makeRoom() {
		err = try()
	}
	if err != nil {
		return "", fmt.Errorf("keeping %q in the trash: %w", r.path, err)
	}
	return r.in(from.batch), nil
}

// open opens a file of the trash.
func (t *Trash) open(p string) (*os.File, error) { return t.root.Open(filepath.FromSlash(p)) }

// Has reports whether a regular file is at p in the trash.
func (t *Trash) Has(p string) bool {
	info, err := t.root.Lstat(filepath.FromSlash(p))
	return err == nil && info.Mode().IsRegular()
}
