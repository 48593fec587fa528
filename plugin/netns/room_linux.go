package netns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxMessage bounds a message between the two sides, maxFiles the files in it.
const (
	maxMessage = 64 << 10
	maxFiles   = 8
)

// Room is a namespace for one process.
type Room struct {
	plan      Plan
	near, far *os.File
	entered   func(Entrances)

	// dialing is held while the keeper is asked for something.
	dialing   sync.Mutex
	entrances Entrances
	keeper    int
	closed    bool
}

// New makes a room for a process that is not started yet. entered is called with
// the entrances, which Close closes.
func New(plan Plan, entered func(Entrances)) (*Room, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a namespace: %w", err)
	}
	return &Room{plan: plan, entered: entered, near: os.NewFile(uintptr(pair[0]), "near"), far: os.NewFile(uintptr(pair[1]), "far")}, nil
}

// Enter says what to start in the place of a process, and how: this program, which
// becomes the process in the room. No room changes nothing.
func (r *Room) Enter(path string, argv []string, attr *os.ProcAttr) (string, []string, error) {
	if r == nil {
		return path, argv, nil
	}
	text, err := json.Marshal(task{Plan: r.plan, Path: path, Argv: argv})
	if err != nil {
		return "", nil, fmt.Errorf("making a namespace: %w", err)
	}
	attr.Files = append(attr.Files, r.far)
	attr.Sys = attributes()
	return "/proc/self/exe", []string{Role, string(text)}, nil
}

// attributes are those of a process that make namespaces. Whoever is root needs no
// user namespace, and has more rights outside of one.
func attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		// A program that is not root's would lose them.
		attr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_ADMIN}
	}
	return attr
}

// Started awaits that the room is ready, after its process was started.
func (r *Room) Started() error {
	if r == nil {
		return nil
	}
	_ = r.far.Close()
	var said report
	files, err := receive(r.near, &said)
	if err != nil {
		return fmt.Errorf("preparing a network namespace: %w", err)
	}
	defer closeAll(files)
	switch {
	case said.Forbidden:
		return fmt.Errorf("%w: %s", ErrForbidden, said.Error)
	case said.Error != "":
		return fmt.Errorf("preparing a network namespace: %s", said.Error)
	case len(files) < 3:
		return fmt.Errorf("preparing a network namespace: %d files came", len(files))
	}
	e, err := r.open(files)
	if err != nil {
		return fmt.Errorf("preparing a network namespace: %w", err)
	}
	r.dialing.Lock()
	r.entrances, r.keeper = e, said.Keeper
	r.dialing.Unlock()
	r.entered(e)
	return nil
}

// open makes the entrances of the files that came.
func (r *Room) open(files []*os.File) (e Entrances, err error) {
	e = Entrances{Destination: destination, DatagramDestination: datagramDestination}
	if e.Connections, err = net.FileListener(files[0]); err != nil {
		return e, err
	}
	if e.NamesTCP, err = net.FileListener(files[1]); err != nil {
		return e, err
	}
	if e.Names, err = net.FilePacketConn(files[2]); err != nil || len(files) == 3 {
		return e, err
	}
	c, err := net.FilePacketConn(files[3])
	if err != nil {
		return e, err
	}
	if udp, ok := c.(*net.UDPConn); ok {
		e.Datagrams = &datagrams{UDPConn: udp, bind: r.bind, sources: map[netip.AddrPort]net.PacketConn{}}
	}
	return e, nil
}

// Refused says what it means that a process could not be started in the room.
func (r *Room) Refused(err error) error {
	if r == nil {
		return err
	}
	for _, sign := range []error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS} {
		if errors.Is(err, sign) {
			return fmt.Errorf("%w: %w", ErrForbidden, err)
		}
	}
	return err
}

// Probe tells whether there can be rooms, by making one.
func Probe() error {
	r, err := New(Plan{}, func(Entrances) {})
	if err != nil {
		return err
	}
	defer r.Close()
	attr := &os.ProcAttr{Files: make([]*os.File, controlFD), Env: []string{}}
	path, argv, err := r.Enter("/proc/self/exe", []string{Role, roleProbe}, attr)
	if err != nil {
		return err
	}
	p, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return r.Refused(err)
	}
	err = r.Started()
	_, failed := p.Wait()
	return errors.Join(err, failed)
}

// Dial connects inside.
func (r *Room) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	f, err := r.ask(dialRequest{Network: network, Address: address})
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	defer func() { _ = f.Close() }()
	return net.FileConn(f)
}

// bind opens a socket of UDP that has an address inside.
func (r *Room) bind(at netip.AddrPort) (net.PacketConn, error) {
	f, err := r.ask(dialRequest{Address: at.String(), Bind: true})
	if err != nil {
		return nil, fmt.Errorf("answering from %s: %w", at, err)
	}
	defer func() { _ = f.Close() }()
	return net.FilePacketConn(f)
}

// ask asks the keeper, which is gone with the process.
func (r *Room) ask(request dialRequest) (*os.File, error) {
	r.dialing.Lock()
	defer r.dialing.Unlock()
	if r.closed || send(r.near, request) != nil {
		return nil, unix.ECONNREFUSED
	}
	var reply dialReply
	files, err := receive(r.near, &reply)
	switch {
	case err != nil:
		return nil, unix.ECONNREFUSED
	case reply.Errno != 0:
		err = syscall.Errno(reply.Errno)
	case len(files) != 1:
		err = errors.New(reply.Error)
	default:
		return files[0], nil
	}
	closeAll(files)
	return nil, err
}

// Close ends the room, after its process.
func (r *Room) Close() {
	if r == nil {
		return
	}
	r.dialing.Lock()
	closed, keeper := r.closed, r.keeper
	r.closed = true
	r.dialing.Unlock()
	if closed {
		return
	}
	_, _ = r.near.Close(), r.far.Close()
	if keeper == 0 {
		return
	}
	_ = r.entrances.Close()
	// It ends with its connection to us.
	for {
		if _, err := unix.Wait4(keeper, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// destination is what a connection was meant for before a rule led it here.
func destination(conn net.Conn) (string, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return "", fmt.Errorf("%T is no connection of TCP", conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return "", err
	}
	var address string
	var failed error
	err = raw.Control(func(fd uintptr) {
		// As long as a sockaddr_in: its port and address come first.
		var m *unix.IPv6Mreq
		if m, failed = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST); failed == nil {
			address = inetAddress(m.Multiaddr[:]).String()
		}
	})
	return address, errors.Join(err, failed)
}

// send sends a message with files.
func send(socket *os.File, message any, files ...*os.File) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	fds := make([]int, 0, len(files))
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	return unix.Sendmsg(int(socket.Fd()), text, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
}

// receive receives a message with its files.
func receive(socket *os.File, message any) ([]*os.File, error) {
	text := make([]byte, maxMessage)
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	var n, rn int
	var err error
	for {
		n, rn, _, _, err = unix.Recvmsg(int(socket.Fd()), text, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil && n == 0 {
		err = errors.New("the other side is gone")
	}
	if err != nil {
		return nil, err
	}
	files, err := filesOf(rights[:rn])
	if err == nil {
		err = json.Unmarshal(text[:n], message)
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, failed := unix.ParseUnixRights(&m)
		err = errors.Join(err, failed)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
