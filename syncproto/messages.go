package syncproto

import "encoding/binary"

// Message is one message of the protocol.
type Message interface {
	// Type names the message on the wire.
	Type() Type
	// appendTo appends the payload to b.
	appendTo(b []byte) []byte
}

// Open is the leader's first message: which root, and what it believes.
type Open struct {
	Root   string // the root's name at the follower
	Base   Digest // digest of the base; zero when there is none
	Ignore string // ignore patterns, one per line
}

// Opened answers Open once the follower has scanned its root.
type Opened struct {
	Tree    [16]byte // identity of the follower's tree; a new one is a first meeting
	Same    bool     // the tree has the digest of Open.Base
	NoModes bool     // the modes in reports say nothing
	// FoldCase: names that differ only in case or normalization are one.
	FoldCase bool
}

// Item is a path and the entry that it has, absent included.
type Item struct {
	Path  string
	Entry Entry
}

// Report tells the leader what entries the follower has.
type Report struct {
	Full  bool // forget what was reported before
	More  bool // the report goes on in the next message
	Items []Item
}

// Change is one instruction to a receiver.
type Change struct {
	Op      Op
	Keep    bool   // what is replaced must reach the trash first
	First   bool   // it belongs to a first meeting
	Path    string // what to change
	Entry   Entry  // what the path becomes; absent for OpDelete
	Expect  Entry  // what the sender believes the receiver has
	From    string // OpPut: a path of the receiver with this content, or ""
	Inline  bool   // Content is the content
	Content []byte // OpPut with Inline: Entry.Size bytes
}

// Batch carries changes that are applied in order and answered by one Ack.
type Batch struct {
	ID         uint64
	Generation uint64 // the laptop's generation once this batch is applied
	Changes    []Change
}

// Result is the fate of one change.
type Result struct {
	Code  Code
	Entry Entry  // what the path is now
	Text  string // for people; empty when Code is CodeOK
}

// Ack answers a batch, one result per change and in the same order.
type Ack struct {
	Batch   uint64
	Results []Result
}

// Request asks for a range of a file's content.
type Request struct {
	ID     uint64
	Path   string
	Digest Digest // what the asking end believes the content is
	Offset uint64
	Length uint32 // at most MaxPiece
}

// Data answers a request.
type Data struct {
	ID      uint64
	Code    Code // CodeOK, or why there is no content
	Content []byte
}

// Chunk is a stretch of a content that both ends cut out of it alike.
type Chunk struct {
	Length uint32 // 1 to ChunkMax
	Digest Digest
}

// Chunks asks for chunks of a large file's content.
type Chunks struct {
	ID     uint64
	Path   string
	Digest Digest // what the asking end believes the content is
	Offset uint64 // where the first chunk begins
}

// ChunkList answers Chunks. The list ends where the content does, or before:
// then the next request goes on.
type ChunkList struct {
	ID     uint64
	Code   Code // CodeOK, or why there is no list
	Chunks []Chunk
}

// Ignore replaces the ignore patterns; a full report answers it.
type Ignore struct {
	Lines string // one pattern per line
}

// Notice tells the other end something for its user.
type Notice struct {
	Kind NoticeKind
	Path string // "" when it concerns the whole root
	Text string
}

// Flush asks the follower to report all that happened before it.
type Flush struct{ ID uint64 }

// Flushed answers Flush once that is reported.
type Flushed struct{ ID uint64 }

// Stop ends the session.
type Stop struct {
	Code StopCode
	Text string
}

// Type implements Message.
func (*Open) Type() Type { return TypeOpen }

// Type implements Message.
func (*Opened) Type() Type { return TypeOpened }

// Type implements Message.
func (*Report) Type() Type { return TypeReport }

// Type implements Message.
func (*Batch) Type() Type { return TypeBatch }

// Type implements Message.
func (*Ack) Type() Type { return TypeAck }

// Type implements Message.
func (*Request) Type() Type { return TypeRequest }

