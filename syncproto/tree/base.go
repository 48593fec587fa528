package tree

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// logSlack is how many bytes the log may hold before it is folded into the
// snapshot; it may always grow to the size of the snapshot.
const logSlack = 256 << 10

// Base is the last tree on which both sides agreed, kept on disk: a snapshot
// and a log of what was agreed since. A process that is killed loses nothing;
// a machine that loses power may lose the tail of the log, which costs a
// conflict copy at worst, and so does one that is killed while the disk is full.
// Until then memory has what could not be written, and the next call that
// records something writes it too. A Base is used by one goroutine at a time.
type Base struct {
	dir     string
	log     *os.File
	logSize int64
	noted   []byte // items that are not in the log yet
	snap    int64  // bytes of the snapshot
	unsaved unsaved

	id   [16]byte // identity of the follower's tree
	met  bool     // the first meeting is over
	tree *Entries
	own  map[string]bool // paths that a mirror has for itself
}

// unsaved tells that the files lack something that memory has.
type unsaved struct {
	why   error // nil when they do not
	tried time.Time
}

// retrySave is how long writing is not tried again after it failed.
const retrySave = time.Second

// ownMark begins the path of an item that says what a mirror has for itself. No
// path of an entry begins so.
const ownMark = "/"

// OpenBase reads the base in dir, which must exist. A missing or damaged
// snapshot is an empty base, and a log is read up to its first damaged record.
// What shared returns is used as NewEntries tells.
func OpenBase(dir string, shared func(p string) *Entry) (*Base, error) {
	b := &Base{dir: dir, tree: NewEntries(shared), own: map[string]bool{}}
	nonce := b.load()
	if err := b.openLog(nonce); err != nil {
		return nil, err
	}
	return b, nil
}

// Close closes the log. The base is already on disk, if there was room.
func (b *Base) Close() error {
	var err error
	if b.unsaved.why != nil {
		err = b.compact()
	}
	return errors.Join(err, b.closeLog())
}

func (b *Base) closeLog() error {
	if b.log == nil {
		return nil
	}
	err := b.log.Close()
	b.log = nil
	return err
}

// Entries returns what is agreed. The caller must not write to it.
func (b *Base) Entries() *Entries { return b.tree }

// Digest returns the digest of the agreed tree.
func (b *Base) Digest() syncproto.Digest { return b.tree.Digest() }

// Own returns the paths that a mirror has for itself, and that the other side
// therefore lacks. The caller must not write to it.
func (b *Base) Own() map[string]bool { return b.own }

// Keep records that a mirror has these paths for itself. A path stops being its
// own when it is agreed upon.
func (b *Base) Keep(paths []string) error {
	for _, p := range paths {
		if !b.own[p] {
			b.own[p] = true
			b.noted = appendItem(b.noted, ownMark+p, Entry{})
		}
	}
	return b.Flush()
}

// ID returns the identity of the follower's tree, zero before any meeting.
func (b *Base) ID() [16]byte { return b.id }

// Met reports whether the first meeting with the follower's tree is over.
func (b *Base) Met() bool { return b.met }

// Reset starts anew with another tree: nothing is agreed.
func (b *Base) Reset(id [16]byte) error {
	b.id, b.met, b.noted = id, false, nil
	b.tree, b.own = NewEntries(b.tree.shared), map[string]bool{}
	return b.compact()
}

// SetMet ends the first meeting.
func (b *Base) SetMet() error {
	b.met = true
	return b.compact()
}

// Agree records that both sides have these entries now.
func (b *Base) Agree(items []syncproto.Item) error {
	for _, it := range items {
		b.Note(it.Path, it.Entry)
	}
	return b.Flush()
}

// Note is Agree of one entry whose record may wait for the next Flush, so that
// many together take one write.
func (b *Base) Note(p string, e Entry) {
	b.set(p, e)
	b.noted = appendItem(b.noted, p, e)
}

// Flush records what was noted.
func (b *Base) Flush() error {
	rec := b.noted
	b.noted = b.noted[:0]
	return b.append(rec)
}

// set takes an item as the files hold it.
func (b *Base) set(p string, e Entry) {
	if own, marked := strings.CutPrefix(p, ownMark); marked {
		b.own[own] = true
		return
	}
	if b.tree.Set(p, e); e.Exists() {
		delete(b.own, p)
	}
}

// append adds a record to the log.
func (b *Base) append(rec []byte) error {
	if len(rec) == 0 && b.unsaved.why == nil {
		return nil
	}
	if b.unsaved.why != nil {
		if time.Since(b.unsaved.tried) < retrySave {
			return b.unsaved.why
		}
		return b.compact()
	}
	n, err := b.log.Write(sealed(rec))
	b.logSize += int64(n)
	if err != nil {
		// What follows a part of a record would not be read.
		b.unsaved = unsaved{fmt.Errorf("saving base: %w", err), time.Now()}
		return b.unsaved.why
	}
	if b.logSize > b.snap+logSlack {
		return b.compact()
	}
	return nil
}

