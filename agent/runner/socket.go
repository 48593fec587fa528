//go:build linux

package runner

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// fileSource is a socket that can hand out its file descriptor.
type fileSource interface{ File() (*os.File, error) }

// serveDial connects to a unix socket of the dev container for the client.
func (r *Runner) serveDial(conn *net.UnixConn, s Socket) error {
	target, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.absolute(s.Path), Net: "unix"})
	if err != nil {
		return fail(conn, err)
	}
	defer target.Close()
	return sendSocket(conn, s, target)
}

// serveListen listens on a unix socket of the dev container for the client,
// until the client closes the connection.
func (r *Runner) serveListen(conn *net.UnixConn, s Socket) error {
	remove := func() {}
	if s.Path == "" {
		dir := filepath.Join(r.dir, "ssh-"+rand.Text()[:10])
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fail(conn, err)
		}
		remove = func() { _ = os.RemoveAll(dir) }
		s.Path = filepath.Join(dir, "agent.sock")
	}
	defer func() { remove() }()
	s.Path = r.absolute(s.Path)
	l, err := listenUnix(s.Path, 0o600)
	if err != nil {
		return fail(conn, err)
	}
	defer l.Close()
	if err := sendSocket(conn, s, l); err != nil {
		return err
	}
	// The client owns the socket now. It sends nothing more: what comes is the
	// end of the connection.
	var end [1]byte
	_, err = conn.Read(end[:])
	return ignoreClosed(err)
}

// absolute resolves a path as a process of the dev container would.
func (r *Runner) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.hello.Workdir, path)
}

// listenUnix listens on a path. A socket that nobody listens on any more is
// replaced. Closing the listener removes the path.
func listenUnix(path string, mode os.FileMode) (*net.UnixListener, error) {
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	l, err := net.ListenUnix("unix", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		c, dialErr := net.DialUnix("unix", nil, addr)
		if dialErr == nil {
			c.Close()
			return nil, err
		}
		info, statErr := os.Lstat(path)
		if !errors.Is(dialErr, syscall.ECONNREFUSED) || statErr != nil || info.Mode().Type() != os.ModeSocket {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing a stale socket: %w", err)
		}
		l, err = net.ListenUnix("unix", addr)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// sendSocket answers with a socket as a file descriptor.
func sendSocket(conn *net.UnixConn, s Socket, source fileSource) error {
	f, err := source.File()
	if err != nil {
		return fail(conn, err)
	}
	defer f.Close()
	b, err := message(FrameSocket, s)
	if err != nil {
		return err
	}
	_, _, err = conn.WriteMsgUnix(b, unix.UnixRights(int(f.Fd())), nil)
	return err
}

// receiveSocket reads the answer to Dial or Listen. The reader must not have
// read ahead: the descriptor travels with the first byte of the frame.
func receiveSocket(conn *net.UnixConn) (*os.File, Socket, error) {
	var h [frame.HeaderSize]byte
	oob := make([]byte, unix.CmsgSpace(4))
	_, oobn, _, _, err := conn.ReadMsgUnix(h[:1], oob)
	if err != nil {
		return nil, Socket{}, err
	}
	f, err := parseRights(oob[:oobn])
	if err != nil {
		return nil, Socket{}, err
	}
	s, err := readSocket(conn, h, f != nil)
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, Socket{}, err
	}
	return f, s, nil
}

func readSocket(conn *net.UnixConn, h [frame.HeaderSize]byte, rights bool) (Socket, error) {
	if _, err := io.ReadFull(conn, h[1:]); err != nil {
		return Socket{}, err
	}
	t, payload, err := frame.ReadPayload(conn, h, payloadLimit)
	if err != nil {
		return Socket{}, err
	}
	if t == FrameFailed {
		var failure Failure
		if err := frame.Decode(t, FrameFailed, payload, &failure); err != nil {
			return Socket{}, err
		}
		return Socket{}, errors.New(failure.Message)
	}
	var s Socket
	if err := frame.Decode(t, FrameSocket, payload, &s); err != nil {
		return Socket{}, err
	}
	if !rights {
		return Socket{}, errors.New("the runner's answer carries no socket")
	}
	return s, nil
}

// parseRights returns the one file descriptor of a control message; nil when
// there is none.
func parseRights(oob []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, err
	}
	for _, fd := range fds[1:] {
		_ = unix.Close(fd)
	}
	return os.NewFile(uintptr(fds[0]), "socket"), nil
}

func fail(conn net.Conn, reason error) error {
	b, err := message(FrameFailed, Failure{Message: reason.Error()})
	if err != nil {
		return err
	}
	_, err = conn.Write(b)
	return err
}
