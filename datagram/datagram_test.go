package datagram

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

const patience = 30 * time.Second

func TestFrames(t *testing.T) {
	var wire bytes.Buffer
	sent := [][]byte{{}, []byte("query"), bytes.Repeat([]byte{7}, MaxSize)}
	for _, d := range sent {
		if err := Write(&wire, d); err != nil {
			t.Fatal(err)
		}
	}
	if want := []byte{0, 0, 0, 5, 'q', 'u', 'e', 'r', 'y', 0xff, 0xff, 7}; !bytes.HasPrefix(wire.Bytes(), want) {
		t.Errorf("on the wire are %x, want %x", wire.Bytes()[:len(want)], want)
	}
	buf := make([]byte, MaxSize)
	for _, want := range sent {
		if got, err := Read(&wire, buf); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	if _, err := Read(&wire, buf); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for _, cut := range []string{"\x00", "\x00\x02", "\x00\x02a"} {
		if _, err := Read(bytes.NewReader([]byte(cut)), buf); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", cut, err)
		}
	}
	if err := Write(&wire, make([]byte, MaxSize+1)); err == nil {
		t.Error("what has no length was written")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01a\x00\x05abc"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var again bytes.Buffer
		for r, buf := bytes.NewReader(wire), make([]byte, MaxSize); ; {
			datagram, err := Read(r, buf)
			if err != nil {
				break
			}
			if err := Write(&again, datagram); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(wire, again.Bytes()) {
			t.Errorf("%x became %x", wire, again.Bytes())
		}
	})
}

// socket is a UDP socket that the end of the test closes.
func socket(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func dial(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask sends a datagram and returns the next that comes.
func ask(t *testing.T, conn net.Conn, question string) string {
	t.Helper()
	if _, err := io.WriteString(conn, question); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, MaxSize)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// serve serves flows until the test ends; opened gets the far end of each.
func serve(t *testing.T, f *Flows) (at net.Addr, opened <-chan net.Conn) {
	t.Helper()
	streams := make(chan net.Conn, 2*maxFlows)
	f.Open = func(context.Context, net.Addr) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		streams <- far
		return near, nil
	}
	s := socket(t)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx, s) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if len(f.flows) > 0 || f.waiting.Load() != 0 {
			t.Errorf("left are %d flows and %d bytes", len(f.flows), f.waiting.Load())
		}
	})
	return s.LocalAddr(), streams
}

// TestThereAndBack goes through both ends, to a server that answers, one that
// is not there at first, and back to the right peer.
func TestThereAndBack(t *testing.T) {
	server := socket(t)
	at, opened := serve(t, &Flows{})
	go func() {
		for far := range opened {
			go Join(far, dial(t, server.LocalAddr()))
		}
	}()
	go func() {
		buf := make([]byte, MaxSize)
		for {
			n, peer, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo([]byte(fmt.Sprintf("%s to %s", buf[:n], peer)), peer)
		}
	}()
	one, two := dial(t, at), dial(t, at)
	first := ask(t, one, "one")
	if second := ask(t, two, "one"); first == second {
		t.Errorf("two peers share a flow: both got %q", first)
	}
	if again := ask(t, one, "one"); again != first {
		t.Errorf("one peer has two flows: %q and %q", first, again)
	}
}

// TestSilentFlowsEnd waits until the stream of a flow is closed for silence.
func TestSilentFlowsEnd(t *testing.T) {
	at, opened := serve(t, &Flows{Idle: time.Millisecond})
	peer := dial(t, at)
	for range 2 { // a peer that comes back begins anew
		var far io.Reader
		for far == nil { // what comes while a flow ends may be lost
			if _, err := io.WriteString(peer, "x"); err != nil {
				t.Fatal(err)
			}
			select {
			case far = <-opened:
			case <-time.After(10 * time.Millisecond):
			}
		}
		if _, err := io.Copy(io.Discard, far); err != nil {
			t.Error(err)
		}
	}
}

// TestFlowsAreBounded begins one flow too many, and floods one.
func TestFlowsAreBounded(t *testing.T) {
	f := &Flows{Idle: patience}
	started := map[string]*flow{}
	deliver := func(port int, datagram []byte) {
		f.deliver(t.Context(), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, datagram, func(ctx context.Context, fl *flow) {
			started[fmt.Sprint(port)] = fl
			context.AfterFunc(ctx, func() { fl.quiet.Stop() })
		})
	}
	for port := 1; port <= maxFlows+1; port++ {
		deliver(port, nil)
	}
	if len(started) != maxFlows+1 || len(f.flows) != maxFlows || f.flows["127.0.0.1:1"] != nil {
		t.Errorf("%d flows began, %d are left, the oldest too: %v", len(started), len(f.flows), f.flows["127.0.0.1:1"] != nil)
	}
	for range 2 * maxQueue {
		deliver(2, []byte("x"))
	}
	if n := len(started["2"].queue); n != maxQueue {
		t.Errorf("%d datagrams wait", n)
	}
	for range maxQueue {
		for port := 3; port < 10; port++ {
			deliver(port, make([]byte, MaxSize))
		}
	}
	if n := f.waiting.Load(); n > maxWaiting || n < maxWaiting-MaxSize {
		t.Errorf("%d bytes wait", n)
	}
	for _, fl := range started {
		f.remove(fl)
	}
	if len(f.flows) > 0 || f.waiting.Load() != 0 {
		t.Errorf("left are %d flows and %d bytes", len(f.flows), f.waiting.Load())
	}
}
