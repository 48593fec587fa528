package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
)

// Listen opens the socket of a session. Its folder becomes the user's alone. A
// socket that is there already is replaced: a killed session leaves its own
// behind, and who may have a session is decided elsewhere.
func Listen(ctx context.Context, socket string) (net.Listener, error) {
	if len(socket) > MaxSocket {
		return nil, fmt.Errorf("the path of the control socket has %d bytes, at most %d are possible: set OKTETO_FOLDER to a shorter one",
			len(socket), MaxSocket)
	}
	if err := private(filepath.Dir(socket)); err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the old control socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	own := &listener{Listener: l, socket: socket}
	if unix, ok := l.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the control socket: %w", err), own.Close())
	}
	if own.made, err = os.Lstat(socket); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the control socket: %w", err), own.Close())
	}
	return own, nil
}

// private makes a folder the user's alone.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || openToOthers(info) == 0 {
		return err
	}
	return os.Chmod(dir, info.Mode().Perm()&^0o077)
}

// openToOthers returns the permission bits that others have.
func openToOthers(info fs.FileInfo) fs.FileMode {
	if runtime.GOOS == "windows" {
		return 0 // there the bits say nothing
	}
	return info.Mode().Perm() & 0o077
}

// listener removes its socket at the end, unless a newer session has put its
// own there.
type listener struct {
	net.Listener
	socket string
	made   fs.FileInfo
}

// Close stops listening.
func (l *listener) Close() error {
	err := l.Listener.Close()
	if now, statErr := os.Lstat(l.socket); statErr == nil && l.made != nil && os.SameFile(l.made, now) {
		err = errors.Join(err, os.Remove(l.socket))
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// dial connects to the socket of a session.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	if info, err := os.Lstat(socket); err == nil && info.Mode()&fs.ModeSocket != 0 && openToOthers(info) != 0 {
		return nil, fmt.Errorf("the control socket %s is open to other users: its mode is %v", socket, info.Mode().Perm())
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("connecting to the running session: %w", err)
	default:
		return nil, ErrNoSession
	}
}
