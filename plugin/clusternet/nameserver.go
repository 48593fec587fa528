package clusternet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sync/errgroup"
)

const (
	// maxMessage bounds a message of DNS (RFC 1035, section 4.2.2), udpSize one
	// in a datagram, unless its client says otherwise (RFC 6891).
	maxMessage = 65535
	udpSize    = 512
	// maxQueries bounds what is answered at once.
	maxQueries = 256
	// idleTimeout is how long a connection may be silent.
	idleTimeout = 30 * time.Second
)

// nameServer is a server of DNS on one port of the loopback, for UDP and TCP.
type nameServer struct {
	packets net.PacketConn
	stream  net.Listener
	// answer answers a message; nil is silence.
	answer func(ctx context.Context, query []byte) []byte
}

// listenDNS finds a port that is free for both.
func listenDNS(ctx context.Context) (*nameServer, error) {
	const tries = 8
	var lc net.ListenConfig
	var failed error
	for range tries {
		stream, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		packets, err := lc.ListenPacket(ctx, "udp4", stream.Addr().String())
		if err == nil {
			return &nameServer{packets: packets, stream: stream}, nil
		}
		_ = stream.Close()
		failed = err
	}
	return nil, failed
}

func (s *nameServer) address() string { return s.stream.Addr().String() }

func (s *nameServer) close() error { return errors.Join(s.packets.Close(), s.stream.Close()) }

// serve answers until ctx ends, or one of the two, then closes both.
func (s *nameServer) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _ = s.close() })()
	group.Go(func() error { return s.serveUDP(ctx) })
	group.Go(func() error { return s.serveTCP(ctx) })
	return group.Wait()
}

// serveUDP answers datagrams.
func (s *nameServer) serveUDP(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(maxQueries)
	defer func() { _ = group.Wait() }()
	buffer := make([]byte, maxMessage)
	for {
		n, peer, err := s.packets.ReadFrom(buffer)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("receiving questions about names: %w", err)
		}
		query := append([]byte(nil), buffer[:n]...)
		group.Go(func() error {
			if reply := s.answer(ctx, query); reply != nil {
				_, _ = s.packets.WriteTo(fit(reply, query), peer)
			}
			return nil
		})
	}
}

// serveTCP answers what comes over connections.
func (s *nameServer) serveTCP(ctx context.Context) error {
	var group errgroup.Group
	defer func() { _ = group.Wait() }()
	for {
		conn, err := s.stream.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("accepting questions about names: %w", err)
		}
		group.Go(func() error {
			defer func() { _ = conn.Close() }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			for {
				_ = conn.SetReadDeadline(time.Now().Add(idleTimeout))
				query, err := readMessage(conn)
				if err != nil {
					return nil
				}
				reply := s.answer(ctx, query)
				if reply == nil || writeMessage(conn, reply) != nil {
					return nil
				}
			}
		})
	}
}

// readMessage reads a message after its length, as TCP has it.
func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeMessage(w io.Writer, message []byte) error {
	if len(message) > maxMessage {
		return fmt.Errorf("a message of %d bytes is too long", len(message))
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

// fit cuts a reply to what its client takes in a datagram: the client asks again
// over TCP then.
func fit(reply, query []byte) []byte {
	if len(reply) <= udpSize {
		return reply
	}
	var asked, m dnsmessage.Message
	if asked.Unpack(query) != nil {
		return nil
	}
	for _, r := range asked.Additionals {
		if r.Header.Type == dnsmessage.TypeOPT && len(reply) <= int(r.Header.Class) {
			return reply
		}
	}
	if m.Unpack(reply) != nil {
		return nil
	}
	m.Truncated = true
	m.Answers, m.Authorities, m.Additionals = nil, nil, nil
	short, err := m.Pack()
	if err != nil {
		return nil
	}
	return short
}