// Type implements Message.
func (*Data) Type() Type { return TypeData }

// Type implements Message.
func (*Ignore) Type() Type { return TypeIgnore }

// Type implements Message.
func (*Notice) Type() Type { return TypeNotice }

// Type implements Message.
func (*Stop) Type() Type { return TypeStop }

// Type implements Message.
func (*Flush) Type() Type { return TypeFlush }

// Type implements Message.
func (*Flushed) Type() Type { return TypeFlushed }

// Type implements Message.
func (*Chunks) Type() Type { return TypeChunks }

// Type implements Message.
func (*ChunkList) Type() Type { return TypeChunkList }

func (m *Open) appendTo(b []byte) []byte {
	b = appendBytes(b, m.Root)
	b = append(b, m.Base[:]...)
	return appendBytes(b, m.Ignore)
}

func (m *Opened) appendTo(b []byte) []byte {
	return append(append(b, m.Tree[:]...),
		flag(m.Same, OpenedSame)|flag(m.NoModes, OpenedNoModes)|flag(m.FoldCase, OpenedFoldCase))
}

func (m *Report) appendTo(b []byte) []byte {
	b = append(b, flag(m.Full, ReportFull)|flag(m.More, ReportMore))
	b = binary.AppendUvarint(b, uint64(len(m.Items)))
	for _, it := range m.Items {
		b = AppendEntry(appendBytes(b, it.Path), it.Entry)
	}
	return b
}

func (m *Batch) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = binary.AppendUvarint(b, m.Generation)
	b = binary.AppendUvarint(b, uint64(len(m.Changes)))
	for i := range m.Changes {
		c := &m.Changes[i]
		b = append(b, byte(c.Op), flag(c.Inline, ChangeInline)|flag(c.Keep, ChangeKeep)|flag(c.First, ChangeFirst))
		b = appendBytes(b, c.Path)
		b = AppendEntry(b, c.Entry)
		b = AppendEntry(b, c.Expect)
		b = appendBytes(b, c.From)
		if c.Inline {
			b = appendBytes(b, c.Content)
		}
	}
	return b
}

func (m *Ack) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.Batch)
	b = binary.AppendUvarint(b, uint64(len(m.Results)))
	for _, r := range m.Results {
		b = AppendEntry(append(b, byte(r.Code)), r.Entry)
		b = appendBytes(b, clip(r.Text))
	}
	return b
}

func (m *Request) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = appendBytes(b, m.Path)
	b = append(b, m.Digest[:]...)
	b = binary.AppendUvarint(b, m.Offset)
	return binary.AppendUvarint(b, uint64(m.Length))
}

func (m *Data) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	return appendBytes(append(b, byte(m.Code)), m.Content)
}

func (m *Chunks) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = appendBytes(b, m.Path)
	b = append(b, m.Digest[:]...)
	return binary.AppendUvarint(b, m.Offset)
}

func (m *ChunkList) appendTo(b []byte) []byte {
	b = append(binary.AppendUvarint(b, m.ID), byte(m.Code))
	b = binary.AppendUvarint(b, uint64(len(m.Chunks)))
	for _, c := range m.Chunks {
		b = binary.AppendUvarint(b, uint64(c.Length))
		b = append(b, c.Digest[:]...)
	}
	return b
}

func (m *Ignore) appendTo(b []byte) []byte { return appendBytes(b, m.Lines) }

func (m *Notice) appendTo(b []byte) []byte {
	return appendBytes(appendBytes(append(b, byte(m.Kind)), m.Path), clip(m.Text))
}

func (m *Flush) appendTo(b []byte) []byte { return binary.AppendUvarint(b, m.ID) }

func (m *Flushed) appendTo(b []byte) []byte { return binary.AppendUvarint(b, m.ID) }

func (m *Stop) appendTo(b []byte) []byte {
	return appendBytes(append(b, byte(m.Code)), clip(m.Text))
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// clip keeps a text for people within MaxText.
func clip(s string) string { return s[:min(len(s), MaxText)] }
