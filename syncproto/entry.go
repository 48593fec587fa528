package syncproto

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
)

// Digest identifies a file's content, or a chunk of it (SPEC.md, Chunks).
type Digest [32]byte

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Entry is what one path of a tree is. The zero value is an absent entry.
type Entry struct {
	Type   EntryType
	Mode   uint32 // permission bits, 0 to 0777; 0 for a symlink
	Size   int64  // bytes, files only
	MTime  int64  // nanoseconds since 1970, files only
	Digest Digest // files only
	Target string // symlinks only
}

// Exists reports whether the entry is not absent.
func (e Entry) Exists() bool { return e.Type != EntryAbsent }

// Same reports whether both entries mean the same to sync: type, permission
// bits, content and target. Modification times do not count.
func (e Entry) Same(o Entry) bool { return e.Mode == o.Mode && e.SameContent(o) }

// SameContent is Same without the permission bits.
func (e Entry) SameContent(o Entry) bool {
	return e.Type == o.Type && e.Size == o.Size && e.Digest == o.Digest && e.Target == o.Target
}

// AppendEntry appends the wire form of e to b.
func AppendEntry(b []byte, e Entry) []byte {
	b = append(b, byte(e.Type))
	switch e.Type {
	case EntryFile:
		b = binary.AppendUvarint(b, uint64(e.Mode))
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = binary.AppendVarint(b, e.MTime)
		b = append(b, e.Digest[:]...)
	case EntryDir:
		b = binary.AppendUvarint(b, uint64(e.Mode))
	case EntrySymlink:
		b = appendBytes(b, e.Target)
	}
	return b
}

// DecodeEntry reads the wire form of an entry from the head of b and returns
// what follows it.
func DecodeEntry(b []byte) (Entry, []byte, error) {
	d := decoder{buf: b}
	e := d.entry("entry")
	return e, d.buf, d.err
}

func (d *decoder) entry(field string) Entry {
	e := Entry{Type: EntryType(d.byteMax(field+" type", byte(EntrySymlink)))}
	switch e.Type {
	case EntryFile:
		e.Mode = uint32(d.uvarint(field+" mode", 0o777))
		e.Size = int64(d.uvarint(field+" size", math.MaxInt64))
		e.MTime = d.varint(field + " mtime")
		d.fixed(field+" digest", e.Digest[:])
	case EntryDir:
		e.Mode = uint32(d.uvarint(field+" mode", 0o777))
	case EntrySymlink:
		e.Target = d.string(field+" target", MaxTarget)
		if d.err == nil && (e.Target == "" || strings.IndexByte(e.Target, 0) >= 0) {
			d.fail("%s target is empty or holds a NUL", field)
		}
	}
	if d.err != nil {
		return Entry{}
	}
	return e
}

// VerifyPath reports why p cannot name an entry: paths are relative to the
// root, separated by slashes, without empty, "." or ".." components, and free
// of NUL; they need not be UTF-8.
func VerifyPath(p string) error {
	if p == "" || len(p) > MaxPath {
		return fmt.Errorf("path of %d bytes", len(p))
	}
	if strings.IndexByte(p, 0) >= 0 {
		return fmt.Errorf("path %q holds a NUL", p)
	}
	for rest, more := p, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if name == "" || name == "." || name == ".." || len(name) > MaxName {
			return fmt.Errorf("path %q has the component %q", p, name)
		}
	}
	return nil
}
