package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// socketPath is a path short enough for a socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ct")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// serve runs a server until the test ends.
func serve(t *testing.T, methods map[string]Method) Client {
	t.Helper()
	socket := socketPath(t)
	l, err := Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- (&Server{Build: "v1", Methods: methods}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the server ended with %v", err)
		}
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return Client{Socket: socket, Build: "v1"}
}

func collect(into *[]string) func(json.RawMessage) error {
	return func(m json.RawMessage) error { *into = append(*into, string(m)); return nil }
}

func TestCallStreamsResults(t *testing.T) {
	c := serve(t, map[string]Method{"count": func(_ context.Context, params json.RawMessage, reply func(any) error) error {
		var n int
		if err := json.Unmarshal(params, &n); err != nil {
			return &Error{CodeParams, err.Error()}
		}
		for i := range n {
			if err := reply(i); err != nil {
				return err
			}
		}
		return nil
	}})
	var got []string
	if err := c.Call(t.Context(), "count", 3, collect(&got)); err != nil || strings.Join(got, "") != "012" {
		t.Errorf("got %v, %v", got, err)
	}
	enough := errors.New("enough")
	if err := c.Call(t.Context(), "count", 3, func(json.RawMessage) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the caller's own error became %v", err)
	}
	if err := c.Call(t.Context(), "count", 3, nil); err != nil {
		t.Errorf("a caller that drops results: %v", err)
	}
	if err := c.Call(t.Context(), "count", 3, func(json.RawMessage) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestErrorsTravelWithTheirCode(t *testing.T) {
	c := serve(t, map[string]Method{
		"stopped": func(context.Context, json.RawMessage, func(any) error) error {
			return fmt.Errorf("flush: %w", &Error{CodeStopped, "the disk is full"})
		},
		"fails": func(context.Context, json.RawMessage, func(any) error) error { return errors.New("two\nlines") },
		"large": func(_ context.Context, _ json.RawMessage, reply func(any) error) error {
			return reply(strings.Repeat("x", MaxReply))
		},
	})
	for method, want := range map[string]Error{
		"stopped": {CodeStopped, "the disk is full"},
		"fails":   {CodeFailed, "two\nlines"},
		"large":   {CodeFailed, "a reply of 8388621 bytes, at most 8388608 are possible"},
		"none":    {CodeMethod, `the running session (v1) has no method "none"`},
	} {
		var got *Error
		if err := c.Call(t.Context(), method, nil, nil); !errors.As(err, &got) || *got != want {
			t.Errorf("%s: %v, want %v", method, err, want)
		}
	}
}

// exchange sends raw bytes and returns every line of the answer.
func exchange(t *testing.T, c Client, raw string) []string {
	t.Helper()
	conn, err := net.Dial("unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(conn, raw) }()
	var lines []string
	for s := bufio.NewScanner(conn); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

// TestWire pins what is on the wire.
func TestWire(t *testing.T) {
	c := serve(t, map[string]Method{"echo": func(_ context.Context, p json.RawMessage, reply func(any) error) error { return reply(p) }})
	const hello = `{"version":1,"build":"v1"}`
	for raw, want := range map[string]string{
		`{"version":1,"method":"echo","params":{"a":1},"later":true}` + "\n": `{"result":{"a":1}}{"end":true}`,
		`{"version":2,"build":"v9","method":"echo"}` + "\n":                  `{"error":{"code":"version","text":"the session speaks version 1 of the control protocol, not 2"}}`,
		"flush\n":                                `{"error":{"code":"malformed","text":"the request is not a JSON object: `,
		strings.Repeat(" ", MaxRequest+1) + "\n": `{"error":{"code":"malformed","text":"a line of more than 65536 bytes"}}`,
	} {
		if got := strings.Join(exchange(t, c, raw), ""); !strings.HasPrefix(got, hello+want) {
			t.Errorf("%.60q is answered with %s, want %s", raw, got, hello+want)
		}
	}
}

func TestAnotherVersionGetsAClearMessage(t *testing.T) {
	for greets, want := range map[string]string{
		`{"version":2,"build":"v9"}`: "the running session (v9) speaks version 2 of the control protocol, this program version 1; this program is the older one",
		`{"version":0,"build":"v0"}`: "the running session (v0) speaks version 0 of the control protocol, this program version 1; it is older than this program: end it and run `up` again",
		`hello`:                      "is no session of this program",
		``:                           "the session ended",
	} {
		socket := socketPath(t)
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(socket, 0o600); err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if greets != "" {
				_, _ = fmt.Fprintln(conn, greets)
			}
			_ = conn.Close()
		}()
		if err := (Client{Socket: socket}).Call(t.Context(), "x", nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", greets, err, want)
		}
		_ = l.Close()
	}
}

func TestTheCallersEndGivesUpTheRequest(t *testing.T) {
	given := make(chan error, 1)
	started := make(chan struct{})
	c := serve(t, map[string]Method{"wait": func(ctx context.Context, _ json.RawMessage, _ func(any) error) error {
		close(started)
		<-ctx.Done()
		given <- ctx.Err()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	if err := c.Call(ctx, "wait", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller: %v", err)
	}
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("the method: %v", err)
	}
	if err := c.Call(ctx, "wait", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that had ended before: %v", err)
	}
}

// greeted connects and reads the greeting.
func greeted(t *testing.T, c Client) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestHungCallersHoldUpNobody fills all places but one with callers that say
// nothing or do not read, and asks beside them.
func TestHungCallersHoldUpNobody(t *testing.T) {
	full := strings.Repeat("x", 1<<16)
	begun := make(chan struct{}, MaxCalls)
	c := serve(t, map[string]Method{
		"flood": func(_ context.Context, _ json.RawMessage, reply func(any) error) error {
			begun <- struct{}{}
			for {
				if err := reply(full); err != nil {
					return err
				}
			}
		},
		"ask": func(context.Context, json.RawMessage, func(any) error) error { return nil },
	})
	for i := range MaxCalls - 1 {
		if conn := greeted(t, c); i%2 == 0 {
			_, _ = fmt.Fprintln(conn, `{"version":1,"method":"flood"}`)
			<-begun
		}
	}
	if err := c.Call(t.Context(), "ask", nil, nil); err != nil {
		t.Errorf("beside hung callers: %v", err)
	}
}

// TestOneCallTooMany has as many requests at once as are answered, and one more,
// which is told.
func TestOneCallTooMany(t *testing.T) {
	begun := make(chan struct{})
	c := serve(t, map[string]Method{"wait": func(ctx context.Context, _ json.RawMessage, _ func(any) error) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	for range MaxCalls {
		_, _ = fmt.Fprintln(greeted(t, c), `{"version":1,"method":"wait"}`)
		<-begun
	}
	var busy *Error
	if err := c.Call(t.Context(), "wait", nil, nil); !errors.As(err, &busy) || busy.Code != CodeBusy {
		t.Errorf("one too many: %v", err)
	}
}

// interrupted is a connection that is waited for only after the session has ended.
type interrupted struct {
	net.Conn
	end  func()
	told chan struct{}
}

func (c interrupted) SetDeadline(at time.Time) error {
	defer close(c.told)
	return c.Conn.SetDeadline(at)
}

func (c interrupted) SetReadDeadline(at time.Time) error {
	c.end()
	<-c.told
	return c.Conn.SetReadDeadline(at)
}

// TestTheSessionsEndIsNotMissed ends a session just before it waits for a request.
func TestTheSessionsEndIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, conn := net.Pipe()
		defer caller.Close()
		go func() { _, _ = io.Copy(io.Discard, caller) }()
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		(&Server{}).serve(ctx, interrupted{conn, cancel, make(chan struct{})})
		if waited := time.Since(start); waited > 0 {
			t.Errorf("the session waited for a request for %v", waited)
		}
	})
}

func TestSocketsThatNobodyListensOn(t *testing.T) {
	socket := socketPath(t)
	c := Client{Socket: socket}
	if err := c.Call(t.Context(), "x", nil, nil); !errors.Is(err, ErrNoSession) {
		t.Errorf("without a socket: %v", err)
	}
	for name, leave := range map[string]func(){
		"a file": func() { _ = os.WriteFile(socket, nil, 0o600) },
		"a killed session's": func() {
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			_ = l.Close()
			_ = os.Chmod(socket, 0o600)
		},
	} {
		leave()
		if err := c.Call(t.Context(), "x", nil, nil); !errors.Is(err, ErrNoSession) {
			t.Errorf("%s: %v", name, err)
		}
		l, err := Listen(t.Context(), socket)
		if err != nil {
			t.Errorf("%s is not replaced: %v", name, err)
			continue
		}
		_ = l.Close()
	}
}

func TestANewerSessionKeepsItsSocket(t *testing.T) {
	socket := socketPath(t)
	old, err := Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer newer.Close()
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("the older session took the newer one's socket away: %v", err)
	}
}

func TestTheSocketIsTheUsersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permission bits say nothing there")
	}
	socket := socketPath(t)
	if err := os.Chmod(filepath.Dir(socket), 0o777); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]fs.FileMode{socket: 0o600, filepath.Dir(socket): 0o700} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := (Client{Socket: socket}).Call(t.Context(), "x", nil, nil); err == nil || !strings.Contains(err.Error(), "open to other users") {
		t.Errorf("a socket that others may write to: %v", err)
	}
	if _, err := Listen(t.Context(), filepath.Join(filepath.Dir(socket), strings.Repeat("x", MaxSocket))); err == nil || !strings.Contains(err.Error(), "OKTETO_FOLDER") {
		t.Errorf("a path that is too long: %v", err)
	}
	if _, err := Listen(t.Context(), filepath.Join(filepath.Dir(socket), "none", "s")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
}

// TestSpecification compares the limits of PROTOCOL.md with the constants.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{
		"MaxSocket": MaxSocket, "MaxRequest": MaxRequest, "MaxReply": MaxReply, "MaxCalls": MaxCalls, "patience": "5 s",
	} {
		if row := fmt.Sprintf("| `%s` | %v |", name, value); !strings.Contains(string(text), row) {
			t.Errorf("PROTOCOL.md has no row %s", row)
		}
	}
	for _, code := range []Code{CodeVersion, CodeMalformed, CodeMethod, CodeBusy, CodeParams, CodeStopped, CodeFailed} {
		if row := fmt.Sprintf("| `%s` |", code); !strings.Contains(string(text), row) {
			t.Errorf("PROTOCOL.md has no code %s", code)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"version":1,"method":"flush","params":{"folder":"/app"}}` + "\n"))
	f.Add([]byte("flush\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := readRequest(bufio.NewReader(strings.NewReader(string(raw))))
		var known *Error
		switch {
		case err != nil && !errors.As(err, &known):
			t.Errorf("an error without a code: %v", err)
		case err == nil && req.Version != Version:
			t.Errorf("version %d was taken", req.Version)
		}
	})
}
