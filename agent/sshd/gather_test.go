//go:build linux

package sshd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

// TestGatheredPieces writes while the other end does not read: all of it arrives
// in one piece, or two, also what was written just before the end.
func TestGatheredPieces(t *testing.T) {
	near, far := net.Pipe()
	c := gather(near)
	const packets, size = 20, 1000
	for i := range packets {
		if n, err := c.Write(bytes.Repeat([]byte{byte(i)}, size)); n != size || err != nil {
			t.Fatal(n, err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	var got []byte
	pieces := 0
	for buf := make([]byte, packets*size); ; pieces++ {
		n, err := far.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := next(t, closed); err != nil {
		t.Error(err)
	}
	for i := range packets {
		if len(got) != packets*size || got[i*size] != byte(i) || got[(i+1)*size-1] != byte(i) {
			t.Fatalf("%d bytes arrived, or not in order", len(got))
		}
	}
	if pieces > 2 {
		t.Errorf("they arrived in %d pieces", pieces)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestGatheredIsBounded writes more than may wait, and then breaks the
// connection: whoever writes waits, and hears of it.
func TestGatheredIsBounded(t *testing.T) {
	near, far := net.Pipe()
	c := gather(near)
	failed := make(chan error, 1)
	written := make(chan struct{}, 1000)
	go func() {
		for {
			if _, err := c.Write(make([]byte, gatherSize/4)); err != nil {
				failed <- err
				return
			}
			written <- struct{}{}
		}
	}()
	for range 4 { // what the background takes, and a full buffer
		next(t, written)
	}
	_ = far.Close()
	if err := next(t, failed); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("it failed with %v", err)
	}
	if n := len(written); n > 8 {
		t.Errorf("%d more were taken", n)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestGatheredEndIsBounded closes what nobody reads.
func TestGatheredEndIsBounded(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	c := gather(near)
	if _, err := c.Write([]byte("never read")); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	if err := next(t, closed); err != nil {
		t.Error(err)
	}
}
