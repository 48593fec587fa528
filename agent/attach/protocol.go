// Package attach is the contract of the two programs about sessions that
// outlive connections: the process belongs to the runner of the dev container,
// and a client attaches to it as often as it needs to. PROTOCOL.md beside this
// file is the specification.
package attach

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// Version is the version of the protocol.
const Version = 1

// Limits of PROTOCOL.md, in bytes unless said otherwise.
const (
	// MaxMessage bounds a frame with a JSON payload.
	MaxMessage = 256 << 10
	// MaxData bounds a frame with data. With its header it fills a packet of
	// SSH (RFC 4253, section 6.1).
	MaxData = 32<<10 - frame.HeaderSize
	// InputWindow is how much input a client may send beyond what the process
	// has taken, and keeps for the next connection.
	InputWindow = 1 << 20
	// MaxOutput is how much of each output is kept.
	MaxOutput = 4 << 20
	// MaxName bounds identifiers and names.
	MaxName = 64
)

// Type says what the payload of a frame is.
type Type byte

// The types of frames.
const (
	// Open is the first frame of a client that wants a session: Request.
	Open Type = 1
	// List is the first frame of one that wants to know which there are.
	List Type = 2
	// Attached answers Open: Position.
	Attached Type = 3
	// Refused answers Open or ends a session without its exit: Refusal.
	Refused Type = 4
	// Sessions answers List: Session as a list.
	Sessions Type = 5
	// Stdin carries input.
	Stdin Type = 6
	// StdinEOF ends the input.
	StdinEOF Type = 7
	// Window is the size of the client's terminal: Size.
	Window Type = 8
	// Signal sends a signal; the payload is its name without SIG.
	Signal Type = 9
	// HangUp ends the process and the session.
	HangUp Type = 10
	// Done says that the exit was received.
	Done Type = 11
	// Stdout carries standard output, or all output of a terminal.
	Stdout Type = 12
	// Stderr carries standard error.
	Stderr Type = 13
	// Taken says how much of the input the process has taken: 8 bytes.
	Taken Type = 14
	// Exit is the last frame of a session: Status.
	Exit Type = 15
)

// Request asks for a session.
type Request struct {
	// Version is Version.
	Version int `json:"version"`
	// Session names the session; the client that starts it makes the name up.
	Session string `json:"session"`
	// Client names the client, over all of its connections.
	Client string `json:"client"`
	// Start starts the session unless this client has started it before; nil
	// attaches to one that is there.
	Start *Start `json:"start,omitempty"`
	// Stdout and Stderr are how much of the output the client has.
	Stdout int64 `json:"stdout"`
	Stderr int64 `json:"stderr"`
	// Size is that of the client's terminal; nil when it has none.
	Size *Size `json:"size,omitempty"`
}

// Start says what to run.
type Start struct {
	// Line is a command line for the shell; empty means an interactive shell.
	Line string `json:"line,omitempty"`
	// Role is what the session is in the environment, such as "up". Of each
	// role there is one session: it ends an older one. Empty means none.
	Role string `json:"role,omitempty"`
	// TTY asks for a terminal; nil means pipes.
	TTY *TTY `json:"tty,omitempty"`
}

// TTY describes a terminal.
type TTY struct {
	// Term is the value of TERM.
	Term string `json:"term"`
	// Modes are the terminal modes of RFC 4254, section 8, by opcode.
	Modes map[uint8]uint32 `json:"modes,omitempty"`
}

// Size is the size of a terminal in characters.
type Size struct {
	Cols uint16 `json:"cols"`
	Rows uint16 `json:"rows"`
}

// Position says where a connection begins.
type Position struct {
	// Stdin is how much of this client's input has arrived.
	Stdin int64 `json:"stdin"`
	// Stdout and Stderr are where the output begins: where the client's ends,
	// or later when what lies between is not kept any more.
	Stdout int64 `json:"stdout"`
	Stderr int64 `json:"stderr"`
	// TTY tells whether the process has a terminal.
	TTY bool `json:"tty,omitempty"`
}

// Refusal says why there is no session, or no more of one.
type Refusal struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// Code is the kind of a refusal.
type Code string

// The kinds of refusals.
const (
	// CodeVersion: the agent speaks another version.
	CodeVersion Code = "version"
	// CodeMalformed: the request makes no sense.
	CodeMalformed Code = "malformed"
	// CodeGone: there is no such session, or no more.
	CodeGone Code = "gone"
	// CodeReplaced: another connection of this client has it now.
	CodeReplaced Code = "replaced"
	// CodeBusy: there are too many.
	CodeBusy Code = "busy"
	// CodeFailed: anything else.
	CodeFailed Code = "failed"
)

// Status says how a process ended.
type Status struct {
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

// Session describes a session.
type Session struct {
	// Session is its name.
	Session string `json:"session"`
	// Line, Role and TTY are Start's.
	Line string `json:"line,omitempty"`
	Role string `json:"role,omitempty"`
	TTY  bool   `json:"tty,omitempty"`
	// Started is when it began.
	Started time.Time `json:"started"`
	// Clients is how many are attached.
	Clients int `json:"clients"`
	// Exit is how the process ended; nil while it runs.
	Exit *Status `json:"exit,omitempty"`
}

// Limit returns the largest payload of a type: 0 for unknown ones.
func (t Type) Limit() uint32 {
	switch t {
	case Open, Attached, Refused, Sessions, Exit:
		return MaxMessage
	case Stdin, Stdout, Stderr:
		return MaxData
	case Window, Signal:
		return 256
	case Taken:
		return 8
	}
	return 0
}

// Read reads a frame.
func Read(r io.Reader) (Type, []byte, error) { return frame.Read(r, Type.Limit) }

// WriteJSON writes a frame with a message.
func WriteJSON(w io.Writer, t Type, m any) error {
	b, err := frame.JSON(t, m, MaxMessage)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// NewTaken renders a frame that says how much input was taken.
func NewTaken(n int64) []byte {
	return frame.New(Taken, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// ParseTaken is the inverse of NewTaken.
func ParseTaken(payload []byte) (int64, error) {
	if len(payload) != 8 || payload[0]&0x80 != 0 {
		return 0, errors.New("a frame that says what was taken is broken")
	}
	return int64(binary.BigEndian.Uint64(payload)), nil
}

// Verify refuses what makes no sense.
func (r *Request) Verify() *Refusal {
	switch {
	case r.Version != Version:
		return &Refusal{CodeVersion, "the agent in the pod speaks another version of sessions than this program: `kubectl okteto up` renews it"}
	case !isName(r.Session) || !isName(r.Client) || r.Start != nil && r.Start.Role != "" && !isName(r.Start.Role):
		return &Refusal{CodeMalformed, "a session's name is of letters and digits"}
	case r.Stdout < 0 || r.Stderr < 0:
		return &Refusal{CodeMalformed, "a position is negative"}
	}
	return nil
}

func isName(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= MaxName
}
