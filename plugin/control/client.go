package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Client asks the session that listens on a socket.
type Client struct {
	// Socket is the path of the socket.
	Socket string
	// Build names this program.
	Build string
}

// Call asks for a method and hands each result to each, in order; nil drops
// them. It fails with ErrNoSession when nobody listens, with a *VersionError
// when the session is of another version, with an *Error when it refuses, with
// the error of each, and with ctx's when that ends.
func (c Client) Call(ctx context.Context, method string, params any, each func(json.RawMessage) error) error {
	encoded, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	conn, err := dial(ctx, c.Socket)
	if err != nil {
		return because(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	lines := bufio.NewReader(conn)
	if err := c.greet(lines); err != nil {
		return because(ctx, err)
	}
	line, err := json.Marshal(request{greeting{Version, c.Build}, method, encoded})
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	_, asked := conn.Write(append(line, '\n'))
	_ = conn.SetDeadline(time.Time{})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Also after a failed write: the session may have refused before it had
	// read all of it.
	err = answers(lines, each)
	var refused *Error
	if asked != nil && !errors.As(err, &refused) {
		err = ended(asked)
	}
	return because(ctx, err)
}

// greet reads the session's greeting.
func (c Client) greet(lines *bufio.Reader) error {
	line, err := readLine(lines, MaxRequest)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the running session does not answer within %v: it hangs, or its process is stopped", patience)
	case err != nil:
		return ended(err)
	}
	var hello greeting
	if err := json.Unmarshal(line, &hello); err != nil {
		return fmt.Errorf("what answers on %s is no session of this program: %w", c.Socket, err)
	}
	if hello.Version != Version {
		return &VersionError{Ours: Version, Theirs: hello.Version, Build: hello.Build}
	}
	return nil
}

// answers reads replies to the last one.
func answers(lines *bufio.Reader, each func(json.RawMessage) error) error {
	for {
		line, err := readLine(lines, MaxReply)
		if err != nil {
			return ended(err)
		}
		var r reply
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("the running session sent no reply: %w", err)
		}
		switch {
		case r.Error != nil:
			return r.Error
		case r.End:
			return nil
		case each != nil:
			if err := each(r.Result); err != nil {
				return err
			}
		}
	}
}

// ended says what the end of a connection means.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the session ended: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("asking the running session: %w", err)
}

// because prefers why ctx ended to the error that followed.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
