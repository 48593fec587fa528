package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
)

// Files in a state folder, and the magic that each begins with. The last byte
// of a magic is the version of the format.
const (
	indexFile  = "index"
	indexMagic = "OKSYNCI\x02"
	baseFile   = "base"
	baseMagic  = "OKSYNCB\x02"
	patFile    = "patterns"
	patMagic   = "OKSYNCP\x01"
	logFile    = "base.log"
	logMagic   = "OKSYNCL\x01"
	chunkFile  = "chunks"
	chunkMagic = "OKSYNCC\x01"
)

// errDamaged means that a state file cannot be used. It never leaves the
// package: a damaged file is the same as none.
var errDamaged = errors.New("damaged state file")

// Identity ties an index to the tree that it describes.
type Identity struct {
	ID    [16]byte // random, made when the tree was first seen
	Inode uint64   // of the root folder; 0 where the system has none
}

// usualRecord is how many bytes a record in a state file usually has.
const usualRecord = 128

// Save writes the index and the identity of its tree to dir, and the catalog of
// chunks if that changed, each atomically.
func (x *Index) Save(dir string, id Identity) error {
	x.unsaved.Store(false)
	x.mu.RLock()
	b := make([]byte, 0, usualRecord*(len(x.records)+1))
	b = append(append(b, indexMagic...), id.ID[:]...)
	b = binary.AppendUvarint(b, id.Inode)
	d := x.sum.digest()
	b = append(b, d[:]...)
	for p, r := range x.records {
		b = appendRecord(b, p, *r)
	}
	x.mu.RUnlock()
	if err := writeState(dir, indexFile, b); err != nil {
		x.unsaved.Store(true)
		return err
	}
	if b := x.catalog.Encode(); b != nil {
		return writeState(dir, chunkFile, append([]byte(chunkMagic), b...))
	}
	return nil
}

func appendRecord(b []byte, p string, r Record) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	b = syncproto.AppendEntry(b, r.Entry)
	if r.Type == syncproto.EntryFile {
		b = binary.AppendVarint(b, r.CTime)
		b = binary.AppendUvarint(b, r.Inode)
		b = binary.AppendVarint(b, r.Checked)
	}
	return b
}

// LoadIndex reads what Save wrote. A file that is missing or damaged yields an
// empty index and a zero identity: everything is looked at again.
func LoadIndex(dir string) (*Index, Identity) {
	b, err := readState(dir, indexFile, indexMagic)
	if err != nil {
		return NewIndex(), Identity{}
	}
	d := items{rest: b}
	var id Identity
	copy(id.ID[:], d.take(len(id.ID)))
	id.Inode = d.uvarint()
	var sum syncproto.Digest
	copy(sum[:], d.take(len(sum)))
	x := newIndex(len(d.rest) / usualRecord)
	x.loadChunks(dir)
	for d.more() && d.err == nil {
		p, e := d.item()
		rec := Record{Entry: e}
		if e.Type == syncproto.EntryFile {
			rec.CTime, rec.Inode, rec.Checked = d.varint(), d.uvarint(), d.varint()
		}
		if d.err == nil && !x.load(p, rec) {
			d.err = errDamaged
		}
	}
	if d.err != nil {
		return NewIndex(), Identity{}
	}
	x.sum = sumFrom(sum)
	return x, id
}

// load is Set of a record that was saved, and reports whether it is the first of
// its path.
func (x *Index) load(p string, r Record) bool {
	had := len(x.records)
	if r.Type == syncproto.EntryFile && chunk.Large(r.Size) && x.catalog.Lacks(r.Digest, r.Size) {
		r.Checked = r.MTime // counts as one that was not hashed
	}
	x.records[p] = &r
	x.count(r, 1)
	x.locate(p, Record{}, r)
	x.nest(p, 1)
	return r.Exists() && len(x.records) > had
}

// SavePatterns keeps the ignore patterns of a session in dir.
func SavePatterns(dir, lines string) error {
	return writeState(dir, patFile, append([]byte(patMagic), lines...))
}

// LoadPatterns returns what SavePatterns kept; false when that is missing or
// damaged.
func LoadPatterns(dir string) (lines string, ok bool) {
	b, err := readState(dir, patFile, patMagic)
	return string(b), err == nil
}

// items reads a state file from memory. After the first error all it returns is
// zero.
type items struct {
	rest []byte
	err  error
}

func (d *items) more() bool { return d.err == nil && len(d.rest) > 0 }

func (d *items) take(n int) []byte {
	if d.err != nil || n > len(d.rest) {
		d.err = errDamaged
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *items) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	d.take(d.length(n))
	return v
}

func (d *items) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.take(d.length(n))
	return v
}

// length is the length of a varint, or more than there is if it is damaged.
func (d *items) length(n int) int {
	if n <= 0 {
		return len(d.rest) + 1
	}
	return n
}

// item reads a path and its entry.
func (d *items) item() (string, Entry) {
	n := d.uvarint()
	const most = syncproto.MaxPath + uint64(len(ownMark))
	if n > most {
		d.err = errDamaged
	}
	p := string(d.take(int(min(n, most))))
	if d.err == nil {
		d.err = syncproto.VerifyPath(strings.TrimPrefix(p, ownMark))
	}
	if d.err != nil {
		return "", Entry{}
	}
	e, rest, err := syncproto.DecodeEntry(d.rest)
	d.rest, d.err = rest, err
	return p, e
}

// writeState writes b and its digest to dir/name by way of a temporary file.
func writeState(dir, name string, b []byte) error {
	d := Sum(b)
	f, err := os.CreateTemp(dir, name+".*.tmp")
	if err != nil {
		return fmt.Errorf("saving %s: %w", name, err)
	}
	_, err = f.Write(append(b, d[:]...))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("saving %s: %w", name, err)
	}
	return nil
}

// readState returns what writeState wrote, without magic and digest.
func readState(dir, name, magic string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	end := len(b) - len(syncproto.Digest{})
	if end < len(magic) || string(b[:len(magic)]) != magic {
		return nil, errDamaged
	}
	if d := Sum(b[:end]); !bytes.Equal(d[:], b[end:]) {
		return nil, errDamaged
	}
	return b[len(magic):end], nil
}
