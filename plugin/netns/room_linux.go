package netns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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
	case len(files) != 3:
		return fmt.Errorf("preparing a network namespace: %d files came", len(files))
	}
	e := Entrances{Destination: destination}
	if e.Connections, err = net.FileListener(files[0]); err == nil {
		if e.NamesTCP, err = net.FileListener(files[1]); err == nil {
			e.Names, err = net.FilePacketConn(files[2])
		}
	}
	if err != nil {
		return fmt.Errorf("preparing a network namespace: %w", err)
	}
	r.dialing.Lock()
	r.entrances, r.keeper = e, said.Keeper
	r.dialing.Unlock()
	r.entered(e)
	return nil
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
	r.dialing.Lock()
	defer r.dialing.Unlock()
	failed := func(err error) error { return &net.OpError{Op: "dial", Net: network, Err: err} }
	if r.closed || ctx.Err() != nil {
		return nil, failed(unix.ECONNREFUSED)
	}
	if err := send(r.near, dialRequest{network, address}); err != nil {
		return nil, failed(unix.ECONNREFUSED) // it ended with the process
	}
	var reply dialReply
	files, err := receive(r.near, &reply)
	defer closeAll(files)
	switch {
	case err != nil:
		return nil, failed(unix.ECONNREFUSED)
	case reply.Errno != 0:
		return nil, failed(syscall.Errno(reply.Errno))
	case len(files) != 1:
		return nil, failed(errors.New(reply.Error))
	}
	return net.FileConn(files[0])
}

// Close ends the room, after its process.
func (r *Room) Close() {
	if r == nil {
		return
	}
	r.dialing.Lock()
	defer r.dialing.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	_, _ = r.near.Close(), r.far.Close()
	if r.keeper == 0 {
		return
	}
	_ = r.entrances.Close()
	// It ends with its connection to us.
	for {
		if _, err := unix.Wait4(r.keeper, nil, 0, nil); !errors.Is(err, unix.EINTR) {
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
			b := m.Multiaddr
			address = net.JoinHostPort(net.IP(b[4:8]).String(), fmt.Sprint(int(b[2])<<8|int(b[3])))
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
