package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Method answers one request: it calls reply for each result and returns when
// that was the last. ctx ends with the session and with the caller. An *Error
// reaches the caller as it is, any other as CodeFailed.
type Method func(ctx context.Context, params json.RawMessage, reply func(result any) error) error

// Server answers requests.
type Server struct {
	// Build names this program.
	Build string
	// Methods are what may be asked, by name.
	Methods map[string]Method
}

// Serve answers requests until ctx ends, and closes l. It returns when no
// request is left.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer func() { _ = l.Close() }()
	var calls sync.WaitGroup
	defer calls.Wait()
	room := make(chan struct{}, MaxCalls)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("accepting control connections: %w", err)
		}
		select {
		case room <- struct{}{}:
		default:
			// Nobody waits for it here: what fits no buffer is lost.
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			c := &call{Conn: conn, ctx: ctx}
			_ = c.write(greeting{Version, s.Build})
			_ = c.write(reply{Error: &Error{CodeBusy, fmt.Sprintf("the session answers %d other requests already", MaxCalls)}})
			_ = conn.Close()
			continue
		}
		calls.Go(func() {
			defer func() { <-room }()
			s.serve(ctx, conn)
		})
	}
}

// serve answers on one connection.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	c := &call{Conn: conn, ctx: ctx}
	if c.write(greeting{Version, s.Build}) != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if ctx.Err() != nil {
		return // its deadline may have been the earlier one
	}
	lines := bufio.NewReader(conn)
	req, err := readRequest(lines)
	if err != nil {
		_ = c.end(err)
		return
	}
	// The caller has nothing more to say; whatever comes means that it is gone.
	gone := make(chan struct{})
	defer func() {
		cancel()
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-gone
	}()
	_ = conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(gone)
		_, _ = lines.ReadByte()
		cancel()
	}()
	method, ok := s.Methods[req.Method]
	if !ok {
		_ = c.end(&Error{CodeMethod, fmt.Sprintf("the running session (%s) has no method %q", s.Build, req.Method)})
		return
	}
	err = method(ctx, req.Params, func(result any) error {
		encoded, err := json.Marshal(result)
		if err != nil {
			return fmt.Errorf("encoding a reply: %w", err)
		}
		return c.write(reply{Result: encoded})
	})
	if ctx.Err() == nil {
		_ = c.end(err)
	}
}

// readRequest reads the one request of a connection.
func readRequest(r *bufio.Reader) (*request, error) {
	line, err := readLine(r, MaxRequest)
	if err != nil {
		return nil, &Error{CodeMalformed, err.Error()}
	}
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return nil, &Error{CodeMalformed, "the request is not a JSON object: " + err.Error()}
	}
	if req.Version != Version {
		return nil, &Error{CodeVersion, fmt.Sprintf("the session speaks version %d of the control protocol, not %d", Version, req.Version)}
	}
	return &req, nil
}

// readLine reads a line of at most limit bytes.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, fmt.Errorf("a line of more than %d bytes", limit)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// call is a connection with a caller. The deadline of a write must not undo the
// one that the end of ctx has set.
type call struct {
	net.Conn
	ctx context.Context
}

// write writes one line; a caller that does not take it is given up.
func (c *call) write(message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encoding a reply: %w", err)
	}
	if len(line) >= MaxReply {
		return &Error{CodeFailed, fmt.Sprintf("a reply of %d bytes, at most %d are possible", len(line), MaxReply)}
	}
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("replying: %w", err)
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("replying: %w", err)
	}
	return nil
}

// end writes the last line.
func (c *call) end(err error) error {
	if err == nil {
		return c.write(reply{End: true})
	}
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{CodeFailed, err.Error()}
	}
	return c.write(reply{Error: known})
}
