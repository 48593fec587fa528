package sshclient

import (
	"io"
	"sync/atomic"
	"time"
)

// Input lets one command after the other read the same input, such as a
// terminal: none takes what comes after its end.
type Input struct {
	r io.Reader
	// turn holds a token while nobody uses the fields below.
	turn chan struct{}
	// pending is the Read of r that is going on, or nil.
	pending chan inputRead
	// rest is what was read and not yet taken, and the error after it.
	rest inputRead
	// last is when something was read, in nanoseconds since 1970.
	last atomic.Int64
}

type inputRead struct {
	data []byte
	err  error
}

// NewInput returns an Input that reads from r only while somebody waits for
// input.
func NewInput(r io.Reader) *Input {
	in := &Input{r: r, turn: make(chan struct{}, 1)}
	in.turn <- struct{}{}
	return in
}

// Used tells whether something was read within the time before now.
func (in *Input) Used(within time.Duration) bool {
	return time.Since(time.Unix(0, in.last.Load())) < within
}

// Read waits for input without a way to give up.
func (in *Input) Read(p []byte) (int, error) {
	return in.read(p, nil)
}

// read gives up with io.EOF once ended is closed; what r returns after that is
// for the next call.
func (in *Input) read(p []byte, ended <-chan struct{}) (int, error) {
	const size = 32 << 10
	select {
	case <-in.turn:
		defer func() { in.turn <- struct{}{} }()
	case <-ended:
		return 0, io.EOF
	}
	if len(in.rest.data) == 0 && in.rest.err == nil {
		if in.pending == nil {
			pending := make(chan inputRead, 1)
			in.pending = pending
			go func() {
				data := make([]byte, size)
				n, err := in.r.Read(data)
				pending <- inputRead{data[:n], err}
			}()
		}
		select {
		case in.rest = <-in.pending:
			in.pending = nil
		case <-ended:
		}
	}
	select {
	case <-ended:
		return 0, io.EOF
	default:
	}
	if len(in.rest.data) == 0 {
		return 0, in.rest.err
	}
	in.last.Store(time.Now().UnixNano())
	n := copy(p, in.rest.data)
	in.rest.data = in.rest.data[n:]
	return n, nil
}
