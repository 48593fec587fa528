//go:build linux

package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// terminal is a client of held sessions, which counts what it has.
type terminal struct {
	t      *testing.T
	runner *Client
	attach.Request
	// conn is the connection, in what comes over it.
	conn net.Conn
	in   *bufio.Reader
	// stdout and stderr are all output so far, input all that was ever sent.
	stdout, stderr []byte
	input          []byte
	position       attach.Position
	// lost is what was said to be dropped of the output.
	lost int64
}

// begin starts a session of a command line, for a client of the same name.
func begin(t *testing.T, c *Client, name, line string, tty bool) *terminal {
	t.Helper()
	term := &terminal{t: t, runner: c, Request: attach.Request{Version: attach.Version, Session: name, Client: name, Start: &attach.Start{Line: line}}}
	if tty {
		term.Start.TTY, term.Size = &attach.TTY{Term: "vt100"}, &attach.Size{Cols: 80, Rows: 24}
	}
	term.connect()
	term.Start = nil
	return term
}

// view attaches another client to the session.
func (m *terminal) view(name string, size *attach.Size) *terminal {
	m.t.Helper()
	v := &terminal{t: m.t, runner: m.runner, Request: attach.Request{Version: attach.Version, Session: m.Session, Client: name, Size: size}}
	v.connect()
	return v
}

