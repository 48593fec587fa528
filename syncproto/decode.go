package syncproto

import (
	"fmt"
	"math"
)

// decode reads the payload of a message of type t. Content of the message
// refers to payload.
func decode(t Type, payload []byte) (Message, error) {
	d := &decoder{buf: payload}
	var m Message
	switch t {
	case TypeOpen:
		m = d.open()
	case TypeOpened:
		o := &Opened{}
		d.fixed("tree", o.Tree[:])
		flags := d.byteMax("flags", OpenedSame|OpenedNoModes|OpenedFoldCase)
		o.Same, o.NoModes = flags&OpenedSame != 0, flags&OpenedNoModes != 0
		o.FoldCase = flags&OpenedFoldCase != 0
		m = o
	case TypeReport:
		m = d.report()
	case TypeBatch:
		m = d.batch()
	case TypeAck:
		m = d.ack()
	case TypeRequest:
		m = d.request()
	case TypeData:
		id := d.uvarint("id", math.MaxUint64)
		code := Code(d.byteMax("code", byte(CodeFailed)))
		m = &Data{ID: id, Code: code, Content: d.bytes("content", MaxPiece)}
	case TypeIgnore:
		m = &Ignore{Lines: d.string("lines", MaxIgnore)}
	case TypeNotice:
		m = d.notice()
	case TypeStop:
		code := StopCode(d.byteMax("code", byte(StopClosed)))
		m = &Stop{Code: code, Text: d.string("text", MaxText)}
	case TypeFlush:
		m = &Flush{ID: d.uvarint("id", math.MaxUint64)}
	case TypeFlushed:
		m = &Flushed{ID: d.uvarint("id", math.MaxUint64)}
	case TypeTrash, TypeTrashList, TypeUndo, TypeUndone:
		m = d.trash(t)
	case TypeChunks:
		c := &Chunks{ID: d.uvarint("id", math.MaxUint64), Path: d.path("path")}
		d.fixed("digest", c.Digest[:])
		c.Offset = d.uvarint("offset", math.MaxInt64)
		m = c
	case TypeChunkList:
		m = d.chunkList()
	default:
		return nil, fmt.Errorf("%w: unknown type %d", ErrMalformed, t)
	}
	if err := d.finish(); err != nil {
		return nil, fmt.Errorf("message type %d: %w", t, err)
	}
	return m, nil
}

func (d *decoder) open() *Open {
	m := &Open{Root: d.string("root", MaxText)}
	d.fixed("base", m.Base[:])
	m.Ignore = d.string("ignore", MaxIgnore)
	return m
}

func (d *decoder) report() *Report {
	flags := d.byteMax("flags", ReportFull|ReportMore)
	m := &Report{Full: flags&ReportFull != 0, More: flags&ReportMore != 0}
	m.Items = make([]Item, d.count("item", 3))
	for i := range m.Items {
		m.Items[i] = Item{Path: d.path("path"), Entry: d.entry("entry")}
		if d.err != nil {
			break
		}
	}
	return m
}

func (d *decoder) batch() *Batch {
	m := &Batch{ID: d.uvarint("id", math.MaxUint64), Generation: d.uvarint("generation", math.MaxUint64)}
	m.Changes = make([]Change, d.count("change", 7))
	for i := range m.Changes {
		m.Changes[i] = d.change()
		if d.err != nil {
			break
		}
	}
	return m
}

func (d *decoder) change() Change {
	c := Change{Op: Op(d.byteMax("op", byte(OpChmod)))}
	flags := d.byteMax("flags", ChangeInline|ChangeKeep|ChangeFirst)
	c.Inline, c.Keep, c.First = flags&ChangeInline != 0, flags&ChangeKeep != 0, flags&ChangeFirst != 0
	c.Path = d.path("path")
	c.Entry = d.entry("entry")
	c.Expect = d.entry("expect")
	if c.From = d.string("from", MaxPath); c.From != "" {
		if err := VerifyPath(c.From); err != nil {
			d.fail("from: %v", err)
		}
	}
	if c.Inline {
		c.Content = d.bytes("content", MaxInline)
	}
	if d.err == nil {
		if err := c.verify(); err != nil {
			d.fail("change %q: %v", c.Path, err)
		}
	}
	return c
}

// verify reports a combination of fields that no sender makes.
func (c *Change) verify() error {
	var ok bool
	switch c.Op {
	case OpPut:
		ok = c.Entry.Type == EntryFile && (!c.Inline || int64(len(c.Content)) == c.Entry.Size)
	case OpDelete:
		ok = !c.Entry.Exists() && c.Expect.Exists()
	case OpMkdir:
		ok = c.Entry.Type == EntryDir
	case OpSymlink:
		ok = c.Entry.Type == EntrySymlink
	case OpChmod:
		ok = c.Entry.Exists() && c.Entry.SameContent(c.Expect)
	}
	if !ok || c.Op != OpPut && (c.Inline || c.From != "") {
		return fmt.Errorf("fields do not fit operation %d", c.Op)
	}
	return nil
}

func (d *decoder) ack() *Ack {
	m := &Ack{Batch: d.uvarint("batch", math.MaxUint64)}
	m.Results = make([]Result, d.count("result", 3))
	for i := range m.Results {
		r := &m.Results[i]
		r.Code = Code(d.byteMax("code", byte(CodeFailed)))
		r.Entry = d.entry("entry")
		r.Text = d.string("text", MaxText)
		if d.err != nil {
			break
		}
	}
	return m
}

func (d *decoder) request() *Request {
	m := &Request{ID: d.uvarint("id", math.MaxUint64), Path: d.path("path")}
	d.fixed("digest", m.Digest[:])
	m.Offset = d.uvarint("offset", math.MaxInt64)
	m.Length = uint32(d.uvarint("length", MaxPiece))
	return m
}

func (d *decoder) chunkList() *ChunkList {
	m := &ChunkList{ID: d.uvarint("id", math.MaxUint64), Code: Code(d.byteMax("code", byte(CodeFailed)))}
	n := d.count("chunk", 1+len(Digest{}))
	if n > MaxChunks {
		d.fail("chunk count %d is above %d", n, MaxChunks)
		return m
	}
	m.Chunks = make([]Chunk, n)
	for i := range m.Chunks {
		c := &m.Chunks[i]
		if c.Length = uint32(d.uvarint("chunk length", ChunkMax)); c.Length == 0 {
			d.fail("a chunk is empty")
		}
		d.fixed("chunk digest", c.Digest[:])
		if d.err != nil {
			break
		}
	}
	return m
}

func (d *decoder) notice() *Notice {
	m := &Notice{Kind: NoticeKind(d.byteMax("kind", byte(NoticeResumed)))}
	if m.Path = d.string("path", MaxPath); m.Path != "" {
		if err := VerifyPath(m.Path); err != nil {
			d.fail("path: %v", err)
		}
	}
	m.Text = d.string("text", MaxText)
	return m
}