func appendItem(b []byte, p string, e Entry) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	return syncproto.AppendEntry(b, e)
}

// sealed frames a record of the log: length, record, digest.
func sealed(rec []byte) []byte {
	d := Sum(rec)
	out := binary.BigEndian.AppendUint32(nil, uint32(len(rec)))
	return append(append(out, rec...), d[:]...)
}

// compact writes all that memory has.
func (b *Base) compact() error {
	err := b.fold()
	b.unsaved = unsaved{err, time.Now()}
	return err
}

// fold writes the snapshot and starts an empty log. Both carry the same nonce,
// so that a log is never replayed on a snapshot that is not its own.
func (b *Base) fold() error {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	out := append([]byte(baseMagic), nonce[:]...)
	out = append(out, b.id[:]...)
	met := byte(0)
	if b.met {
		met = 1
	}
	out = append(out, met)
	d := b.Digest()
	out = append(out, d[:]...)
	for p, e := range b.tree.All() {
		out = appendItem(out, p, *e)
	}
	for p := range b.own {
		out = appendItem(out, ownMark+p, Entry{})
	}
	b.snap = int64(len(out))
	if err := writeState(b.dir, baseFile, out); err != nil {
		return err
	}
	if err := b.closeLog(); err != nil {
		return fmt.Errorf("saving base: %w", err)
	}
	return b.openLog(nonce)
}

// load reads the snapshot and returns its nonce.
func (b *Base) load() (nonce [16]byte) {
	data, err := readState(b.dir, baseFile, baseMagic)
	if err != nil {
		return nonce
	}
	d := items{rest: data}
	var id [16]byte
	var met [1]byte
	var sum syncproto.Digest
	for _, field := range [][]byte{nonce[:], id[:], met[:], sum[:]} {
		copy(field, d.take(len(field)))
	}
	tree, own := NewEntries(b.tree.shared), map[string]bool{}
	tree.byPath = make(map[string]*Entry, len(d.rest)/usualRecord)
	for n := 0; d.more(); n++ {
		p, e := d.item()
		if path, marked := strings.CutPrefix(p, ownMark); marked {
			own[path] = true
		} else {
			tree.put(p, e)
		}
		if len(tree.byPath)+len(own) <= n && d.err == nil {
			d.err = errDamaged // absent, or there twice
		}
	}
	if d.err != nil {
		return [16]byte{}
	}
	tree.sum = sumFrom(sum)
	b.tree, b.own = tree, own
	b.id, b.met, b.snap = id, met[0] == 1, int64(len(data))
	return nonce
}

// tree reads the items that are left. An absent entry is kept: the caller may
// need it.
func (d *items) tree() (Tree, error) {
	t := Tree{}
	for d.more() {
		p, e := d.item()
		if d.err == nil {
			t[p] = e
		}
	}
	return t, d.err
}

// openLog opens the log of the snapshot with this nonce, replays it, and cuts
// off what is damaged. A log of another snapshot is emptied.
func (b *Base) openLog(nonce [16]byte) error {
	f, err := os.OpenFile(filepath.Join(b.dir, logFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening base: %w", err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("reading base: %w", err)
	}
	head := append([]byte(logMagic), nonce[:]...)
	good := 0
	if bytes.HasPrefix(data, head) {
		good = len(head) + b.replay(data[len(head):])
	}
	if good == 0 {
		err = f.Truncate(0)
		if err == nil {
			_, err = f.WriteAt(head, 0)
		}
		good = len(head)
	} else if good < len(data) {
		err = f.Truncate(int64(good))
	}
	if err == nil {
		_, err = f.Seek(int64(good), io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("preparing base: %w", err)
	}
	b.log, b.logSize = f, int64(good)
	return nil
}

// replay applies the records of a log and returns the length of its good part.
func (b *Base) replay(data []byte) (good int) {
	const overhead = int64(4 + len(syncproto.Digest{}))
	for int64(len(data)-good) >= overhead {
		rest := data[good:]
		n := int64(binary.BigEndian.Uint32(rest))
		if n+overhead > int64(len(rest)) {
			return good
		}
		rec := rest[4 : 4+n]
		d := Sum(rec)
		if !bytes.Equal(d[:], rest[4+n:n+overhead]) {
			return good
		}
		agreed, err := (&items{rest: rec}).tree()
		if err != nil {
			return good
		}
		for p, e := range agreed {
			b.set(p, e)
		}
		good += int(n + overhead)
	}
	return good
}
