//go:build linux

package devsession

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// echo serves connections that get back what they send, with a prefix, until
// the test ends.
func echo(t *testing.T, prefix string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, l, prefix)
	return l.Addr().(*net.TCPAddr).Port
}

// serveEcho serves a listener as echo does.
func serveEcho(t *testing.T, l net.Listener, prefix string) {
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(conn, prefix)
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
}

// ask sends a text to an address, or the path of a socket, and returns all that
// comes back.
func ask(address, text string) (string, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(lab.Patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// asking asks in the background; what it returns waits for the end of it and
// fails the test unless the answer is the one.
func asking(t *testing.T, address, text, want string) (answered func()) {
	t.Helper()
	var got string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err = ask(address, text)
	}()
	return func() {
		t.Helper()
		if <-done; err != nil || got != want {
			t.Errorf("%s: %d bytes came back, want %d: %v", address, len(got), len(want), err)
		}
	}
}

func TestForwardsOutliveTheConnection(t *testing.T) {
	p := newPod(t)
	target, err := Listen(t.Context(), "127.0.0.1", manifest.Forward{Local: freePort(t), Remote: echo(t, "pod: ")})
	if err != nil {
		t.Fatal(err)
	}
	reverse := NewReverse("127.0.0.1", manifest.Reverse{Remote: freePort(t), Local: echo(t, "laptop: ")})
	u := p.session("echo ready; cat")
	u.Targets, u.Reverses = []Target{target}, []Reverse{reverse}
	// A connection that comes before the pod is there waits for it.
	here := target.Listener.Addr().String()
	early := asking(t, here, "early", "pod: early")
	u.start()
	u.writes("ready\n")
	early()
	u.shows("forward  " + target.Text)
	u.shows("reverse  " + reverse.Text)
	inPod := reverse.Remote
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for round := range 2 {
		asking(t, here, large, "pod: "+large)()
		asking(t, inPod, large, "laptop: "+large)()
		if round == 0 {
			p.Proxy.Refuse(true)
			p.Proxy.Cut()
			u.shows("reconnecting")
			late := asking(t, here, "late", "pod: late")
			p.Proxy.Refuse(false)
			late()
			u.echoes("the same\n")
		}
	}
}

// TestForwardOfLostConnection expects a reset, not the end of the data: nobody
// may take half of an answer for a whole one.
func TestForwardOfLostConnection(t *testing.T) {
	p := newPod(t)
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	port := service.Addr().(*net.TCPAddr).Port
	target, err := Listen(t.Context(), "127.0.0.1", manifest.Forward{Local: freePort(t), Remote: port})
	if err != nil {
		t.Fatal(err)
	}
	u := p.session("cat")
	u.Targets = []Target{target}
	u.start()
	client, err := net.Dial("tcp", target.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	served, err := service.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = served.Close() }()
	_, _ = io.WriteString(served, "half")
	if _, err := io.ReadFull(client, make([]byte, len("half"))); err != nil {
		t.Fatal(err)
	}
	p.Proxy.Cut()
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read fails with %v", err)
	}
}

func TestForwardToNobodyIsToldAndGoesOn(t *testing.T) {
	p := newPod(t)
	closed := freePort(t)
	target, err := Listen(t.Context(), "127.0.0.1", manifest.Forward{Local: freePort(t), Remote: closed})
	if err != nil {
		t.Fatal(err)
	}
	target.Patience = 0
	u := p.session("echo ready; cat")
	u.Targets = []Target{target}
	u.start()
	u.writes("ready\n")
	for range 2 {
		if got, err := ask(target.Listener.Addr().String(), ""); got != "" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	u.shows("forward " + target.Text + ": ")
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
}

func TestReverseThatIsTakenIsAWarning(t *testing.T) {
	p := newPod(t)
	u := p.session("echo ready; cat")
	u.Reverses = []Reverse{NewReverse("127.0.0.1", manifest.Reverse{Remote: echo(t, ""), Local: 1})}
	u.start()
	u.shows("reverse " + u.Reverses[0].Text + ": ")
	u.writes("ready\n")
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
}

func TestListenNamesWhoHasThePort(t *testing.T) {
	taken := echo(t, "")
	_, err := Listen(t.Context(), "127.0.0.1", manifest.Forward{Local: taken, Remote: 80})
	port, ok := errors.AsType[*PortError](err)
	if !ok || port.Port != taken || port.Privileged || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("got %v", err)
	}
	if want := fmt.Sprintf("(pid %d)", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("the error %q does not name %s", err, want)
	}
	if owner := portOwner("tcp", freePort(t)); owner != "" {
		t.Errorf("a free port is said to be of %s", owner)
	}
}

func TestPortErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  PortError
		want string
	}{
		{PortError{Port: 80, Privileged: true, err: syscall.EACCES}, "local port 80 is privileged"},
		{PortError{Port: 80, Owner: "nginx (pid 7)", err: syscall.EADDRINUSE}, "local port 80 is already in use by nginx (pid 7)"},
		{PortError{Port: 80, err: syscall.EADDRINUSE}, "local port 80 is already in use"},
		{PortError{Socket: "/a.sock", err: syscall.EADDRINUSE}, "local socket /a.sock is already in use"},
		{PortError{Port: 80, err: syscall.EADDRNOTAVAIL}, "local port 80 cannot be bound: cannot assign requested address"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestTexts(t *testing.T) {
	for want, f := range map[string]manifest.Forward{
		"7 -> 80":                    {Local: 7, Remote: 80},
		"7 -> db:80":                 {Local: 7, Remote: 80, Service: "db"},
		"7 -> dns:53/udp":            {Local: 7, Remote: 53, Service: "dns", Protocol: manifest.UDP},
		"/tmp/a.sock -> 80":          {LocalSocket: "/tmp/a.sock", Remote: 80},
		"/tmp/a.sock -> /run/b.sock": {LocalSocket: "/tmp/a.sock", RemoteSocket: "/run/b.sock"},
	} {
		if got := ForwardText(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, r := range map[string]manifest.Reverse{
		"9000 <- 3000":               {Remote: 9000, Local: 3000},
		"53 <- 5353/udp":             {Remote: 53, Local: 5353, Protocol: manifest.UDP},
		"/run/b.sock <- /tmp/a.sock": {RemoteSocket: "/run/b.sock", LocalSocket: "/tmp/a.sock"},
	} {
		if got := ReverseText(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
