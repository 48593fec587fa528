package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxSources bounds the sockets from which datagrams are answered.
const maxSources = 256

// flow is where a datagram came from, and where it was meant to go.
type flow struct{ from, to netip.AddrPort }

// Network implements net.Addr.
func (f flow) Network() string { return "udp" }

// String implements net.Addr.
func (f flow) String() string { return f.from.String() + " to " + f.to.String() }

// datagramDestination is where the datagrams of a peer were meant to go.
func datagramDestination(peer net.Addr) string {
	f, ok := peer.(flow)
	if !ok {
		return peer.String()
	}
	return f.to.String()
}

// datagrams receives what is sent to other machines. Its peers are flows; what is
// written to one comes from where its datagrams were meant to go.
type datagrams struct {
	*net.UDPConn
	// bind opens a socket with an address of the inside.
	bind func(netip.AddrPort) (net.PacketConn, error)

	mu      sync.Mutex
	sources map[netip.AddrPort]net.PacketConn
}

// ReadFrom implements net.PacketConn.
func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	control := make([]byte, unix.CmsgSpace(unix.SizeofSockaddrInet4))
	n, cn, _, from, err := d.ReadMsgUDPAddrPort(b, control)
	if err != nil {
		return 0, nil, err
	}
	to, err := originalDestination(control[:cn])
	return n, flow{from, to}, err
}

// originalDestination reads the control message of IP_RECVORIGDSTADDR.
func originalDestination(control []byte) (netip.AddrPort, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_ORIGDSTADDR && len(m.Data) >= 8 {
			return inetAddress(m.Data), nil
		}
	}
	return netip.AddrPort{}, errors.New("a datagram came without its destination")
}

// inetAddress reads the beginning of a sockaddr_in.
func inetAddress(b []byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), uint16(b[2])<<8|uint16(b[3]))
}

// WriteTo implements net.PacketConn.
func (d *datagrams) WriteTo(b []byte, peer net.Addr) (int, error) {
	f, ok := peer.(flow)
	if !ok {
		return 0, fmt.Errorf("%s is no flow", peer)
	}
	source, err := d.source(f.to)
	if err != nil {
		return 0, err
	}
	return source.WriteTo(b, net.UDPAddrFromAddrPort(f.from))
}

// source is the socket that has an address.
func (d *datagrams) source(at netip.AddrPort) (net.PacketConn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sources[at]; s != nil {
		return s, nil
	}
	if len(d.sources) >= maxSources {
		d.closeSources()
	}
	s, err := d.bind(at)
	if err == nil {
		d.sources[at] = s
	}
	return s, err
}

func (d *datagrams) closeSources() {
	for at, s := range d.sources {
		_ = s.Close()
		delete(d.sources, at)
	}
}

// Close implements net.PacketConn.
func (d *datagrams) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closeSources()
	return d.UDPConn.Close()
}

// udpSocket opens a socket with options of IP.
func udpSocket(at netip.AddrPort, options ...int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "udp")
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	for _, o := range options {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_IP, o, 1))
	}
	err = errors.Join(err, unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
