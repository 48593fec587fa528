package netns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// controlFD is the far end of a room's socket, in whoever is inside.
const controlFD = 3

// cannotRun is the exit status of shells for what cannot be run.
const cannotRun = 126

// Main is this program under the name Role. It becomes the process of the room, and
// returns an exit status only where it cannot.
func Main(args []string, stderr io.Writer) int {
	signal.Reset() // those of this program in its usual role
	control := os.NewFile(controlFD, "control")
	switch args[0] {
	case roleKeeper:
		return keep(control)
	case roleProbe:
		return 0
	}
	// Rights belong to threads, and the thread that ends this program keeps its.
	runtime.LockOSThread()
	var t task
	err := json.Unmarshal([]byte(args[0]), &t)
	var files []*os.File
	if err == nil {
		files, err = prepare(t.Plan)
	}
	var keeper int
	if err == nil {
		keeper, err = startKeeper(control)
	}
	said := report{Keeper: keeper}
	if err != nil {
		said = report{Error: err.Error(), Forbidden: errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)}
	}
	if send(control, said, files...) != nil || err != nil {
		return cannotRun
	}
	closeAll(append(files, control))
	err = syscall.Exec(t.Path, t.Argv, os.Environ())
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", t.Argv[0], err)
	return cannotRun
}

// prepare makes of a fresh namespace one whose traffic arrives at three sockets, or
// four.
func prepare(plan Plan) ([]*os.File, error) {
	if err := raiseLoopback(); err != nil {
		return nil, err
	}
	// Where the kernel is older, ports below 1024 stay root's.
	_ = os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
	connections, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	namesTCP, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: dnsPort})
	if err != nil {
		return nil, err
	}
	names, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: dnsPort})
	if err != nil {
		return nil, err
	}
	redirectTo := uint16(connections.Addr().(*net.TCPAddr).Port)
	if err := redirect(redirectTo, plan.Loopback); err != nil {
		return nil, err
	}
	if err := ownResolver(); err != nil {
		return nil, err
	}
	var files []*os.File
	for _, socket := range []interface{ File() (*os.File, error) }{connections, namesTCP, names} {
		f, err := socket.File()
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	// Where the kernel cannot do it, UDP goes nowhere.
	if f, err := takeDatagrams(); err == nil {
		files = append(files, f)
	}
	return files, errors.Join(connections.Close(), namesTCP.Close(), names.Close())
}

// startKeeper starts the keeper as a child of this program's own parent: whatever
// this one becomes has no child that it does not know. Neither has the rights of
// the preparation.
func startKeeper(control *os.File) (int, error) {
	if os.Geteuid() != 0 {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return 0, fmt.Errorf("giving rights up: %w", err)
		}
	}
	p, err := os.StartProcess("/proc/self/exe", []string{Role, roleKeeper}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{nil, nil, nil, control}, Env: []string{},
		// The signals of the terminal are not for it.
		Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT, Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the keeper of the namespace: %w", err)
	}
	pid := p.Pid
	return pid, p.Release()
}

// keep connects as it is asked to, until nobody is there to ask.
func keep(control *os.File) int {
	signal.Ignore(unix.SIGINT, unix.SIGHUP)
	for {
		var asked dialRequest
		files, err := receive(control, &asked)
		closeAll(files)
		if err != nil {
			return 0
		}
		var reply dialReply
		f, err := answerFile(asked)
		var errno syscall.Errno
		switch {
		case err == nil:
			files = []*os.File{f}
		case errors.As(err, &errno):
			reply.Errno = uintptr(errno)
		default:
			reply.Error = err.Error()
		}
		err = send(control, reply, files...)
		closeAll(files)
		if err != nil {
			return 0
		}
	}
}

// answerFile connects within the namespace, where everything is near, or opens a
// socket.
func answerFile(r dialRequest) (*os.File, error) {
	if r.Bind {
		at, err := netip.ParseAddrPort(r.Address)
		if err != nil {
			return nil, err
		}
		return udpSocket(at)
	}
	conn, err := net.DialTimeout(r.Network, r.Address, time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	f, ok := conn.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("%T has no file", conn)
	}
	return f.File()
}
