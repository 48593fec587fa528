//go:build linux

// Package runner is PID 1 of the dev container, and the client that the
// sidecar uses to reach it.
//
// The runner owns the processes of the dev container: it starts them, reaps
// them and whatever they leave behind, and ends them. It listens on a unix
// socket in a volume that both containers share. PROTOCOL.md beside this file
// specifies what is said there; the constants of this file are its numbers.
package runner

import (
	"io"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// ProtocolVersion is the version of the protocol that both ends must speak.
// They are one binary, so that a difference means a volume with an old one.
const ProtocolVersion = 3

// SocketName is the name of the runner's socket in the shared volume.
const SocketName = "runner.sock"

// Limits of the protocol, in bytes.
const (
	// MaxPayload bounds the payload of any frame.
	MaxPayload = 256 << 10
	// MaxData bounds the payload of a frame that carries data of a stream.
	MaxData = 32 << 10
	// StdinWindow is how many bytes of standard input a client may send ahead
	// of the credit that the runner gives back.
	StdinWindow = 256 << 10
)

// FrameType says what the payload of a frame is.
type FrameType byte

// The types of frames. Those with a JSON payload name the type of the message.
const (
	// FrameHello opens every connection, runner to client: Hello.
	FrameHello FrameType = 1
	// FrameStart asks for a process, client to runner: Start.
	FrameStart FrameType = 2
	// FrameDial asks for a connection to a unix socket: Socket.
	FrameDial FrameType = 3
	// FrameListen asks for a listening unix socket: Socket.
	FrameListen FrameType = 4
	// FrameSocket carries what was asked for as a file descriptor: Socket.
	FrameSocket FrameType = 5
	// FrameFailed refuses a request: Failure.
	FrameFailed FrameType = 6
	// FrameStdin carries standard input.
	FrameStdin FrameType = 7
	// FrameStdinEOF ends standard input.
	FrameStdinEOF FrameType = 8
	// FrameWindow changes the size of the terminal: Size.
	FrameWindow FrameType = 9
	// FrameSignal sends a signal; the payload is its name without SIG.
	FrameSignal FrameType = 10
	// FrameStdout carries standard output, or all output of a terminal.
	FrameStdout FrameType = 11
	// FrameStderr carries standard error.
	FrameStderr FrameType = 12
	// FrameCredit gives back part of the window of standard input: 4 bytes.
	FrameCredit FrameType = 13
	// FrameExit is the last frame of a session: Exit.
	FrameExit FrameType = 14
	// FrameAttach hands the connection over to a client of the protocol of
	// agent/attach: Attach.
	FrameAttach FrameType = 15
	// FrameMounts asks for mounts of the dev container: mounts.Request. What
	// follows is told by the protocol of agent/mounts.
	FrameMounts FrameType = 16
)

// Hello is the first message of the runner on each connection.
type Hello struct {
	// Protocol is ProtocolVersion.
	Protocol int `json:"protocol"`
	// Version is the version of the agent.
	Version string `json:"version"`
	// UID and GID are the user and group of the dev container.
	UID int `json:"uid"`
	GID int `json:"gid"`
	// PID is the runner's own process id.
	PID int `json:"pid"`
	// Workdir is the working directory of the dev container.
	Workdir string `json:"workdir"`
	// Home is the home folder of its user.
	Home string `json:"home"`
	// Shell is the shell that sessions use; empty when the image has none.
	Shell string `json:"shell"`
	// Started is when the runner started.
	Started time.Time `json:"started"`
}

// Start asks for a process.
type Start struct {
	// Line is a command line for the shell; empty means an interactive shell.
	Line string `json:"line,omitempty"`
	// SFTP asks for the SFTP server instead.
	SFTP bool `json:"sftp,omitempty"`
	// Environment asks for a program that prints its environment instead,
	// without a shell, which would not pass on every name.
	Environment bool `json:"environment,omitempty"`
	// Env is added to the environment of the container, as NAME=value.
	Env []string `json:"env,omitempty"`
	// TTY asks for a terminal; nil means pipes.
	TTY *TTY `json:"tty,omitempty"`
}

// Attach is what the sidecar adds to what the client asks for itself.
type Attach struct {
	// Env is Start's, for a process that is started.
	Env []string `json:"env,omitempty"`
}

// TTY describes a terminal.
type TTY struct {
	// Term is the value of TERM.
	Term string `json:"term"`
	// Size is the first size of the terminal.
	Size Size `json:"size"`
	// Modes are the terminal modes of RFC 4254, section 8, by opcode.
	Modes map[uint8]uint32 `json:"modes,omitempty"`
}

// Size is the size of a terminal: in characters, and in pixels where the
// client knows them.
type Size struct {
	Cols   uint16 `json:"cols"`
	Rows   uint16 `json:"rows"`
	Width  uint16 `json:"width,omitempty"`
	Height uint16 `json:"height,omitempty"`
}

// Socket names a unix socket in the dev container.
type Socket struct {
	// Path is the socket's path. In FrameListen, empty asks for a socket that
	// only the user of the dev container can reach.
	Path string `json:"path"`
}

// Failure says why a request was refused.
type Failure struct {
	Message string `json:"message"`
}

// Exit says how a process ended.
type Exit struct {
	// Status is the exit status; 127 when the command was not found and 126
	// when it could not be run, as shells do.
	Status int `json:"status"`
	// Signal is the name, without SIG, of the signal that ended the process;
	// empty when it exited by itself.
	Signal string `json:"signal,omitempty"`
	// Core is true when the process left a core dump.
	Core bool `json:"core,omitempty"`
	// Message says in words what the status does not; empty otherwise.
	Message string `json:"message,omitempty"`
}

// message renders a frame with a JSON payload.
func message(t FrameType, m any) ([]byte, error) { return frame.JSON(t, m, MaxPayload) }

// readFrame reads one frame.
func readFrame(r io.Reader) (FrameType, []byte, error) { return frame.Read(r, payloadLimit) }

// payloadLimit returns the largest payload of a type: 0 for unknown ones.
func payloadLimit(t FrameType) uint32 {
	switch t {
	case FrameHello, FrameStart, FrameDial, FrameListen, FrameSocket, FrameFailed, FrameExit, FrameAttach, FrameMounts:
		return MaxPayload
	case FrameStdin, FrameStdout, FrameStderr:
		return MaxData
	case FrameWindow, FrameSignal:
		return 256
	case FrameCredit:
		return 4
	}
	return 0
}
