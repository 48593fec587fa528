//go:build linux

package sshd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// statusNoCommand is the exit status of a session whose command the server
// could not start, the one that ssh(1) itself uses for its errors.
const statusNoCommand = 255

// session is a session channel (RFC 4254, section 6). The library's own does
// not carry terminal modes, signals of the exit or a pty's bytes as they are.
type session struct {
	server  *Server
	conn    *gossh.ServerConn
	channel gossh.Channel
	ctx     context.Context

	command  Command
	envBytes int
	agent    bool
	started  bool
	signals  chan string
	sizes    chan Size
}

// serveSession handles a session channel until the client closes it.
func (s *Server) serveSession(_ *ssh.Server, conn *gossh.ServerConn, newChannel gossh.NewChannel, ctx ssh.Context) {
	channel, requests, err := newChannel.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	sessionCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	sess := &session{
		server: s, conn: conn, channel: channel, ctx: sessionCtx,
		signals: make(chan string, 16), sizes: make(chan Size, 1),
	}
	for r := range requests {
		ok := sess.handle(r.Type, r.Payload)
		if r.WantReply {
			// An error means that the channel has ended, and so does the loop.
			_ = r.Reply(ok, nil)
		}
	}
}

// handle handles a request on the channel and says whether it was granted.
func (s *session) handle(kind string, payload []byte) bool {
	switch kind {
	case "env":
		return s.setEnv(payload)
	case "pty-req":
		return s.setTTY(payload)
	case "auth-agent-req@openssh.com":
		s.agent = !s.started
		return s.agent
	case "shell", "exec":
		return s.start(kind, payload)
	case "subsystem":
		return s.startSubsystem(payload)
	case "window-change":
		var r struct{ Cols, Rows, Width, Height uint32 }
		if gossh.Unmarshal(payload, &r) != nil || s.command.TTY == nil {
			return false
		}
		s.resize(newSize(r.Cols, r.Rows, r.Width, r.Height))
		return true
	case "signal":
		var r struct{ Name string }
		if gossh.Unmarshal(payload, &r) != nil {
			return false
		}
		return s.signal(r.Name)
	case "keepalive@openssh.com":
		return true
	}
	return false
}

func (s *session) setEnv(payload []byte) bool {
	var r struct{ Name, Value string }
	if gossh.Unmarshal(payload, &r) != nil || s.started || !acceptEnv(r.Name) || strings.Contains(r.Value, "\x00") {
		return false
	}
	s.envBytes += len(payload)
	if len(s.command.Env) == maxEnvVariables || s.envBytes > maxEnvBytes {
		return false
	}
	s.command.Env = append(s.command.Env, r.Name+"="+r.Value)
	return true
}

func (s *session) setTTY(payload []byte) bool {
	var r struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}
	if gossh.Unmarshal(payload, &r) != nil || s.started || s.command.TTY != nil || len(r.Term) > 256 {
		return false
	}
	s.command.TTY = &TTY{Term: r.Term, Size: newSize(r.Cols, r.Rows, r.Width, r.Height), Modes: parseModes(r.Modes)}
	return true
}

func newSize(cols, rows, width, height uint32) Size {
	cut := func(n uint32) uint16 { return uint16(min(n, math.MaxUint16)) }
	return Size{cut(cols), cut(rows), cut(width), cut(height)}
}

// parseModes parses encoded terminal modes (RFC 4254, section 8). What comes
// after a mode of unknown length is ignored, as the RFC asks.
func parseModes(s string) map[uint8]uint32 {
	modes := map[uint8]uint32{}
	for b := []byte(s); len(b) >= 5 && b[0] != 0 && b[0] < 160; b = b[5:] {
		modes[b[0]] = binary.BigEndian.Uint32(b[1:5])
	}
	return modes
}

// resize hands the newest size over, in place of one that nobody has seen.
func (s *session) resize(size Size) {
	if !s.started {
		s.command.TTY.Size = size
		return
	}
	select {
	case <-s.sizes:
	default:
	}
	s.sizes <- size
}

// signal hands a signal over. Nobody sends so many that the bound matters.
func (s *session) signal(name string) bool {
	if len(name) > 32 {
		return false
	}
	select {
	case s.signals <- name:
		return true
	default:
		return false
	}
}

func (s *session) start(kind string, payload []byte) bool {
	if s.started {
		return false
	}
	if kind == "exec" {
		var r struct{ Line string }
		if gossh.Unmarshal(payload, &r) != nil {
			return false
		}
		s.command.Line = r.Line
	}
	s.started = true
	go s.run()
	return true
}

