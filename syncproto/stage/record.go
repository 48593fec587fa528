package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// ErrNoBatch means that a trash has no batch of that name.
var ErrNoBatch = errors.New("no such batch in the trash")

// record is an item of a batch's list: what was at a path before it was
// removed; absent when there was nothing, which only an undo remembers. A
// record without a path says that the batch was brought back.
type record struct {
	path    string
	entry   tree.Entry
	why     syncproto.Why
	version int // which version of path in the batch; 0 when nothing is stored
}

// stored reports whether a content is stored beside the list.
func (r *record) stored() bool {
	return r.entry.Type == syncproto.EntryFile || r.entry.Type == syncproto.EntrySymlink
}

func (r *record) size() int64 { return r.entry.Size }

// in names what is stored of r in a batch.
func (r *record) in(batch string) string { return path.Join(versionName(batch, r.version), r.path) }

func listName(batch string) string { return batch + ".list" }

// appendTo appends the form on disk: the length of the rest, reason, version,
// path, entry.
func (r *record) appendTo(b []byte) []byte {
	rest := binary.AppendUvarint([]byte{byte(r.why)}, uint64(r.version))
	rest = append(binary.AppendUvarint(rest, uint64(len(r.path))), r.path...)
	rest = syncproto.AppendEntry(rest, r.entry)
	return append(binary.AppendUvarint(b, uint64(len(rest))), rest...)
}

// parseRecords reads a list up to its end or to the first damaged record, which
// is what a process that is killed leaves.
func parseRecords(b []byte) []record {
	var records []record
	for {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return records
		}
		r, ok := parseRecord(b[n : n+int(size)])
		if !ok {
			return records
		}
		records = append(records, r)
		b = b[n+int(size):]
	}
}

func parseRecord(b []byte) (r record, ok bool) {
	if len(b) == 0 {
		return r, false
	}
	r.why = syncproto.Why(b[0])
	version, n := binary.Uvarint(b[1:])
	if n <= 0 || version > maxVersions {
		return r, false
	}
	r.version = int(version)
	b = b[1+n:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return r, false
	}
	r.path = string(b[n : n+int(size)])
	e, rest, err := syncproto.DecodeEntry(b[n+int(size):])
	if err != nil || len(rest) > 0 || r.path != "" && syncproto.VerifyPath(r.path) != nil {
		return r, false
	}
	r.entry = e
	return r, r.stored() == (r.version > 0)
}

// note appends a record to the list of a batch.
func (t *Trash) note(batch string, r record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := t.openList(batch)
	if err != nil {
		return err
	}
	if b.undo {
		r.why = syncproto.WhyUndone
	}
	if err := appendWhole(b.list, r.appendTo(nil)); err != nil {
		return err
	}
	t.measure()
	b.last, b.fresh = t.now(), false
	b.bytes += r.size()
	t.used += r.size()
	t.prune()
	return nil
}

// appendWhole appends all of a record or nothing: what comes after a part of one
// would not be read.
func appendWhole(f *os.File, record []byte) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = f.Write(record); err != nil {
		_ = f.Truncate(end)
	}
	return err
}

