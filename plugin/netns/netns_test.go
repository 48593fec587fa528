//go:build linux

package netns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is also this program in its other roles, and the process of a room.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case Role:
		os.Exit(Main(os.Args[1:], os.Stderr))
	case "inside":
		if err := inside(os.Args[1]); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// inside is a process that knows nothing of rooms: it says what it finds, serves
// one connection, and ends.
func inside(loopback string) error {
	for _, address := range []string{"10.96.0.7:80", "192.0.2.7:443", loopback} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(conn)
		fmt.Println(string(text), err)
	}
	for _, server := range []string{"127.0.0.1:53", "8.8.8.8:53"} {
		conn, err := net.Dial("udp", server)
		if err != nil {
			return err
		}
		if _, err := conn.Write([]byte("who?")); err != nil {
			return err
		}
		answer := make([]byte, 100)
		n, err := conn.Read(answer)
		fmt.Println(string(answer[:n]), err)
	}
	socket, err := net.ListenPacket("udp4", "")
	if err != nil {
		return err
	}
	for _, to := range []string{"10.96.0.7:9999", "192.0.2.7:123", "10.96.0.7:9999"} {
		address, err := net.ResolveUDPAddr("udp", to)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo([]byte("ping"), address); err != nil {
			return err
		}
		answer := make([]byte, 100)
		n, peer, err := socket.ReadFrom(answer)
		fmt.Println(string(answer[:n]), peer, err)
	}
	_, err = net.Dial("tcp", "127.0.0.1:9")
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	resolver, err := os.ReadFile("/etc/resolv.conf")
	fmt.Print(string(resolver))
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	fmt.Println(os.Getuid(), os.Getgid(), dir, err)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "CapInh") || strings.HasPrefix(line, "CapAmb") {
			fmt.Print(line)
		}
	}
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	fmt.Println("listens")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(conn, "served")
	return errors.Join(err, conn.Close())
}

// TestRoom looks at a room from both sides.
func TestRoom(t *testing.T) {
	var group []<-chan struct{}
	background := func(f func()) {
		done := make(chan struct{})
		group = append(group, done)
		go func() {
			defer close(done)
			f()
		}()
	}
	room, err := New(Plan{Loopback: []uint16{5432}}, func(e Entrances) {
		background(func() {
			for {
				conn, err := e.Connections.Accept()
				if err != nil {
					return
				}
				address, err := e.Destination(conn)
				_, _ = fmt.Fprint(conn, "to ", address, " ", err)
				_ = conn.Close()
			}
		})
		background(func() {
			b := make([]byte, 100)
			for {
				n, peer, err := e.Names.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = e.Names.WriteTo(append([]byte("asked "), b[:n]...), peer)
			}
		})
		background(func() {
			b := make([]byte, 100)
			for {
				n, peer, err := e.Datagrams.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = e.Datagrams.WriteTo([]byte(string(b[:n])+" to "+e.DatagramDestination(peer)), peer)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, outPipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	attr := &os.ProcAttr{Dir: "/usr", Env: os.Environ(), Files: []*os.File{nil, outPipe, os.Stderr}}
	path, argv, err := room.Enter(self, []string{"inside", "127.0.0.1:5432"}, attr)
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.StartProcess(path, argv, attr)
	_ = outPipe.Close()
	if err != nil {
		t.Fatal(room.Refused(err))
	}
	if err := room.Started(); err != nil {
		t.Fatal(err)
	}
	keeper := room.keeper
	lines := bufio.NewReader(out)
	want := []string{
		"to 10.96.0.7:80 <nil> <nil>", "to 192.0.2.7:443 <nil> <nil>", "to 127.0.0.1:5432 <nil> <nil>",
		"asked who? <nil>", "asked who? <nil>",
		"ping to 10.96.0.7:9999 10.96.0.7:9999 <nil>", "ping to 192.0.2.7:123 192.0.2.7:123 <nil>",
		"ping to 10.96.0.7:9999 10.96.0.7:9999 <nil>", "true", "nameserver 127.0.0.1",
		fmt.Sprintf("%d %d /usr <nil>", os.Getuid(), os.Getgid()),
	}
	if os.Getuid() != 0 {
		want = append(want, "CapInh:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000")
	}
	var got []string
	for {
		line, err := lines.ReadString('\n')
		if err != nil || line == "listens\n" {
			break
		}
		if os.Getuid() != 0 || !strings.HasPrefix(line, "Cap") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("inside it is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := room.Dial(t.Context(), "tcp", "127.0.0.1:81"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("where nobody listens inside: %v", err)
	}
	conn, err := room.Dial(t.Context(), "tcp", "localhost:80")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); string(text) != "served" {
		t.Errorf("from inside comes %q, %v", text, err)
	}
	if state, err := p.Wait(); err != nil || !state.Success() {
		t.Errorf("the process ended with %v, %v", state, err)
	}
	room.Close()
	room.Close()
	for _, done := range group {
		<-done
	}
	if err := unix.Kill(keeper, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the keeper is there: %v", err)
	}
	if _, err := room.Dial(t.Context(), "tcp", "localhost:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v", err)
	}
}

// TestOrdinaryUser does the same without any rights.
func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestRoom did it")
	}
	dir, err := os.MkdirTemp("", "netns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "test")
	if err := os.WriteFile(file, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), file, "-test.run", "TestRoom", "-test.v")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestRoom") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestForbidden asks where the kernel allows no more namespaces.
func TestForbidden(t *testing.T) {
	if os.Getenv("NETNS_FORBIDDEN") == "" {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^TestForbidden$", "-test.v")
		cmd.Env = append(os.Environ(), "NETNS_FORBIDDEN=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestForbidden") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if err := Probe(); !errors.Is(err, ErrForbidden) {
		t.Errorf("it is %v", err)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	if err := Probe(); err != nil {
		t.Error(err)
	}
}

func TestLoopbackPorts(t *testing.T) {
	t.Parallel()
	var want []uint16
	for _, address := range []string{"127.0.0.1:0", "127.1.2.3:0", "0.0.0.0:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		want = append(want, uint16(l.Addr().(*net.TCPAddr).Port))
	}
	got := LoopbackPorts()
	for i, port := range want {
		if !slices.Contains(got, port) {
			t.Errorf("port %d, the listener %d, is not in %v", port, i, got)
		}
	}
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0200000A:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:0017 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 00000000000000000000000001000000:0018 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 3 1
`
	if got := listening(table); got != nil {
		t.Errorf("what no client of 127.0.0.1 reaches are %v", got)
	}
}

func TestHostsByDNS(t *testing.T) {
	t.Parallel()
	got := string(hostsByDNS([]byte("passwd: files\n hosts: files resolve [!UNAVAIL=return] dns\n# hosts: x\n")))
	if want := "passwd: files\nhosts: files dns\n# hosts: x\n"; got != want {
		t.Errorf("it is %q", got)
	}
}
