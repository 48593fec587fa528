package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const dnsPort = 53

// raiseLoopback makes the loopback work, and every address of IPv4 one of it: what
// is connected to stays in here, where the rules of redirect find it.
func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("raising the loopback: %w", err)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	route := []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.RTA_OIF, Data: binaryutil.NativeEndian.PutUint32(uint32(lo.Index))},
	})
	if err != nil {
		return err
	}
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_NEWROUTE, Flags: netlink.Request | netlink.Acknowledge | netlink.Create},
		Data:   append(route, attributes...),
	})
	if err != nil {
		return fmt.Errorf("leading all addresses to the loopback: %w", err)
	}
	return nil
}

// redirect leads connections with other machines, and with those ports of this one,
// to a port, and questions about names to the name server in here.
func redirect(port uint16, loopback []uint16) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "okteto"})
	chain := c.AddChain(&nftables.Chain{
		Name: "out", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	add := func(protocol byte, to uint16, conditions ...expr.Any) {
		all := append([]expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(protocol)}, conditions...)
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(all,
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(to)}, &expr.Redir{RegisterProtoMin: 1},
		)})
	}
	// The first byte of the destination's address, and the destination's port.
	address := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 1}
	toPort := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	elsewhere := &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{127}}
	add(unix.IPPROTO_UDP, dnsPort, address, elsewhere, toPort, equal(binary.BigEndian.AppendUint16(nil, dnsPort)...))
	add(unix.IPPROTO_TCP, dnsPort, address, elsewhere, toPort, equal(binary.BigEndian.AppendUint16(nil, dnsPort)...))
	add(unix.IPPROTO_TCP, port, address, elsewhere)
	for _, l := range loopback {
		if l == dnsPort { // the name server in here has it
			continue
		}
		add(unix.IPPROTO_TCP, port, address, equal(127), toPort, equal(binary.BigEndian.AppendUint16(nil, l)...))
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("writing rules of nftables: %w", err)
	}
	return nil
}

// takeDatagrams has the datagrams for other machines delivered to a socket that sees
// where they were meant to go. What answers them is not led anywhere.
func takeDatagrams() (*os.File, error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	f, err := udpSocket(netip.AddrPortFrom(loopback, 0), unix.IP_TRANSPARENT, unix.IP_RECVORIGDSTADDR)
	if err != nil {
		return nil, err
	}
	at, err := unix.Getsockname(int(f.Fd()))
	if err == nil {
		err = proxyDatagrams(uint16(at.(*unix.SockaddrInet4).Port))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func proxyDatagrams(port uint16) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "okteto"})
	chain := c.AddChain(&nftables.Chain{
		Name: "in", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	const original = 0 // IP_CT_DIR_ORIGINAL
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(unix.IPPROTO_UDP),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{127}},
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, equal(original),
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.TProxy{Family: unix.NFPROTO_IPV4, TableFamily: unix.NFPROTO_IPV4, RegPort: 1},
	}})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("writing a rule for UDP: %w", err)
	}
	return nil
}

func equal(data ...byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// ownResolver gives the inside a resolv.conf of its own, and has glibc ask nobody
// but the name server in it. Other files are as they were, mounts to come too.
func ownResolver() error {
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("keeping mounts apart: %w", err)
	}
	const room = "/tmp" // hidden for a moment, in here only
	if err := unix.Mount("tmpfs", room, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("making room for files: %w", err)
	}
	err := cover(room, "/etc/resolv.conf", []byte("nameserver 127.0.0.1\n"))
	if err == nil {
		var services []byte
		services, err = os.ReadFile("/etc/nsswitch.conf")
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		case err == nil:
			err = cover(room, "/etc/nsswitch.conf", hostsByDNS(services))
		}
	}
	return errors.Join(err, unix.Unmount(room, unix.MNT_DETACH))
}

// cover mounts a file with that content over another one.
func cover(room, target string, content []byte) error {
	file := filepath.Join(room, filepath.Base(target))
	if err := os.WriteFile(file, content, 0o644); err != nil {
		return err
	}
	if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("covering %s: %w", target, err)
	}
	return nil
}

// hostsByDNS changes who is asked for hosts in a nsswitch.conf.
func hostsByDNS(services []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(services)) {
		if strings.HasPrefix(strings.TrimSpace(line), "hosts:") {
			line = "hosts: files dns\n"
		}
		out.WriteString(line)
	}
	return []byte(out.String())
}