// openList opens the list of a batch for writing.
func (t *Trash) openList(name string) (*batch, error) {
	b := t.find(name)
	if b == nil {
		b = t.add(&batch{name: name, began: t.now(), since: t.now(), fresh: true})
	}
	if b.list != nil {
		return b, nil
	}
	for _, old := range t.batches {
		if old.users == 0 {
			old.close()
		}
	}
	var err error
	b.list, err = t.root.OpenFile(listName(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return b, err
}

// Absent remembers in a batch that there was nothing at p before an undo put
// something there.
func (t *Trash) Absent(batch, p string) error { return t.note(batch, record{path: p}) }

// records reads the list of a batch.
func (t *Trash) records(batch string) ([]record, error) {
	data, err := t.root.ReadFile(listName(batch))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseRecords(data), err
}

// Removed describes a batch of a trash.
type Removed struct {
	Name    string
	Began   time.Time
	Entries int
	Bytes   int64
	Why     syncproto.Why
	Paths   []string // the first few
}

// Batches returns what the trash holds, newest first and at most limit of them.
// A batch that was brought back is left out.
func (t *Trash) Batches(limit int) ([]Removed, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []Removed
	for _, b := range slices.Backward(t.batches) {
		if len(found) == limit {
			break
		}
		records, err := t.records(b.name)
		if err != nil {
			return nil, fmt.Errorf("reading the trash: %w", err)
		}
		s := Removed{Name: b.name, Began: b.began}
		for i := range records {
			r := &records[i]
			if r.path == "" {
				s = Removed{Name: b.name, Began: b.began}
				continue
			}
			s.Entries++
			s.Bytes += r.size()
			s.Why |= r.why
			if len(s.Paths) < syncproto.MaxTrashPaths && !slices.Contains(s.Paths, r.path) {
				s.Paths = append(s.Paths, r.path)
			}
		}
		if s.Entries > 0 {
			found = append(found, s)
		}
	}
	return found, nil
}

// Recall returns what was at each path of a batch before the batch, and a
// source for the contents. The batch is not dropped before End is called with
// it. The error wraps ErrNoBatch.
func (t *Trash) Recall(batch string) (map[string]tree.Entry, func(p string) Source, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.find(batch)
	if b == nil {
		return nil, nil, fmt.Errorf("%w: %q", ErrNoBatch, batch)
	}
	records, err := t.records(batch)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the trash: %w", err)
	}
	b.users++
	b.ended = true
	was, places := map[string]tree.Entry{}, map[string]string{}
	for i := range records {
		r := &records[i]
		if r.path == "" {
			clear(was)
		}
		if _, known := was[r.path]; known || r.path == "" {
			continue // what came first is what was there before
		}
		was[r.path] = r.entry
		if r.entry.Type == syncproto.EntryFile {
			places[r.path] = r.in(batch)
			was[r.path] = t.actual(r, places[r.path])
		}
	}
	return was, func(p string) Source { return stored{trash: t, path: places[p]} }, nil
}

// actual returns the entry of a file as the trash has it: a program that had
// the file open may have written to it since.
func (t *Trash) actual(r *record, name string) tree.Entry {
	info, err := t.root.Lstat(name)
	if err != nil || info.Size() == r.entry.Size && info.ModTime().UnixNano() == r.entry.MTime {
		return r.entry
	}
	dir, err := t.root.OpenRoot(path.Dir(name))
	if err != nil {
		return r.entry
	}
	defer dir.Close()
	now, _, err := tree.NewIndex().Read(dir, path.Base(name), r.path)
	if err != nil || now.Type != syncproto.EntryFile {
		return r.entry
	}
	now.Mode = r.entry.Mode
	return now.Entry
}

// stored is a content of the trash, as a source.
type stored struct {
	trash *Trash
	path  string
}

func (s stored) open() (*os.File, error) {
	f, err := tree.OpenFile(s.trash.root, s.path)
	if err != nil {
		return nil, ContentError(fmt.Errorf("it is in the trash no more: %w", err))
	}
	return f, nil
}

// Chunks implements Source.
func (s stored) Chunks(_ context.Context, offset int64) ([]syncproto.Chunk, error) {
	f, err := s.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rest := io.NewSectionReader(f, offset, math.MaxInt64-offset)
	return chunk.NewReader(chunk.NewCutter()).Chunks(rest, syncproto.MaxChunks)
}

// Read implements Source.
func (s stored) Read(ctx context.Context, ranges []Range, yield func([]byte) error) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 128<<10)
	for _, r := range ranges {
		for r.Length > 0 && ctx.Err() == nil {
			n, err := f.ReadAt(buf[:min(r.Length, int64(len(buf)))], r.Offset)
			if n == 0 {
				return ContentError(err)
			}
			if err := yield(buf[:n]); err != nil {
				return err
			}
			r.Offset, r.Length = r.Offset+int64(n), r.Length-int64(n)
		}
	}
	return ctx.Err()
}

// Restored notes that all of a batch was brought back, so that it is not
// offered again.
func (t *Trash) Restored(batch string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := t.openList(batch)
	if err == nil {
		r := record{why: syncproto.WhyUndone}
		_, err = b.list.Write(r.appendTo(nil))
	}
	if err != nil {
		return fmt.Errorf("noting in the trash that %s was brought back: %w", batch, err)
	}
	return nil
}
