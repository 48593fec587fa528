package probe

import (
	"bufio"
	"io"
	"net"
	"testing"
)

// TestStreams fetches bytes, and has others come back over the same connection.
func TestStreams(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	in, stop := io.Pipe()
	out, said := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- ServeStreams(address, in, said) }()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening\n" {
		t.Fatalf("it said %q, %v", line, err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := Fetch(conn, 1<<20); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := Echo(conn); err != nil {
			t.Error(err)
		}
	}
	_ = stop.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("it goes on listening")
	}
}
