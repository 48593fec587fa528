package syncproto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// headerSize is the length of a frame's header: u32 length, type, flags.
	headerSize = 6
	// compressFrom is the smallest payload that is worth compressing.
	compressFrom = 512
	// batchRoom is the memory that a large batch gets, of which there are few
	// that need more.
	batchRoom = MaxPayload * 5 / 8
	// encoders is how many payloads may be compressed at once.
	encoders = 4
)

// Conn frames messages on a connection. One goroutine may read while any
// number write.
type Conn struct {
	rwc io.ReadWriteCloser
	*Encoder

	// of the reading half
	r      *bufio.Reader
	dec    *zstd.Decoder
	packed []byte    // the last payload that was inflated
	rooms  sync.Pool // of *[]byte with batchRoom, for large batches
	lent   sync.Map  // of those, by *Batch

	mu    sync.Mutex // guards the writing half
	frame Frame
}

// Encoder makes frames, for any number of goroutines at once. Its frames fit
// every connection.
type Encoder struct{ zstd *zstd.Encoder }

// NewEncoder returns an Encoder.
func NewEncoder() (*Encoder, error) {
	// A payload is never longer than the window, so that the encoders need no
	// room to move it: lower memory costs no time.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(encoders),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(MaxPayload),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("preparing zstd: %w", err)
	}
	return &Encoder{enc}, nil
}

// Frame is a message as it travels. It can be used again for another one.
type Frame struct {
	plain, wire []byte
}

// Keep gives back all memory but what it takes to send the frame later, and
// returns how much that is, in bytes.
func (f *Frame) Keep() int {
	f.plain, f.wire = nil, bytes.Clone(f.wire)
	return len(f.wire)
}

// NewConn returns a Conn on rwc, which it closes in Close. It does no I/O.
func NewConn(rwc io.ReadWriteCloser) (*Conn, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(MaxPayload), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("preparing zstd: %w", err)
	}
	enc, err := NewEncoder()
	if err != nil {
		return nil, err
	}
	return &Conn{
		rwc: rwc, r: bufio.NewReaderSize(rwc, 64<<10), dec: dec, Encoder: enc,
		rooms: sync.Pool{New: func() any { b := make([]byte, 0, batchRoom); return &b }},
	}, nil
}

// Close closes the connection; reads and writes in progress fail.
func (c *Conn) Close() error { return c.rwc.Close() }

// Write sends m. The message must obey the limits of SPEC.md; one that does
// not fit a frame is an error, and nothing is sent.
func (c *Conn) Write(m Message) error {
	return c.WriteFunc(func() Message { return m })
}

// WriteFunc sends the message that build returns, nil for none. Messages go
// out in the order in which their build functions run, so a message that
// quotes changing state is never overtaken by an older quote of it.
func (c *Conn) WriteFunc(build func() Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := build()
	if m == nil {
		return nil
	}
	if err := c.Encode(&c.frame, m); err != nil {
		return err
	}
	return c.send(&c.frame)
}

// Encode makes f the frame of m, for WriteFrame. It compresses, so that several
// goroutines can share this work. The message must obey the limits of SPEC.md;
// one that does not fit a frame is an error.
func (e *Encoder) Encode(f *Frame, m Message) error {
	f.plain = m.appendTo(f.plain[:0])
	if len(f.plain) > MaxPayload {
		return fmt.Errorf("message type %d of %d bytes does not fit a frame", m.Type(), len(f.plain))
	}
	f.wire = e.appendFrame(f.wire[:0], m.Type(), f.plain)
	return nil
}

// WriteFrame sends what Encode made.
func (c *Conn) WriteFrame(f *Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(f)
}

func (c *Conn) send(f *Frame) error {
	if _, err := c.rwc.Write(f.wire); err != nil {
		return fmt.Errorf("sending message type %d: %w", f.wire[4], err)
	}
	return nil
}

// appendFrame appends the frame of a payload, compressed when that pays.
func (e *Encoder) appendFrame(b []byte, t Type, payload []byte) []byte {
	b = append(b, 0, 0, 0, 0, byte(t), 0)
	if len(payload) >= compressFrom {
		b = binary.AppendUvarint(b, uint64(len(payload)))
		b = e.zstd.EncodeAll(payload, b)
		if size := len(b) - headerSize; size < len(payload)-len(payload)/16 {
			b[5] = FlagZstd
			binary.BigEndian.PutUint32(b, uint32(size))
			return b
		}
		b = b[:headerSize]
	}
	binary.BigEndian.PutUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// Read returns the next message. io.EOF means that the other end closed the
// connection between two frames. Slices in the message are the caller's, those
// of a batch until Release.
func (c *Conn) Read() (Message, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("reading frame: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > MaxPayload {
		return nil, fmt.Errorf("%w: frame of %d bytes", ErrMalformed, size)
	}
	if head[5]&^FlagZstd != 0 {
		return nil, fmt.Errorf("%w: frame flags %#x", ErrMalformed, head[5])
	}
	t := Type(head[4])
	if head[5]&FlagZstd == 0 {
		payload := make([]byte, size)
		if _, err := io.ReadFull(c.r, payload); err != nil {
			return nil, fmt.Errorf("reading frame: %w", err)
		}
		return decode(t, payload)
	}
	c.packed = slices.Grow(c.packed[:0], int(size))[:size]
	if _, err := io.ReadFull(c.r, c.packed); err != nil {
		return nil, fmt.Errorf("reading frame: %w", err)
	}
	room := &[]byte{}
	if t == TypeBatch && size > batchRoom/16 {
		room = c.rooms.Get().(*[]byte)
	}
	payload, err := c.inflate(c.packed, *room)
	if err != nil {
		return nil, err
	}
	m, err := decode(t, payload)
	if b, ok := m.(*Batch); ok && cap(*room) > 0 {
		c.lent.Store(b, room)
	}
	return m, err
}

// Release gives back the memory of a batch that Read returned. Its contents must
// not be used any more.
func (c *Conn) Release(b *Batch) {
	if room, ok := c.lent.LoadAndDelete(b); ok {
		c.rooms.Put(room)
	}
}

// inflate decompresses a payload into room, or a buffer of its own where that is
// too small. Content that would exceed the length that it announces is an error.
func (c *Conn) inflate(payload, room []byte) ([]byte, error) {
	d := decoder{buf: payload}
	size := int(d.uvarint("inflated size", MaxPayload))
	if d.err != nil {
		return nil, d.err
	}
	if cap(room) < size {
		room = make([]byte, 0, size)
	}
	out, err := c.dec.DecodeAll(d.buf, room[:0:size])
	if err != nil {
		return nil, fmt.Errorf("%w: inflating: %w", ErrMalformed, err)
	}
	if len(out) != size {
		return nil, fmt.Errorf("%w: inflated to %d bytes, not %d", ErrMalformed, len(out), size)
	}
	return out, nil
}
