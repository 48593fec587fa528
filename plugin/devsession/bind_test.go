//go:build linux

package devsession

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// echoUDP answers datagrams, with a prefix, until the test ends.
func echoUDP(t *testing.T, prefix string) (port int) {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, peer, err := socket.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = socket.WriteTo([]byte(prefix+string(buf[:n])), peer)
		}
	}()
	return socket.LocalAddr().(*net.UDPAddr).Port
}

// askUDP sends a datagram until one comes back: UDP may lose some.
func askUDP(t *testing.T, address, text string) string {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 1<<16)
	for deadline := time.Now().Add(lab.Patience); time.Now().Before(deadline); {
		_, _ = conn.Write([]byte(text)) // refused while nobody listens
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err == nil {
			return string(buf[:n])
		}
	}
	t.Fatalf("%s does not answer", address)
	return ""
}

// socketIn returns a short path for a unix socket.
func (p *pod) socketIn(name string) string { return filepath.Join(p.Dir, name) }

func TestUDPAndSocketsBothWays(t *testing.T) {
	p := newPod(t)
	listen := func(f manifest.Forward) Target {
		t.Helper()
		target, err := Listen(t.Context(), "127.0.0.1", f)
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	u := p.session("echo ready; cat")
	port := freePort(t) // of TCP and of UDP
	udp := listen(manifest.Forward{Local: port, Remote: echoUDP(t, "pod: "), Protocol: manifest.UDP})
	tcp := listen(manifest.Forward{Local: port, Remote: echo(t, "pod: ")})
	local := listen(manifest.Forward{LocalSocket: p.socketIn("local.sock"), RemoteSocket: p.socketIn("pod.sock")})
	u.Targets = []Target{udp, tcp, local}
	inPod := freePort(t)
	u.Reverses = []Reverse{
		NewReverse("127.0.0.1", manifest.Reverse{Remote: inPod, Local: echoUDP(t, "laptop: "), Protocol: manifest.UDP}),
		// Over the socket of the pod, to one of the laptop, to TCP in the pod.
		NewReverse("127.0.0.1", manifest.Reverse{RemoteSocket: p.socketIn("pod.sock"), LocalSocket: p.socketIn("laptop.sock")}),
	}
	u.Targets = append(u.Targets, listen(manifest.Forward{LocalSocket: p.socketIn("laptop.sock"), Remote: echo(t, "around: ")}))
	u.start()
	u.writes("ready\n")
	for round := range 2 {
		large := strings.Repeat("x", 40_000)
		if got := askUDP(t, udp.Packets.LocalAddr().String(), large); got != "pod: "+large {
			t.Errorf("by UDP %d bytes came back", len(got))
		}
		if got := askUDP(t, fmt.Sprintf("127.0.0.1:%d", inPod), "question"); got != "laptop: question" {
			t.Errorf("by UDP from the pod: %q", got)
		}
		asking(t, tcp.Listener.Addr().String(), "question", "pod: question")()
		asking(t, p.socketIn("local.sock"), "question", "around: question")()
		if round == 0 {
			p.Proxy.Cut()
			u.shows("reconnecting")
		}
	}
	_ = u.stdin.Close()
	if err := u.end(); err != nil {
		t.Error(err)
	}
	if screen := u.screen.String(); strings.Contains(screen, "! reverse") || strings.Contains(screen, "! forward") {
		t.Error("the lost connection is told of more than once")
	}
	if _, err := os.Lstat(p.socketIn("local.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestRestartBehindAForward connects while nothing listens in the pod.
func TestRestartBehindAForward(t *testing.T) {
	p := newPod(t)
	remote := freePort(t)
	target, err := Listen(t.Context(), "127.0.0.1", manifest.Forward{Local: freePort(t), Remote: remote})
	if err != nil {
		t.Fatal(err)
	}
	target.Patience = lab.Patience
	u := p.session("echo ready; cat")
	u.Targets = []Target{target}
	u.start()
	u.writes("ready\n")
	answered := asking(t, target.Listener.Addr().String(), "question", "late: question")
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", remote))
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, l, "late: ")
	answered()
}

func TestPortIsHandedOver(t *testing.T) {
	p := newPod(t)
	f := manifest.Forward{Local: freePort(t), Remote: echo(t, "pod: ")}
	others, err := Listen(t.Context(), "127.0.0.1", f)
	if err != nil {
		t.Fatal(err)
	}
	later := Later("127.0.0.1", f)
	u := p.session("echo ready; cat")
	u.Targets = []Target{later}
	u.start()
	u.writes("ready\n")
	if strings.Contains(u.screen.String(), later.Text) {
		t.Error("what others have is shown as ours")
	}
	if err := others.Close(); err != nil {
		t.Fatal(err)
	}
	u.shows("forward  " + later.Text)
	asking(t, others.Listener.Addr().String(), "question", "pod: question")()
}

// TestListenErrors binds what cannot be bound.
func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	taken, err := Listen(t.Context(), "", manifest.Forward{LocalSocket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		address string
		f       manifest.Forward
		want    string
	}{
		{"127.0.0.1", manifest.Forward{Local: echoUDP(t, ""), Protocol: manifest.UDP}, fmt.Sprintf("(pid %d)", os.Getpid())},
		{"192.0.2.1", manifest.Forward{Local: 20_000}, "cannot assign requested address"},
		{"192.0.2.1", manifest.Forward{Local: 20_000, Protocol: manifest.UDP}, "cannot assign requested address"},
		{"", manifest.Forward{LocalSocket: socket}, "local socket " + socket + " is already in use"},
		{"", manifest.Forward{LocalSocket: file}, "local socket " + file + " is already in use"},
		{"", manifest.Forward{LocalSocket: filepath.Join(dir, "none", "s")}, "no such file or directory"},
	} {
		_, err := Listen(t.Context(), c.address, c.f)
		port, ok := errors.AsType[*PortError](err)
		if !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.f, err, c.want)
			continue
		}
		if port.NoAddress() != (c.address == "192.0.2.1") {
			t.Errorf("%v: is it the address? %v", err, port.NoAddress())
		}
	}
}

// TestSocketOfTheDeadIsReplaced binds a path whose listener was killed.
func TestSocketOfTheDeadIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Close(fd)); err != nil {
		t.Fatal(err)
	}
	target, err := Listen(t.Context(), "", manifest.Forward{LocalSocket: path, Remote: 80})
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
}
