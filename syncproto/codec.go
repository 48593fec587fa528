package syncproto

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed means that bytes do not have the form that SPEC.md gives them.
var ErrMalformed = errors.New("malformed message")

// appendBytes appends a length and the bytes.
func appendBytes[T string | []byte](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// decoder reads fields from a payload. The first error sticks, and every read
// after it yields a zero value, so that a message decodes without a check per
// field.
type decoder struct {
	buf []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	d.buf = nil
}

func (d *decoder) byte(field string) byte {
	if len(d.buf) == 0 {
		d.fail("%s is missing", field)
		return 0
	}
	v := d.buf[0]
	d.buf = d.buf[1:]
	return v
}

// byteMax reads a byte that is at most limit.
func (d *decoder) byteMax(field string, limit byte) byte {
	v := d.byte(field)
	if v > limit {
		d.fail("%s %d is unknown", field, v)
		return 0
	}
	return v
}

func (d *decoder) uvarint(field string, limit uint64) uint64 {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.fail("%s is not a number", field)
		return 0
	}
	if v > limit {
		d.fail("%s %d is above %d", field, v, limit)
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) varint(field string) int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.fail("%s is not a number", field)
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

// bytes returns a slice of the payload, not a copy.
func (d *decoder) bytes(field string, limit int) []byte {
	n := d.uvarint(field+" length", uint64(limit))
	if n > uint64(len(d.buf)) {
		d.fail("%s is cut short", field)
		return nil
	}
	v := d.buf[:n:n]
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) string(field string, limit int) string {
	return string(d.bytes(field, limit))
}

// fixed fills v.
func (d *decoder) fixed(field string, v []byte) {
	if len(d.buf) < len(v) {
		d.fail("%s is cut short", field)
		return
	}
	copy(v, d.buf)
	d.buf = d.buf[len(v):]
}

// count reads the length of a list whose items take at least size bytes each,
// so that a short message cannot make the reader allocate a long list.
func (d *decoder) count(field string, size int) int { return d.countMax(field, size, MaxItems) }

// countMax is count for a list of at most limit items.
func (d *decoder) countMax(field string, size, limit int) int {
	n := d.uvarint(field+" count", uint64(limit))
	if n > uint64(len(d.buf)/size) {
		d.fail("%s count %d exceeds the message", field, n)
		return 0
	}
	return int(n)
}

// path reads a path and verifies it.
func (d *decoder) path(field string) string {
	p := d.string(field, MaxPath)
	if d.err == nil {
		if err := VerifyPath(p); err != nil {
			d.fail("%s: %v", field, err)
			return ""
		}
	}
	return p
}

// finish returns the first error, or one for bytes that no field claims.
func (d *decoder) finish() error {
	if d.err == nil && len(d.buf) > 0 {
		d.fail("%d bytes too many", len(d.buf))
	}
	return d.err
}
