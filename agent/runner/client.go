//go:build linux

package runner

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
)

// ErrGone means that the runner ended while a session was running or about to
// start: the dev container crashed, was killed for its memory, or is being
// restarted.
var ErrGone = errors.New("the dev container stopped")

// Client reaches the runner of the dev container.
type Client struct {
	// Dir is the folder of the runner's socket.
	Dir string
	// Wait is how long to wait for a runner that is not there, because its
	// container is being started; 0 means that it must be there.
	Wait time.Duration
}

// Streams are the ends of a session at the client.
type Streams struct {
	// Stdin is read until its end. A read may still be under way when Run
	// returns.
	Stdin io.Reader
	// Stdout and Stderr get the output; with a terminal all goes to Stdout.
	Stdout, Stderr io.Writer
	// Signals are names of signals without SIG. Nil means none.
	Signals <-chan string
	// Sizes are the changes of the terminal's size. Nil means none.
	Sizes <-chan Size
}

// dial connects and reads the hello.
func (c *Client) dial(ctx context.Context) (*net.UnixConn, Hello, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, Hello{}, fmt.Errorf("reaching the dev container: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	hello, err := readHello(conn)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, Hello{}, fmt.Errorf("reading the runner's hello: %w", asGone(err))
	}
	return conn, hello, nil
}

// asGone returns ErrGone for what the end of the runner does to a connection,
// whenever it comes.
func asGone(err error) error {
	if ignoreClosed(err) == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrGone
	}
	return err
}

// connect waits for the socket. It looks for it instead of watching the
// folder: a look costs microseconds and the wait is short.
func (c *Client) connect(ctx context.Context) (*net.UnixConn, error) {
	waited, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	addr := &net.UnixAddr{Name: filepath.Join(c.Dir, SocketName), Net: "unix"}
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		conn, err := net.DialUnix("unix", nil, addr)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
		select {
		case <-waited.Done():
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, errors.New("it is not running")
		case <-time.After(pause):
		}
	}
}

func readHello(conn net.Conn) (Hello, error) {
	t, payload, err := readFrame(conn)
	if err != nil {
		return Hello{}, err
	}
	var h Hello
	if err := frame.Decode(t, FrameHello, payload, &h); err != nil {
		return Hello{}, err
	}
	if h.Protocol != ProtocolVersion {
		return Hello{}, fmt.Errorf("the runner speaks protocol %d, this agent %d: recreate the pod", h.Protocol, ProtocolVersion)
	}
	return h, nil
}

// Watch connects to the runner, calls up with its hello and returns when the
// runner has ended: at once, because the kernel closes its connections.
func (c *Client) Watch(ctx context.Context, up func(Hello)) error {
	conn, hello, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	up(hello)
	var end [1]byte
	if _, err := conn.Read(end[:]); ctx.Err() == nil {
		return ignoreClosed(err)
	}
	return context.Cause(ctx)
}

// DialUnix connects to a unix socket of the dev container.
func (c *Client) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	conn, f, _, err := c.socket(ctx, FrameDial, path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer f.Close()
	return net.FileConn(f)
}

