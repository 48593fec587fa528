//go:build linux

// Package sshd is the SSH server of the sidecar, the one door into a
// development container.
//
// It authenticates public keys and nothing else, and any user name: who may
// log in is whoever the pod was made for. Sessions, SFTP and unix sockets are
// served in the dev container through a Runner; TCP forwards by the sidecar
// itself, which shares the network of the pod; further subsystems by whoever
// made the server.
package sshd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

const (
	// loginGrace is how long a client has to authenticate.
	loginGrace = 30 * time.Second
	// runnerGrace is how long a session waits for a dev container that is
	// being started.
	runnerGrace = 10 * time.Second
)

// Runner runs things in the dev container.
type Runner interface {
	// Run runs a command until it has ended and all its output is written.
	// When the context ends first it hangs the command up. An error means
	// that the end of the command is not known. Run may still read standard
	// input when it returns.
	Run(ctx context.Context, c Command, s Streams) (Exit, error)
	// Attach lets a client speak to the dev container about sessions that
	// outlive connections, until either ends. The environment is for a process
	// that the client starts. The context bounds only the start.
	Attach(ctx context.Context, env []string, client io.ReadWriter) error
	// DialUnix connects to a unix socket of the dev container.
	DialUnix(ctx context.Context, path string) (net.Conn, error)
	// ListenUnix listens on a unix socket of the dev container, a new one of
	// its user's own when the path is empty.
	ListenUnix(ctx context.Context, path string) (net.Listener, error)
}

// Command is what a session runs.
type Command struct {
	// Line is a command line; empty means an interactive shell.
	Line string
	// SFTP asks for the SFTP server instead.
	SFTP bool
	// Env is the session's part of the environment, as NAME=value.
	Env []string
	// TTY is nil without a terminal.
	TTY *TTY
}

// TTY is the terminal of a session.
type TTY struct {
	Term string
	Size Size
	// Modes are those of RFC 4254, section 8, by opcode.
	Modes map[uint8]uint32
}

// Size is that of a terminal, in characters and in pixels.
type Size struct{ Cols, Rows, Width, Height uint16 }

// Streams are the client's ends of a session.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals are names without SIG, as in RFC 4254, section 6.10.
	Signals <-chan string
	// Sizes are the changes of the terminal's size.
	Sizes <-chan Size
}

// Exit says how a command ended.
type Exit struct {
	// Status is the exit status when Signal is empty.
	Status int
	// Signal is the name, without SIG, of the signal that ended it.
	Signal string
	Core   bool
	// Message is shown to the user; empty means none.
	Message string
}

// Subsystem serves one channel until it returns. The context ends with the
// connection.
type Subsystem func(ctx context.Context, channel io.ReadWriteCloser) error

// Config configures a server.
type Config struct {
	// HostKey proves who the server is.
	HostKey gossh.Signer
	// Authorized says whether a key may log in.
	Authorized func(gossh.PublicKey) bool
	// Runner runs what is asked for in the dev container.
	Runner Runner
	// Subsystems are served beside sftp, by name.
	Subsystems map[string]Subsystem
	// OnChange is told the number of connections and of sessions that run a
	// command; nil means nobody is. It must not block.
	OnChange func(clients, sessions int)
	// Keepalive is after how much silence the client is asked whether it is
	// still there; 0 means 15 s.
	Keepalive time.Duration
	// Log gets few lines.
	Log *slog.Logger
}

// Server is an SSH server.
type Server struct {
	config Config
	ssh    *ssh.Server

	mu                sync.Mutex
	clients, sessions int
}

// New returns a server that does nothing yet.
func New(c Config) *Server {
	c.Keepalive = cmp.Or(c.Keepalive, 15*time.Second)
	s := &Server{config: c}
	forwards := newRemoteForwards(s)
	s.ssh = &ssh.Server{
		Version:              "okteto_" + config.Version(),
		HostSigners:          []ssh.Signer{c.HostKey},
		PublicKeyHandler:     func(_ ssh.Context, key ssh.PublicKey) bool { return c.Authorized(key) },
		ServerConfigCallback: s.serverConfig,
		ChannelHandlers: map[string]ssh.ChannelHandler{
			"session":                        s.serveSession,
			"direct-tcpip":                   s.serveDirectTCP,
			"direct-streamlocal@openssh.com": s.serveDirectUnix,
			config.DirectUDP:                 s.serveDirectUDP,
		},
		RequestHandlers: map[string]ssh.RequestHandler{
			"keepalive@openssh.com":                  answer,
			config.PingRequest:                       answer,
			"tcpip-forward":                          forwards.listenTCP,
			"cancel-tcpip-forward":                   forwards.cancelTCP,
			"streamlocal-forward@openssh.com":        forwards.listenUnix,
			"cancel-streamlocal-forward@openssh.com": forwards.cancelUnix,
			config.UDPForward:                        forwards.listenUDP,
			config.CancelUDPForward:                  forwards.cancelUDP,
		},
	}
	return s
}

// answer answers a question whose answer is that we are here.
func answer(ssh.Context, *ssh.Server, *gossh.Request) (bool, []byte) { return true, nil }

// Serve accepts connections until the context ends, then closes them all and
// returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.ssh.ConnCallback = func(conn ssh.Context, c net.Conn) net.Conn {
		s.accept(ctx, conn, c)
		return gather(listenTo(conn, c))
	}
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		s.ssh.Close()
	})
	defer stop()
	err := s.ssh.Serve(l)
	if ctx.Err() != nil || errors.Is(err, ssh.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving SSH: %w", err)
}

// serverConfig prefers AES-GCM, which has hardware on both ends, takes nothing
// that is known to be weak, and follows each login.
func (s *Server) serverConfig(ctx ssh.Context) *gossh.ServerConfig {
	c := &gossh.ServerConfig{
		AuthLogCallback: func(_ gossh.ConnMetadata, method string, err error) {
			switch {
			case err == nil:
				s.connected(ctx)
			case method != "none":
				s.config.Log.Info("login refused", "method", method)
			}
		},
	}
	c.Ciphers = []string{
		gossh.CipherAES128GCM, gossh.CipherAES256GCM, gossh.CipherChaCha20Poly1305,
		gossh.CipherAES128CTR, gossh.CipherAES192CTR, gossh.CipherAES256CTR,
	}
	sound := gossh.SupportedAlgorithms()
	c.KeyExchanges, c.MACs = sound.KeyExchanges, sound.MACs
	return c
}

// accept bounds the time that a connection may stay without a login, and ends
// it with the server: gliderlabs/ssh knows only of those that have logged in.
func (s *Server) accept(server context.Context, ctx ssh.Context, conn net.Conn) {
	stop := context.AfterFunc(server, func() { conn.Close() })
	timer := time.AfterFunc(loginGrace, func() {
		if ctx.Value(ssh.ContextKeyConn) == nil {
			conn.Close()
		}
	})
	context.AfterFunc(ctx, func() {
		stop()
		timer.Stop()
	})
}

// connected follows a connection that has logged in until it ends.
func (s *Server) connected(ctx ssh.Context) {
	s.count(1, 0)
	go func() {
		defer s.count(-1, 0)
		s.keepAlive(ctx)
	}()
}

// count keeps the numbers that the status shows.
func (s *Server) count(clients, sessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients += clients
	s.sessions += sessions
	if s.config.OnChange != nil {
		s.config.OnChange(s.clients, s.sessions)
	}
}
