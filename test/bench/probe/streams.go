package probe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// ServeStreams listens on a TCP address until in ends, and tells out that it
// does. Each connection begins with a line that says how many bytes it wants;
// it gets them, and after that whatever it sends.
func ServeStreams(address string, in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "listening"); err != nil {
		return err
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go stream(conn)
		}
	})
	_, err = io.Copy(io.Discard, in)
	_ = l.Close()
	conns.Wait()
	return err
}

// stream serves one connection. Whoever asks sees how it went.
func stream(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	from := bufio.NewReader(conn)
	line, err := from.ReadString('\n')
	if err != nil {
		return
	}
	wanted, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return
	}
	if _, err := io.CopyN(conn, zeros{}, wanted); err != nil {
		return
	}
	_, _ = io.Copy(conn, from)
}

// zeros never ends. Nothing on the way compresses.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Fetch asks a served connection for so many bytes and reads them.
func Fetch(conn net.Conn, size int64) error {
	if _, err := fmt.Fprintf(conn, "%d\n", size); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, conn, size); err != nil {
		return fmt.Errorf("reading %d bytes: %w", size, err)
	}
	return nil
}

// Echo sends a byte and waits until it comes back.
func Echo(conn net.Conn) error {
	sent := []byte{'.'}
	if _, err := conn.Write(sent); err != nil {
		return err
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("waiting for the echo: %w", err)
	}
	return nil
}
