// Package datagram carries UDP over streams, such as channels of SSH. SPEC.md
// says how.
package datagram

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// MaxSize is the largest length that a frame can have.
const MaxSize = 1<<16 - 1

// headerSize is that of the length before each datagram.
const headerSize = 2

// Write writes one datagram to a stream, in one write.
func Write(w io.Writer, datagram []byte) error {
	if len(datagram) > MaxSize {
		return fmt.Errorf("a datagram of %d bytes", len(datagram))
	}
	frame := make([]byte, headerSize, headerSize+len(datagram))
	binary.BigEndian.PutUint16(frame, uint16(len(datagram)))
	_, err := w.Write(append(frame, datagram...))
	return err
}

// Read reads one datagram from a stream into buf, which has MaxSize bytes. It
// returns io.EOF at the end of the stream, io.ErrUnexpectedEOF within a
// datagram.
func Read(r io.Reader, buf []byte) ([]byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	datagram := buf[:binary.BigEndian.Uint16(header[:])]
	if _, err := io.ReadFull(r, datagram); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return datagram, nil
}

// Join carries datagrams between a stream and a connected UDP socket until
// either is closed; then it closes both.
func Join(stream io.ReadWriteCloser, socket net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		defer func() { _ = socket.Close() }()
		for buf := make([]byte, MaxSize); ; {
			datagram, err := Read(stream, buf)
			if err != nil {
				return
			}
			_, _ = socket.Write(datagram) // what it does not take is lost
		}
	})
	both.Go(func() {
		defer func() { _ = stream.Close() }()
		_ = receive(func(buf []byte) (int, error) { return socket.Read(buf) }, func(datagram []byte) error {
			return Write(stream, datagram)
		})
	})
	both.Wait()
}

// receive passes on what a socket receives until it is closed, or use fails.
// Errors of a socket are mostly about a datagram that was sent before, and
// pass; one that has nothing else is broken.
func receive(read func([]byte) (int, error), use func([]byte) error) error {
	const most = 100
	failures := 0
	for buf := make([]byte, MaxSize); ; {
		n, err := read(buf)
		switch {
		case err == nil:
			failures = 0
		case failures < most && !errors.Is(err, net.ErrClosed):
			failures++
			continue
		default:
			return err
		}
		if err := use(buf[:n]); err != nil {
			return err
		}
	}
}
