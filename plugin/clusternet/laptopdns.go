package clusternet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// laptopPatience is how long one of the laptop's name servers may take, ttl for how
// long an answer of its system counts, which does not say.
const (
	laptopPatience = 4 * time.Second
	ttl            = 30
)

// resolve asks the laptop's name servers, or its system where none is known.
func (d direct) resolve(ctx context.Context, servers []netip.Addr, query []byte, q dnsmessage.Message) ([]byte, error) {
	if len(servers) == 0 {
		return systemAnswer(ctx, q)
	}
	var failed error
	for _, server := range servers {
		reply, err := d.exchange(ctx, net.JoinHostPort(server.String(), "53"), query)
		if err == nil {
			return reply, nil
		}
		failed = err
	}
	return nil, fmt.Errorf("asking this machine's name servers: %w", failed)
}

// exchange asks by a datagram, and over a connection where that is too short.
func (d direct) exchange(ctx context.Context, server string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, laptopPatience)
	defer cancel()
	conn, err := d.dialer.DialContext(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	reply, err := exchangeOver(ctx, conn, query, writeDatagram, func(r io.Reader) ([]byte, error) { return readDatagram(r, query) })
	if err != nil || len(reply) < 3 || reply[2]&truncated == 0 {
		return reply, err
	}
	if conn, err = d.dialer.DialContext(ctx, "tcp", server); err != nil {
		return nil, err
	}
	return exchangeOver(ctx, conn, query, writeMessage, readMessage)
}

// truncated is the bit of a header's third byte that says so.
const truncated = 1 << 1

func writeDatagram(w io.Writer, message []byte) error {
	_, err := w.Write(message)
	return err
}

// readDatagram reads the answer to a query; others are not for it.
func readDatagram(r io.Reader, query []byte) ([]byte, error) {
	buffer := make([]byte, maxMessage)
	for {
		n, err := r.Read(buffer)
		if err != nil {
			return nil, err
		}
		if n >= 12 && string(buffer[:2]) == string(query[:2]) {
			return buffer[:n], nil
		}
	}
}

// exchangeOver asks over a connection, and closes it.
func exchangeOver(ctx context.Context, conn net.Conn, query []byte,
	write func(io.Writer, []byte) error, read func(io.Reader) ([]byte, error),
) ([]byte, error) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := write(conn, query); err != nil {
		return nil, err
	}
	return read(conn)
}

// systemAnswer asks the system, which knows addresses.
func systemAnswer(ctx context.Context, q dnsmessage.Message) ([]byte, error) {
	asked := q.Questions[0]
	network := map[dnsmessage.Type]string{dnsmessage.TypeA: "ip4", dnsmessage.TypeAAAA: "ip6"}[asked.Type]
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, RecursionDesired: q.RecursionDesired, RecursionAvailable: true},
		Questions: q.Questions,
	}
	if network == "" {
		m.RCode = dnsmessage.RCodeNotImplemented
		return m.Pack()
	}
	name := asked.Name.String()
	if strings.Count(name, ".") == 1 {
		name = canonical(name) // such as localhost, which no name server knows
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
	if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound {
		// Whether there is another kind of address it does not say.
		return m.Pack()
	}
	if err != nil {
		return nil, fmt.Errorf("asking this machine for an address: %w", err)
	}
	for _, a := range addresses {
		header := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: dnsmessage.ClassINET, TTL: ttl}
		var body dnsmessage.ResourceBody = &dnsmessage.AAAAResource{AAAA: a.As16()}
		if asked.Type == dnsmessage.TypeA {
			body = &dnsmessage.AResource{A: a.Unmap().As4()}
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	return m.Pack()
}

// reverse is the name that stands for an address (RFC 1035, section 3.5, and RFC
// 3596), without the dot at its end.
func reverse(a netip.Addr) string {
	var labels []string
	bytes := a.AsSlice()
	for i := len(bytes) - 1; i >= 0; i-- {
		if a.Is4() {
			labels = append(labels, strconv.Itoa(int(bytes[i])))
		} else {
			labels = append(labels, strconv.FormatInt(int64(bytes[i]&15), 16), strconv.FormatInt(int64(bytes[i]>>4), 16))
		}
	}
	if a.Is4() {
		return strings.Join(labels, ".") + ".in-addr.arpa"
	}
	return strings.Join(labels, ".") + ".ip6.arpa"
}

// reversed is the address that a name stands for.
func reversed(name string) (netip.Addr, bool) {
	name = canonical(name)
	if text, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(text, ".")
		for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
			labels[i], labels[j] = labels[j], labels[i]
		}
		a, err := netip.ParseAddr(strings.Join(labels, "."))
		return a, err == nil && a.Is4()
	}
	text, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok {
		return netip.Addr{}, false
	}
	labels := strings.Split(text, ".")
	if len(labels) != 32 {
		return netip.Addr{}, false
	}
	var bytes [16]byte
	for i, label := range labels {
		n, err := strconv.ParseUint(label, 16, 4)
		if err != nil {
			return netip.Addr{}, false
		}
		at := 15 - i/2
		bytes[at] |= byte(n) << (4 * (i % 2))
	}
	return netip.AddrFrom16(bytes), true
}