func (s *session) startSubsystem(payload []byte) bool {
	var r struct{ Name string }
	if gossh.Unmarshal(payload, &r) != nil || s.started {
		return false
	}
	if r.Name == config.SubsystemSFTP {
		s.command.SFTP = true
		s.command.TTY = nil
		s.started = true
		go s.run()
		return true
	}
	if r.Name == config.SubsystemSession {
		s.started = true
		go s.attach()
		return true
	}
	serve, ok := s.server.config.Subsystems[r.Name]
	if !ok {
		return false
	}
	s.started = true
	go func() {
		var exit Exit
		if err := serve(s.ctx, s.channel); err != nil && s.ctx.Err() == nil {
			s.server.config.Log.Warn("subsystem ended", "name", r.Name, "err", err)
			exit = Exit{Status: 1, Message: err.Error()}
		}
		s.exit(exit)
	}()
	return true
}

// run runs the command in the dev container and tells the client its end.
func (s *session) run() {
	s.server.count(0, 1)
	defer s.server.count(0, -1)
	defer s.lendAgent()()
	exit, err := s.server.config.Runner.Run(s.ctx, s.command, Streams{
		Stdin: s.channel, Stdout: s.channel, Stderr: s.channel.Stderr(),
		Signals: s.signals, Sizes: s.sizes,
	})
	switch {
	case s.ctx.Err() != nil:
		return
	case err != nil:
		exit = Exit{Status: statusNoCommand, Message: err.Error()}
	}
	s.exit(exit)
}

// attach connects the client with the sessions that outlive connections.
func (s *session) attach() {
	s.server.count(0, 1)
	defer s.server.count(0, -1)
	defer s.lendAgent()()
	if err := s.server.config.Runner.Attach(s.ctx, s.command.Env, s.channel); err != nil && s.ctx.Err() == nil {
		s.server.config.Log.Warn("session ended", "err", err)
	}
	_ = s.channel.Close()
}

// lendAgent lets the command use the user's SSH agent, where that was asked for,
// until the function that it returns is called.
func (s *session) lendAgent() (end func()) {
	if !s.agent {
		return func() {}
	}
	l, err := s.server.forwardAgent(s.ctx, s.conn)
	if err != nil {
		s.server.config.Log.Warn("no agent forwarding", "err", err)
		return func() {}
	}
	s.command.Env = append(s.command.Env, "SSH_AUTH_SOCK="+l.Addr().String())
	return func() { _ = l.Close() }
}

// exit sends the end of the command (RFC 4254, section 6.10) and closes the
// channel. Errors mean that the client has gone first.
func (s *session) exit(e Exit) {
	if e.Message != "" {
		end := "\n"
		if s.command.TTY != nil {
			end = "\r\n"
		}
		_, _ = io.WriteString(s.channel.Stderr(), e.Message+end)
	}
	// Before the end of output: a client whose input has ended too may close
	// the channel as soon as it sees that.
	if e.Signal == "" {
		_, _ = s.channel.SendRequest("exit-status", false, gossh.Marshal(struct{ Status uint32 }{uint32(e.Status)}))
	} else {
		_, _ = s.channel.SendRequest("exit-signal", false, gossh.Marshal(struct {
			Name    string
			Core    bool
			Message string
			Lang    string
		}{signalName(e.Signal), e.Core, e.Message, ""}))
	}
	_ = s.channel.CloseWrite()
	_ = s.channel.Close()
}

// signalName returns the name of a signal for the wire: those that the RFC
// does not list carry a domain.
func signalName(name string) string {
	switch name {
	case "ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2":
		return name
	}
	return name + "@openssh.com"
}

// forwardAgent listens in the dev container for programs that want the user's
// SSH agent, and connects them to the client.
func (s *Server) forwardAgent(ctx context.Context, conn *gossh.ServerConn) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, runnerGrace)
	defer cancel()
	l, err := s.config.Runner.ListenUnix(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("listening for the agent: %w", err)
	}
	go s.acceptForwarded(conn, l, func(net.Conn) (string, []byte) {
		return "auth-agent@openssh.com", nil
	})
	return l, nil
}

// acceptForwarded opens a channel to the client for each connection until the
// listener is closed. The open function names the channel.
func (s *Server) acceptForwarded(conn *gossh.ServerConn, l net.Listener, open func(net.Conn) (string, []byte)) {
	for {
		c, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.config.Log.Warn("remote forward ended", "address", l.Addr(), "err", err)
				l.Close()
			}
			return
		}
		go func() {
			defer c.Close()
			kind, payload := open(c)
			channel, requests, err := conn.OpenChannel(kind, payload)
			if err != nil {
				return
			}
			join(channel, requests, c)
		}()
	}
}
