package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// Files in a state folder, and the magic that each begins with. The last byte
// of a magic is the version of the format.
const (
	indexFile  = "index"
	indexMagic = "OKSYNCI\x01"
	baseFile   = "base"
	baseMagic  = "OKSYNCB\x01"
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

// Save writes the index and the identity of its tree to dir, and the catalog of
// chunks if that changed, each atomically.
func (x *Index) Save(dir string, id Identity) error {
	b := append([]byte(indexMagic), id.ID[:]...)
	b = binary.AppendUvarint(b, id.Inode)
	x.mu.RLock()
	for p, r := range x.records {
		b = appendRecord(b, p, r)
	}
	x.mu.RUnlock()
	if err := writeState(dir, indexFile, b); err != nil {
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
	x := NewIndex()
	b, err := readState(dir, indexFile, indexMagic)
	if err != nil {
		return x, Identity{}
	}
	var id Identity
	r := bytes.NewReader(b)
	_, err = io.ReadFull(r, id.ID[:])
	if err == nil {
		id.Inode, err = binary.ReadUvarint(r)
	}
	for err == nil && r.Len() > 0 {
		var p string
		var rec Record
		if p, rec.Entry, err = readItem(r); err == nil && rec.Type == syncproto.EntryFile {
			err = readIdentity(r, &rec)
		}
		if err == nil {
			x.Set(p, rec)
		}
	}
	if err != nil {
		return NewIndex(), Identity{}
	}
	x.loadChunks(dir)
	return x, id
}

func readIdentity(r *bytes.Reader, rec *Record) (err error) {
	if rec.CTime, err = binary.ReadVarint(r); err != nil {
		return err
	}
	if rec.Inode, err = binary.ReadUvarint(r); err != nil {
		return err
	}
	rec.Checked, err = binary.ReadVarint(r)
	return err
}

// readItem reads a path and its entry.
func readItem(r *bytes.Reader) (string, Entry, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil || n > uint64(r.Len()) || n > syncproto.MaxPath {
		return "", Entry{}, errDamaged
	}
	p := make([]byte, n)
	_, _ = io.ReadFull(r, p) // the length was checked
	if syncproto.VerifyPath(string(p)) != nil {
		return "", Entry{}, errDamaged
	}
	rest := make([]byte, min(r.Len(), entryBytes))
	pos := r.Size() - int64(r.Len())
	_, _ = r.ReadAt(rest, pos)
	e, tail, err := syncproto.DecodeEntry(rest)
	if err != nil {
		return "", Entry{}, errDamaged
	}
	_, _ = r.Seek(int64(len(rest)-len(tail)), io.SeekCurrent)
	return string(p), e, nil
}

// entryBytes is more than the longest wire form of an entry.
const entryBytes = syncproto.MaxTarget + 128

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
