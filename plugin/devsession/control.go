package devsession

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

// The control socket lets other commands on the same machine talk to a running
// `up`: one request line, one reply line. It is a unix socket in the user's own
// folder, so that file permissions decide who may.
const (
	requestFlush = "flush"
	replyOK      = "ok"
)

// ErrNoSession means that no `up` runs for the environment on this machine.
var ErrNoSession = errors.New("no session is running on this machine")

// serveControl answers requests until ctx ends.
func serveControl(ctx context.Context, socket string, flush func(context.Context) error) error {
	// A killed session leaves its socket behind; the Lease has already made
	// sure that no other session runs.
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the old control socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("opening the control socket: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			return context.Cause(ctx)
		}
		go func() {
			defer func() { _ = conn.Close() }()
			answerControl(ctx, conn, flush)
		}()
	}
}

func answerControl(ctx context.Context, conn net.Conn, flush func(context.Context) error) {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	reply := "unknown request"
	if strings.TrimSpace(line) == requestFlush {
		reply = replyOK
		if err := flush(ctx); err != nil {
			reply = strings.ReplaceAll(err.Error(), "\n", " ")
		}
	}
	_, _ = fmt.Fprintln(conn, reply)
}

// Flush asks the `up` that runs on this machine to wait until all that was
// saved so far is applied in the pod. It fails with ErrNoSession when there is
// none.
func Flush(ctx context.Context, socket string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return ErrNoSession
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintln(conn, requestFlush); err != nil {
		return fmt.Errorf("asking the running session: %w", err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("asking the running session: %w", err)
	}
	if reply := strings.TrimSpace(line); reply != replyOK {
		return fmt.Errorf("the running session says: %s", reply)
	}
	return nil
}
