// Package frame is how the agent's protocols cut a byte stream into messages:
// a type of one byte, the length of the payload in four, big endian, and the
// payload.
package frame

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// HeaderSize is the size of what goes before the payload.
const HeaderSize = 5

// Put writes the header of a frame with a payload of n bytes.
func Put[T ~byte](b []byte, t T, n int) {
	b[0] = byte(t)
	binary.BigEndian.PutUint32(b[1:HeaderSize], uint32(n))
}

// New renders a frame.
func New[T ~byte](t T, payload []byte) []byte {
	b := make([]byte, HeaderSize+len(payload))
	Put(b, t, len(payload))
	copy(b[HeaderSize:], payload)
	return b
}

// JSON renders a frame with a message of at most so many bytes.
func JSON[T ~byte](t T, m any, most int) ([]byte, error) {
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("rendering frame %d: %w", t, err)
	}
	if len(payload) > most {
		return nil, fmt.Errorf("a request of %d bytes is too large: at most %d", len(payload), most)
	}
	return New(t, payload), nil
}

// Read reads one frame. The length is checked against the type's limit before
// anything is allocated for it. A clean end between two frames is io.EOF.
func Read[T ~byte](r io.Reader, limit func(T) uint32) (T, []byte, error) {
	var h [HeaderSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	return ReadPayload(r, h, limit)
}

// ReadPayload reads the rest of a frame whose header was read.
func ReadPayload[T ~byte](r io.Reader, h [HeaderSize]byte, limit func(T) uint32) (T, []byte, error) {
	t, n := T(h[0]), binary.BigEndian.Uint32(h[1:])
	if most := limit(t); n > most {
		return 0, nil, fmt.Errorf("frame %d of %d bytes: at most %d are allowed", t, n, most)
	}
	if n == 0 {
		return t, nil, nil
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return t, payload, nil
}

// Decode parses the JSON payload of a frame of the type that is expected.
func Decode[T ~byte](got, want T, payload []byte, m any) error {
	if got != want {
		return fmt.Errorf("got frame %d, want %d", got, want)
	}
	if err := json.Unmarshal(payload, m); err != nil {
		return fmt.Errorf("parsing frame %d: %w", got, err)
	}
	return nil
}
