package syncproto

import (
	"encoding/binary"
	"math"
)

// Trash asks the follower what its trash holds.
type Trash struct{ ID uint64 }

// TrashList answers Trash, the newest batch first.
type TrashList struct {
	ID      uint64
	Now     int64 // the follower's clock, nanoseconds since 1970
	Batches []TrashBatch
}

// TrashBatch describes what belongs together in a trash.
type TrashBatch struct {
	Name    string // names the batch in its trash; at most MaxName bytes
	Time    int64  // when it began by the follower's clock, nanoseconds since 1970
	Entries uint64
	Bytes   uint64
	Why     Why
	Paths   []string // some of its paths, at most MaxTrashPaths
}

// Undo asks the follower to bring a batch of its trash back.
type Undo struct {
	ID     uint64
	Absent bool   // bring back only what has nothing in its place now
	Batch  string // its name; at most MaxName bytes
}

// Undone answers Undo, after the report of what it changed.
type Undone struct {
	ID       uint64
	Restored uint64
	Failed   uint64    // how many could not be restored
	Failures []Failure // some of them, at most MaxFailures
	Text     string    // why nothing could be restored; empty otherwise
}

// Failure is a path that could not be restored, and why.
type Failure struct{ Path, Text string }

// Type implements Message.
func (*Trash) Type() Type { return TypeTrash }

// Type implements Message.
func (*TrashList) Type() Type { return TypeTrashList }

// Type implements Message.
func (*Undo) Type() Type { return TypeUndo }

// Type implements Message.
func (*Undone) Type() Type { return TypeUndone }

func (m *Trash) appendTo(b []byte) []byte { return binary.AppendUvarint(b, m.ID) }

func (m *TrashList) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = binary.AppendVarint(b, m.Now)
	b = binary.AppendUvarint(b, uint64(len(m.Batches)))
	for i := range m.Batches {
		t := &m.Batches[i]
		b = appendBytes(b, t.Name)
		b = binary.AppendVarint(b, t.Time)
		b = binary.AppendUvarint(b, t.Entries)
		b = binary.AppendUvarint(b, t.Bytes)
		b = append(b, byte(t.Why))
		b = binary.AppendUvarint(b, uint64(len(t.Paths)))
		for _, p := range t.Paths {
			b = appendBytes(b, p)
		}
	}
	return b
}

func (m *Undo) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	return appendBytes(append(b, flag(m.Absent, UndoAbsent)), m.Batch)
}

func (m *Undone) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = binary.AppendUvarint(b, m.Restored)
	b = binary.AppendUvarint(b, m.Failed)
	b = binary.AppendUvarint(b, uint64(len(m.Failures)))
	for _, f := range m.Failures {
		b = appendBytes(appendBytes(b, f.Path), clip(f.Text))
	}
	return appendBytes(b, clip(m.Text))
}

// trash reads one of the messages about the trash.
func (d *decoder) trash(t Type) Message {
	id := d.uvarint("id", math.MaxUint64)
	switch t {
	case TypeTrashList:
		return d.trashList(id)
	case TypeUndo:
		absent := d.byteMax("flags", UndoAbsent) != 0
		return &Undo{ID: id, Absent: absent, Batch: d.string("batch", MaxName)}
	case TypeUndone:
		return d.undone(id)
	default:
		return &Trash{ID: id}
	}
}

func (d *decoder) trashList(id uint64) *TrashList {
	m := &TrashList{ID: id, Now: d.varint("now")}
	m.Batches = make([]TrashBatch, d.countMax("batch", 6, MaxTrashBatches))
	for i := range m.Batches {
		t := &m.Batches[i]
		t.Name = d.string("name", MaxName)
		t.Time = d.varint("time")
		t.Entries = d.uvarint("entries", math.MaxInt64)
		t.Bytes = d.uvarint("bytes", math.MaxInt64)
		t.Why = Why(d.byteMax("why", byte(WhyDeleted|WhyOverwritten|WhyFirst|WhyConflict|WhyUndone)))
		t.Paths = make([]string, d.countMax("path", 2, MaxTrashPaths))
		for k := range t.Paths {
			t.Paths[k] = d.path("path")
		}
		if d.err != nil {
			break
		}
	}
	return m
}

func (d *decoder) undone(id uint64) *Undone {
	m := &Undone{ID: id, Restored: d.uvarint("restored", math.MaxInt64), Failed: d.uvarint("failed", math.MaxInt64)}
	m.Failures = make([]Failure, d.countMax("failure", 3, MaxFailures))
	for i := range m.Failures {
		m.Failures[i] = Failure{Path: d.path("path"), Text: d.string("text", MaxText)}
		if d.err != nil {
			break
		}
	}
	m.Text = d.string("text", MaxText)
	return m
}