// ListenUnix listens on a unix socket of the dev container; an empty path
// means a new one that only the container's user can reach. The address of
// the listener is its path there; closing it removes the path.
func (c *Client) ListenUnix(ctx context.Context, path string) (net.Listener, error) {
	conn, f, s, err := c.socket(ctx, FrameListen, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &remoteListener{Listener: l, lease: conn, path: s.Path}, nil
}

// socket sends a request that is answered with a socket.
func (c *Client) socket(ctx context.Context, t FrameType, path string) (*net.UnixConn, *os.File, Socket, error) {
	conn, _, err := c.dial(ctx)
	if err != nil {
		return nil, nil, Socket{}, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	f, s, err := requestSocket(conn, t, path)
	if err != nil {
		conn.Close()
		return nil, nil, Socket{}, err
	}
	return conn, f, s, nil
}

func requestSocket(conn *net.UnixConn, t FrameType, path string) (*os.File, Socket, error) {
	b, err := message(t, Socket{Path: path})
	if err != nil {
		return nil, Socket{}, err
	}
	if _, err := conn.Write(b); err != nil {
		return nil, Socket{}, err
	}
	return receiveSocket(conn)
}

// Mounts writes how mounts of the dev container are, and again at each change, as
// the protocol of agent/mounts has it, until the context or the runner ends.
func (c *Client) Mounts(ctx context.Context, asked mounts.Request, out io.Writer) error {
	conn, _, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	b, err := message(FrameMounts, asked)
	if err != nil {
		return err
	}
	if _, err := conn.Write(b); err != nil {
		return fmt.Errorf("asking for mounts: %w", asGone(err))
	}
	_, err = io.Copy(out, conn)
	return ignoreClosed(err)
}

// remoteListener is a listener that the runner opened. The runner removes its
// path when the lease ends.
type remoteListener struct {
	net.Listener
	lease net.Conn
	path  string
}

// Addr returns the address in the dev container.
func (l *remoteListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening and has the path removed.
func (l *remoteListener) Close() error {
	return errors.Join(l.Listener.Close(), l.lease.Close())
}

// Run runs a process until it has ended and all its output is written, and
// returns how it ended. When the context ends first, the runner hangs the
// process up.
func (c *Client) Run(ctx context.Context, start Start, streams Streams) (Exit, error) {
	conn, _, err := c.dial(ctx)
	if err != nil {
		return Exit{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	b, err := message(FrameStart, start)
	if err != nil {
		return Exit{}, err
	}
	if _, err := conn.Write(b); err != nil {
		return Exit{}, fmt.Errorf("starting a process: %w", asGone(err))
	}
	s := &clientSession{conn: conn, credit: make(chan int, 1), done: make(chan struct{})}
	go s.sendStdin(streams.Stdin)
	go s.sendEvents(streams)
	defer close(s.done)
	exit, err := s.receive(streams)
	if ctx.Err() != nil {
		return Exit{}, context.Cause(ctx)
	}
	return exit, err
}

// clientSession is the client's end of a session.
type clientSession struct {
	conn net.Conn
	// credit carries what the runner gave back and nobody has used yet.
	credit chan int
	done   chan struct{}
	write  sync.Mutex
}

// receive writes the output until the process has ended.
func (s *clientSession) receive(streams Streams) (Exit, error) {
	in := bufio.NewReaderSize(s.conn, MaxData)
	for {
		t, payload, err := readFrame(in)
		if err != nil {
			return Exit{}, asGone(err)
		}
		switch t {
		case FrameStdout:
			_, err = streams.Stdout.Write(payload)
		case FrameStderr:
			_, err = streams.Stderr.Write(payload)
		case FrameCredit:
			if len(payload) == 4 {
				s.addCredit(int(min(binary.BigEndian.Uint32(payload), StdinWindow)))
			}
		case FrameExit:
			var exit Exit
			err = frame.Decode(t, FrameExit, payload, &exit)
			return exit, err
		default:
			err = fmt.Errorf("unexpected frame %d", t)
		}
		if err != nil {
			return Exit{}, err
		}
	}
}

// addCredit adds to what the channel holds. Only receive calls it, so that the
// channel has room after it was emptied.
func (s *clientSession) addCredit(n int) {
	select {
	case old := <-s.credit:
		n += old
	default:
	}
	s.credit <- n
}

// sendStdin sends standard input as far as the window allows.
func (s *clientSession) sendStdin(stdin io.Reader) {
	buf := make([]byte, frame.HeaderSize+MaxData)
	for window := StdinWindow; ; {
		n, err := stdin.Read(buf[frame.HeaderSize:])
		for window < n {
			select {
			case more := <-s.credit:
				window += more
			case <-s.done:
				return
			}
		}
		window -= n
		if n > 0 {
			frame.Put(buf, FrameStdin, n)
			if s.send(buf[:frame.HeaderSize+n]) != nil {
				return
			}
		}
		if err != nil {
			_ = s.send(frame.New(FrameStdinEOF, nil))
			return
		}
	}
}

// sendEvents sends signals and changes of the terminal's size.
func (s *clientSession) sendEvents(streams Streams) {
	for {
		var b []byte
		select {
		case name, ok := <-streams.Signals:
			if !ok {
				streams.Signals = nil
				continue
			}
			b = frame.New(FrameSignal, []byte(name))
		case size, ok := <-streams.Sizes:
			if !ok {
				streams.Sizes = nil
				continue
			}
			var err error
			if b, err = message(FrameWindow, size); err != nil {
				return
			}
		case <-s.done:
			return
		}
		if s.send(b) != nil {
			return
		}
	}
}

func (s *clientSession) send(b []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	_, err := s.conn.Write(b)
	return err
}
