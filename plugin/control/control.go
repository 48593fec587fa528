// Package control is how other commands on the same machine talk to a running
// `up`: JSON lines over a unix socket, one request per connection and a stream
// of replies. PROTOCOL.md is the specification.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the version of the protocol.
const Version = 1

// Limits of PROTOCOL.md.
const (
	// MaxSocket bounds the path of a socket in bytes: sun_path is 104 bytes on
	// macOS and the BSDs and 108 on Linux, with a byte that ends it.
	MaxSocket = 103
	// MaxRequest bounds the line of a request in bytes.
	MaxRequest = 64 << 10
	// MaxReply bounds the line of a reply in bytes.
	MaxReply = 8 << 20
	// MaxCalls bounds the requests at once.
	MaxCalls = 32

	// patience bounds each thing that the other end has to do.
	patience = 5 * time.Second
)

// ErrNoSession means that nobody listens on the socket.
var ErrNoSession = errors.New("no session is running on this machine")

// Code says what kind of failure an Error is.
type Code string

// Codes of PROTOCOL.md.
const (
	CodeVersion   Code = "version"
	CodeMalformed Code = "malformed"
	CodeMethod    Code = "method"
	CodeBusy      Code = "busy"
	CodeParams    Code = "params"
	CodeStopped   Code = "stopped"
	CodeFailed    Code = "failed"
)

// Error is a failure that travels.
type Error struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// greeting is what a session says first.
type greeting struct {
	Version int    `json:"version"`
	Build   string `json:"build"`
}

// request is what a caller asks.
type request struct {
	greeting
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// reply is one line of an answer: one of its fields is set.
type reply struct {
	Result json.RawMessage `json:"result,omitempty"`
	End    bool            `json:"end,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// VersionError means that the two programs speak different versions.
type VersionError struct {
	// Ours and Theirs are versions, Build names the program of the session.
	Ours, Theirs int
	Build        string
}

// Error says which program to renew.
func (e *VersionError) Error() string {
	older := "this program is the older one"
	if e.Ours > e.Theirs {
		older = "it is older than this program: end it and run `up` again"
	}
	return fmt.Sprintf("the running session (%s) speaks version %d of the control protocol, this program version %d; %s",
		e.Build, e.Theirs, e.Ours, older)
}