// open sends the request and returns the answer.
func (m *terminal) open() (attach.Type, []byte) {
	m.t.Helper()
	conn, _, err := m.runner.dial(bounded(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	deadline, _ := bounded(m.t).Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		m.t.Fatal(err)
	}
	m.conn, m.in = conn, bufio.NewReader(conn)
	m.Stdout, m.Stderr = int64(len(m.stdout))+m.lost, int64(len(m.stderr))
	first, err := message(FrameAttach, Attach{})
	if err == nil {
		_, err = conn.Write(first)
	}
	if err == nil {
		err = attach.WriteJSON(conn, attach.Open, m.Request)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	t, payload, err := attach.Read(m.in)
	if err != nil {
		m.t.Fatal(err)
	}
	return t, payload
}

// connect attaches, again, and sends the input that has not arrived.
func (m *terminal) connect() {
	m.t.Helper()
	t, payload := m.open()
	m.position = attach.Position{}
	if err := frame.Decode(t, attach.Attached, payload, &m.position); err != nil {
		m.t.Fatalf("%v: %s", err, payload)
	}
	m.lost += m.position.Stdout - m.Stdout
	if m.position.Stdin > int64(len(m.input)) {
		m.t.Fatalf("%d bytes of input have arrived of %d", m.position.Stdin, len(m.input))
	}
	if rest := m.input[m.position.Stdin:]; len(rest) > 0 {
		m.send(attach.Stdin, rest)
	}
}

// refused attaches and returns the reason why that fails.
func (m *terminal) refused() attach.Code {
	m.t.Helper()
	t, payload := m.open()
	var refusal attach.Refusal
	if err := frame.Decode(t, attach.Refused, payload, &refusal); err != nil {
		m.t.Fatalf("%v: %s", err, payload)
	}
	return refusal.Code
}

// cut breaks the connection off; what is on its way to us is lost.
func (m *terminal) cut() { m.conn.Close() }

// send sends a frame, which may get lost.
func (m *terminal) send(t attach.Type, payload []byte) {
	for len(payload) > attach.MaxData {
		_, _ = m.conn.Write(frame.New(t, payload[:attach.MaxData]))
		payload = payload[attach.MaxData:]
	}
	_, _ = m.conn.Write(frame.New(t, payload))
}

// say sends input.
func (m *terminal) say(text string) {
	m.input = append(m.input, text...)
	m.send(attach.Stdin, []byte(text))
}

// step takes one frame; done at the exit, which it acknowledges.
func (m *terminal) step() (exit *attach.Status) {
	m.t.Helper()
	t, payload, err := attach.Read(m.in)
	switch {
	case err != nil:
		m.t.Fatalf("%v after %q", err, tail(m.stdout))
	case t == attach.Stdout:
		m.stdout = append(m.stdout, payload...)
	case t == attach.Stderr:
		m.stderr = append(m.stderr, payload...)
	case t == attach.Exit:
		exit = &attach.Status{}
		if err := json.Unmarshal(payload, exit); err != nil {
			m.t.Fatal(err)
		}
		m.send(attach.Done, nil)
		_, _ = io.Copy(io.Discard, m.in)
	case t == attach.Taken:
		if n, err := attach.ParseTaken(payload); err != nil || n > int64(len(m.input)) {
			m.t.Fatalf("taken: %d, %v", n, err)
		}
	default:
		m.t.Fatalf("frame %d: %q", t, payload)
	}
	return exit
}

func tail(b []byte) []byte { return b[max(0, len(b)-200):] }

// end takes all output and returns the exit.
func (m *terminal) end() attach.Status {
	m.t.Helper()
	for {
		if exit := m.step(); exit != nil {
			return *exit
		}
	}
}

// reads takes output until it contains a text.
func (m *terminal) reads(text string) {
	m.t.Helper()
	for !bytes.Contains(m.stdout, []byte(text)) {
		if exit := m.step(); exit != nil {
			m.t.Fatalf("%+v after %q", exit, tail(m.stdout))
		}
	}
}

// TestHeldOutput cuts the connection again and again while output flows: every
// byte arrives once, in order.
func TestHeldOutput(t *testing.T) {
	c, _ := start(t)
	const lines = 2_000_000
	m := begin(t, c, "a", fmt.Sprintf("seq 1 %d; echo problem >&2; exit 3", lines), false)
	for i := range 40 {
		for range rand.IntN(10) {
			if m.step() != nil {
				t.Fatalf("it ended after %d cuts", i)
			}
		}
		if i%2 == 0 { // else the old connection is replaced
			m.cut()
		}
		m.connect()
	}
	if exit := m.end(); exit != (attach.Status{Status: 3}) || string(m.stderr) != "problem\n" {
		t.Errorf("%+v, %q", exit, m.stderr)
	}
	var want bytes.Buffer
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	if !bytes.Equal(m.stdout, want.Bytes()) {
		t.Errorf("%d bytes arrived of %d, or others", len(m.stdout), want.Len())
	}
	if code := m.refused(); code != attach.CodeGone {
		t.Errorf("after its exit was received: %s", code)
	}
}

// TestHeldInput does the same while input flows.
func TestHeldInput(t *testing.T) {
	c, _ := start(t)
	m := begin(t, c, "a", "cat", false)
	for i := range 2000 {
		m.say(fmt.Sprintf("line %d\n", i))
		if rand.IntN(50) == 0 {
			m.cut()
			m.connect()
		}
	}
	m.send(attach.StdinEOF, nil)
	m.cut()
	m.connect()
	m.send(attach.StdinEOF, nil)
	if exit := m.end(); exit != (attach.Status{}) || !bytes.Equal(m.stdout, m.input) {
		t.Errorf("%+v, %d bytes of %d came back, or others", exit, len(m.stdout), len(m.input))
	}
}

// TestHeldAlone leaves a process alone: it ends, its output is kept as far as
// there is room, and the rest is said to be dropped.
func TestHeldAlone(t *testing.T) {
	c, dir := start(t)
	done := filepath.Join(dir, "done")
	const size = 10 << 20
	m := begin(t, c, "a", fmt.Sprintf("echo first; read x; head -c %d /dev/zero | tr '\\0' x; echo last; touch %s", size, done), false)
	m.reads("first\n")
	m.say("\n")
	m.cut()
	until(t, func() bool { _, err := os.Stat(done); return err == nil })
	m.connect()
	if exit := m.end(); exit != (attach.Status{}) || !bytes.HasSuffix(m.stdout, []byte("xlast\n")) {
		t.Errorf("%+v, %q", exit, tail(m.stdout))
	}
	if total := int64(len(m.stdout)) + m.lost; total != size+int64(len("first\nlast\n")) {
		t.Errorf("%d bytes and %d lost are %d", len(m.stdout), m.lost, total)
	}
	if kept := int64(len(m.stdout)); kept < attach.MaxOutput-blockSize || kept > attach.MaxOutput+6 {
		t.Errorf("%d bytes were kept", kept)
	}
}

// TestHeldUpByItsClients expects that a process whose client does not read is
// held up, and goes on when the client goes.
func TestHeldUpByItsClients(t *testing.T) {
	c, dir := start(t)
	done := filepath.Join(dir, "done")
	m := begin(t, c, "a", "head -c 20000000 /dev/zero; touch "+done, false)
	m.step()
	// It cannot be done: that is more than all buffers hold. An exit would show.
	if _, err := os.Stat(done); err == nil {
		t.Error("20 MB were written to nobody")
	}
	m.cut()
	until(t, func() bool { _, err := os.Stat(done); return err == nil })
}

// TestHeldTerminals has several terminals on one session: all see, all may type,
// and the size is the smallest.
func TestHeldTerminals(t *testing.T) {
	c, _ := start(t)
	m := begin(t, c, "a", "stty -echo; while read -r line; do echo \"got $line\"; stty size; done", true)
	m.sized("24 80")
	v := m.view("b", &attach.Size{Cols: 100, Rows: 10})
	m.sized("10 80")
	v.reads("\n10 80\r\n")
	v.say("typed elsewhere\n")
	for _, m := range []*terminal{m, v} {
		m.reads("got typed elsewhere\r\n")
	}
	list := c.list(t)
	if len(list) != 1 || list[0].Clients != 2 || !list[0].TTY || list[0].Session != "a" || list[0].Exit != nil {
		t.Errorf("listed as %+v", list)
	}
	v.cut()
	until(t, func() bool { return c.list(t)[0].Clients == 1 })
	m.sized("24 80")
	m.send(attach.Window, []byte(`{"cols":7,"rows":8}`))
	m.sized("8 7")
	v.connect()
	v.reads("\n8 7\r\n")
	m.say("\x04")
	if exit := m.end(); exit != (attach.Status{}) {
		t.Errorf("%+v", exit)
	}
	v.end()
	if len(c.list(t)) != 0 {
		t.Errorf("left: %+v", c.list(t))
	}
}

// sized asks a loop that tells the size of its terminal until that is right.
func (m *terminal) sized(want string) {
	m.t.Helper()
	for !bytes.HasSuffix(m.stdout, []byte("\n"+want+"\r\n")) {
		before := len(m.stdout)
		m.say("size\n")
		for bytes.Count(m.stdout[before:], []byte("\r\n")) < 2 {
			m.step()
		}
	}
}

// list returns the sessions.
func (c *Client) list(t *testing.T) []attach.Session {
	t.Helper()
	conn, _, err := c.dial(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first, err := message(FrameAttach, Attach{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(first, frame.New(attach.List, nil)...)); err != nil {
		t.Fatal(err)
	}
	kind, payload, err := attach.Read(conn)
	var list []attach.Session
	if err == nil {
		err = frame.Decode(kind, attach.Sessions, payload, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestHeldRepaint expects that what runs in a terminal is told to paint it again
// when a client comes back, and ends up with the terminal's size. A shell may be too
// slow to see the other size between, and forgets a signal that comes in its trap.
func TestHeldRepaint(t *testing.T) {
	c, _ := start(t)
	m := begin(t, c, "a", `trap told=yes WINCH; echo ready
until [ "$told" ] && [ "$(stty size)" = "24 80" ]; do sleep 0.01; done; echo painted; sleep 1000`, true)
	m.reads("ready")
	m.cut()
	m.connect()
	m.reads("painted")
	m.send(attach.HangUp, nil)
	until(t, func() bool { return len(c.list(t)) == 0 })
}

// TestHeldEnds ends sessions by a client's order, by another of the role, and
// because nobody came back.
func TestHeldEnds(t *testing.T) {
	const line = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"
	c, _ := start(t)
	m := begin(t, c, "a", line, false)
	m.reads("ready")
	m.send(attach.Signal, []byte("TERM"))
	if exit := m.end(); exit != (attach.Status{Status: 5}) {
		t.Errorf("a signal: %+v", exit)
	}
	first := &terminal{t: t, runner: c, Request: attach.Request{
		Version: attach.Version, Session: "b", Client: "b", Start: &attach.Start{Line: line, Role: "up"},
	}}
	first.connect()
	first.reads("ready")
	again := *first // whose answer was lost
	again.stdout = nil
	again.connect()
	again.reads("ready")
	second := &terminal{t: t, runner: c, Request: first.Request}
	second.Session, second.Client = "c", "c"
	second.connect()
	second.reads("ready")
	if list := c.list(t); len(list) != 1 || list[0].Session != "c" {
		t.Errorf("the role has %+v", list)
	}
	first.Start = nil
	if code := first.refused(); code != attach.CodeGone {
		t.Errorf("the one before: %s", code)
	}
	missing := &terminal{t: t, runner: c, Request: attach.Request{Version: attach.Version, Session: "d", Client: "d", Start: &attach.Start{Line: "exec /no/such"}}}
	missing.connect()
	if exit := missing.end(); exit.Status != 127 {
		t.Errorf("no such program: %+v", exit)
	}
}

func TestHeldLingers(t *testing.T) {
	dir := shortDir(t)
	c := startWith(t, Config{Dir: dir, Workdir: dir, Linger: time.Millisecond})
	m := begin(t, c, "a", "echo ready; sleep 1000", false)
	m.reads("ready")
	m.cut()
	until(t, func() bool { return len(c.list(t)) == 0 })
	if code := m.refused(); code != attach.CodeGone {
		t.Errorf("after it was given up: %s", code)
	}
}

// TestHeldStop tells clients that the process ended with its container.
func TestHeldStop(t *testing.T) {
	dir := shortDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := New(Config{Dir: dir, Workdir: dir, Env: []string{"PATH=/usr/bin:/bin"}, StopGrace: time.Second, Log: quietLog()})
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	c := &Client{Dir: dir, Wait: 10 * time.Second}
	m := begin(t, c, "a", "echo ready; sleep 1000", false)
	m.reads("ready")
	alone := begin(t, c, "b", "setsid sh -c 'trap \"\" TERM HUP; echo ready; exec sleep 1.5' & wait", false)
	alone.reads("ready")
	alone.cut()
	cancel()
	if exit := m.end(); exit.Signal != "TERM" || !strings.Contains(exit.Message, "container is gone") {
		t.Errorf("%+v", exit)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRelay tells a client that the runner ended, wherever it did.
func TestRelay(t *testing.T) {
	output := frame.New(attach.Stdout, []byte("output"))
	exit := frame.New(attach.Exit, []byte("{}"))
	for name, test := range map[string]struct {
		from []byte
		want string
	}{
		"nothing":       {nil, "gone"},
		"output":        {output, "output gone"},
		"half a frame":  {output[:8], "gone"},
		"half a header": {append(output[:11:11], output[:3]...), "output gone"},
		"its end":       {append(output[:11:11], exit...), "output exit"},
		"too much":      {[]byte("\x0c\xff\xff\xff\xff"), "gone"},
	} {
		var to bytes.Buffer
		_, _ = relay(&to, bytes.NewReader(test.from))
		var got []string
		for {
			kind, payload, err := attach.Read(&to)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			got = append(got, map[attach.Type]string{attach.Stdout: string(payload), attach.Exit: "exit", attach.Refused: "gone"}[kind])
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestBadHeldClients expects refusals, and that nobody else suffers.
func TestBadHeldClients(t *testing.T) {
	c, _ := start(t)
	m := begin(t, c, "a", "echo ready; cat", false)
	m.reads("ready")
	good := m.Request
	for name, test := range map[string]struct {
		change func(*attach.Request)
		code   attach.Code
	}{
		"another version":  {func(q *attach.Request) { q.Version++ }, attach.CodeVersion},
		"no session":       {func(q *attach.Request) { q.Session = "" }, attach.CodeMalformed},
		"a path":           {func(q *attach.Request) { q.Session = "../a" }, attach.CodeMalformed},
		"a long name":      {func(q *attach.Request) { q.Client = strings.Repeat("x", attach.MaxName+1) }, attach.CodeMalformed},
		"a negative place": {func(q *attach.Request) { q.Stdout = -1 }, attach.CodeMalformed},
		"the future":       {func(q *attach.Request) { q.Stderr = 1 << 60 }, attach.CodeMalformed},
		"an unknown one":   {func(q *attach.Request) { q.Session = "b" }, attach.CodeGone},
		"another's start":  {func(q *attach.Request) { q.Client = "b"; q.Start = &attach.Start{} }, attach.CodeMalformed},
	} {
		conn, _, err := c.dial(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		q := good
		q.Stdout = 0
		test.change(&q)
		first, _ := message(FrameAttach, Attach{})
		_, _ = conn.Write(first)
		if err := attach.WriteJSON(conn, attach.Open, q); err != nil {
			t.Fatal(err)
		}
		kind, payload, err := attach.Read(conn)
		var refusal attach.Refusal
		if err == nil {
			err = frame.Decode(kind, attach.Refused, payload, &refusal)
		}
		if err != nil || refusal.Code != test.code {
			t.Errorf("%s: %v, %+v, want %s", name, err, refusal, test.code)
		}
		conn.Close()
	}
	for name, stream := range map[string][]byte{
		"unknown":           frame.New[attach.Type](99, nil),
		"an answer":         frame.New(attach.Taken, make([]byte, 8)),
		"a broken size":     frame.New(attach.Window, []byte("{")),
		"beyond the window": bytes.Repeat(frame.New(attach.Stdin, make([]byte, attach.MaxData)), 3*attach.InputWindow/attach.MaxData),
	} {
		line := "sleep 1000"
		v := begin(t, c, "x", line, false)
		_, _ = v.conn.Write(stream)
		if _, err := io.Copy(io.Discard, v.conn); ignoreClosed(err) != nil {
			t.Errorf("%s: %v", name, err)
		}
		v.connect0()
		v.send(attach.HangUp, nil)
		until(t, func() bool { return len(c.list(t)) == 1 })
	}
	m.say("fine")
	m.send(attach.StdinEOF, nil)
	if exit := m.end(); exit != (attach.Status{}) || string(m.stdout) != "ready\nfine" {
		t.Errorf("afterwards: %+v, %q", exit, m.stdout)
	}
}

// connect0 attaches without sending input again.
func (m *terminal) connect0() {
	m.t.Helper()
	if t, payload := m.open(); t != attach.Attached {
		m.t.Fatalf("frame %d: %s", t, payload)
	}
}

// TestHeldBounds fills the table: exits make room, processes that run do not.
func TestHeldBounds(t *testing.T) {
	c, _ := start(t)
	done := begin(t, c, "done", "echo hello", false)
	done.reads("hello")
	until(t, func() bool { return c.list(t)[0].Exit != nil })
	done.cut()
	for i := range maxHeld {
		begin(t, c, fmt.Sprintf("s%d", i), "exec sleep 1000", false)
	}
	if code := done.refused(); code != attach.CodeGone {
		t.Errorf("the exit that made room: %s", code)
	}
	done.Start = &attach.Start{}
	if code := done.refused(); code != attach.CodeBusy {
		t.Errorf("too many sessions: %s", code)
	}
	m := &terminal{t: t, runner: c, Request: attach.Request{Version: attach.Version, Session: "s0", Client: "s0"}}
	for i := range maxClients - 1 {
		m.view(fmt.Sprintf("v%d", i), nil)
	}
	m.Client = "more"
	if code := m.refused(); code != attach.CodeBusy {
		t.Errorf("too many clients: %s", code)
	}
}
