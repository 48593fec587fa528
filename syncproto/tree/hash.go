package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/zeebo/blake3"
)

// ErrBusy means that a file was written while it was read, each time that it
// was tried. The write's own event brings the next try.
var ErrBusy = errors.New("file changes while it is read")

// readAttempts bounds the tries to read a file that is being written.
const readAttempts = 3

// Hasher computes the digest of a content that is not large from what is
// written to it.
type Hasher struct{ h *blake3.Hasher }

// NewHasher returns a Hasher that was given nothing yet.
func NewHasher() *Hasher { return &Hasher{h: blake3.New()} }

// Write adds to the content; it does not fail.
func (h *Hasher) Write(b []byte) (int, error) { return h.h.Write(b) }

// Digest returns the digest of what was written so far.
func (h *Hasher) Digest() (d syncproto.Digest) {
	h.h.Sum(d[:0])
	return d
}

// Look looks at p on disk and brings its record up to date, reading a file's
// content only where stat does not prove that it is unchanged. It reports
// whether the entry changed as the other side would see it. A path whose
// parent is no folder is absent; special files are absent too and reported to
// skipped. A file that is written while it is read keeps its old record and
// returns ErrBusy.
func (x *Index) Look(root *Root, p string, skipped func(p, why string)) (changed bool, err error) {
	_, changed, err = x.look(wholePath{root, p}, p, skipped)
	return changed, err
}

// LookOn is Look that goes on from a glance.
func (x *Index) LookOn(g *Glance, skipped func(p, why string)) (changed bool, err error) {
	_, changed, err = x.lookFrom(g, g.path, g.old, skipped)
	return changed, err
}

// look is Look for a place that may be open already. It also tells whether there
// is a record now.
func (x *Index) look(at place, p string, skipped func(p, why string)) (exists, changed bool, err error) {
	return x.lookFrom(at, p, x.landed(p), skipped)
}

// lookFrom is look with the record that the index had before anybody looked.
func (x *Index) lookFrom(at place, p string, old Record, skipped func(p, why string)) (exists, changed bool, err error) {
	for attempt := range readAttempts {
		if attempt > 0 {
			old = x.landed(p)
		}
		now, _, err := x.read(at, p, old, skipped)
		if errors.Is(err, ErrBusy) {
			continue
		}
		if err != nil {
			return false, false, err
		}
		if now == old {
			return now.Exists(), false, nil
		}
		if ok := x.settle(at, p, old, now); ok {
			return now.Exists(), !old.Same(now.Entry), nil
		}
	}
	return false, false, fmt.Errorf("%q: %w", p, ErrBusy)
}

// Read returns the record of p, which is name in the open folder dir, as it is
// on disk, with the digest that the index holds where that can be trusted, and
// stores nothing. present reports whether anything is there: also what is no
// entry. A file that is written meanwhile returns ErrBusy.
func (x *Index) Read(dir *os.Root, name, p string) (rec Record, present bool, err error) {
	return x.read(inFolder{dir, name}, p, x.Get(p), func(string, string) {})
}

// Placed makes e the entry of p, which is name in the open folder dir, after it
// was written there, with the identity that stat tells of it now. A file whose
// size or modification time is not that of e may be somebody else's already, so
// that its record says nothing. The caller holds the lock of p.
func (x *Index) Placed(dir *os.Root, name, p string, e Entry) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	r := identify(info, time.Now())
	if r.Size != e.Size || r.MTime != e.MTime {
		r.Checked = r.MTime // as racy as can be
	}
	if e.Type != syncproto.EntryFile {
		r = Record{Entry: Entry{Mode: r.Mode}}
	}
	r.Type, r.Digest, r.Target = e.Type, e.Digest, e.Target
	if e.Type == syncproto.EntrySymlink {
		r.Mode = 0
	}
	x.Set(p, r)
	return nil
}

// settle makes now the record of p if both the disk and the index still are
// what it was made from.
func (x *Index) settle(at place, p string, old, now Record) bool {
	defer x.Lock(p)()
	if x.Get(p) != old {
		return false
	}
	if now.Type == syncproto.EntryFile {
		info, err := at.lstat()
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		seen := identify(info, time.Time{})
		seen.Type = syncproto.EntryFile
		if !seen.SameFile(now) {
			return false
		}
	}
	x.Set(p, now)
	return true
}

// read returns the record of p as it is on disk.
func (x *Index) read(at place, p string, old Record, skipped func(p, why string)) (rec Record, present bool, err error) {
	info, err := at.lstat()
	if missing(err) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("looking at %q: %w", p, err)
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		rec, err = x.readFile(at, p, old, info)
	case mode.IsDir():
		rec = Record{Entry: Entry{Type: syncproto.EntryDir, Mode: permissions(info)}}
	case mode&fs.ModeSymlink != 0:
		rec, err = readLink(at, p, skipped)
	default:
		skipped(p, "not a file, folder or symlink: "+mode.Type().String())
	}
	return rec, true, err
}

func readLink(at place, p string, skipped func(p, why string)) (Record, error) {
	target, err := at.readlink()
	if missing(err) {
		return Record{}, ErrBusy
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading symlink %q: %w", p, err)
	}
	if target == "" || len(target) > syncproto.MaxTarget {
		skipped(p, fmt.Sprintf("symlink target of %d bytes", len(target)))
		return Record{}, nil
	}
	return Record{Entry: Entry{Type: syncproto.EntrySymlink, Target: target}}, nil
}

// readFile returns the record of a regular file, with old's digest where it
// can be trusted.
func (x *Index) readFile(at place, p string, old Record, info fs.FileInfo) (Record, error) {
	now := identify(info, time.Now())
	now.Type = syncproto.EntryFile
	if now.SameFile(old) && !old.Racy() {
		return old, nil
	}
	f, err := at.open()
	if missing(err) {
		return Record{}, ErrBusy
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading %q: %w", p, err)
	}
	defer f.Close()
	if err := x.hash(f, &now, old.Digest); err != nil {
		return Record{}, fmt.Errorf("reading %q: %w", p, err)
	}
	return now, nil
}

// missing reports whether err says that the path leads nowhere.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
