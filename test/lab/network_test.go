package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestNetwork sends datagrams over a network to the machine and back.
func TestNetwork(t *testing.T) {
	const sent = 200
	n := opened(t)
	// silence is how long no datagram comes when no more is to come. Where all
	// come, nobody waits for it. A laptop that is unplugged for so long asks in
	// vain who has the router's address, and is plugged in before it gives up.
	const silence = time.Second
	for _, step := range []struct {
		name        string
		probability float64
		unplugged   bool
		least, most int
		patience    time.Duration
	}{
		{"sound", 0, false, sent, sent, Patience},
		{"lossy", 0.5, false, 1, sent - 50, 5 * silence},
		{"black hole", 1, false, 0, 0, silence},
		{"unplugged", 0, true, 0, 0, silence},
		{"healed", 0, false, sent, sent, Patience},
	} {
		if err := n.Lose(t.Context(), step.probability); err != nil {
			t.Fatal(err)
		}
		if err := n.Plug(t.Context(), !step.unplugged); err != nil {
			t.Fatal(err)
		}
		if got := pings(t, n, sent, step.patience); got < step.least || got > step.most {
			t.Errorf("%s: %d of %d datagrams came back, not %d to %d", step.name, got, sent, step.least, step.most)
		}
	}
}

// TestNetworkLeavesNothing looks for the device of a network that was closed.
func TestNetworkLeavesNothing(t *testing.T) {
	n := opened(t)
	host := n.Host
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err == nil {
		t.Errorf("the machine still has the address %s", host)
		_ = l.Close()
	}
}

// TestLaptop is no test: it is what pings runs on the laptop.
func TestLaptop(t *testing.T) {
	address := os.Getenv("LAB_PING")
	if address == "" {
		t.Skip("for TestNetwork")
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent, _ := strconv.Atoi(os.Getenv("LAB_PINGS"))
	patience, err := time.ParseDuration(os.Getenv("LAB_PATIENCE"))
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	go func() {
		for range sent {
			_, _ = conn.Write([]byte("ping")) // lost is lost
		}
	}()
	for buf := make([]byte, 64); answers < sent; answers++ {
		_ = conn.SetReadDeadline(time.Now().Add(patience)) // never fails
		if _, err := conn.Read(buf); err != nil {
			break
		}
	}
	fmt.Printf("answers: %d\n", answers)
}

// opened makes a network, or skips the test where that is not possible.
func opened(t *testing.T) *Network {
	t.Helper()
	for _, program := range []string{"ip", "iptables-restore", "nsenter", "unshare"} {
		if _, err := exec.LookPath(program); err != nil || os.Getuid() != 0 {
			t.Skip("a network needs root on Linux, iproute2 and iptables")
		}
	}
	n, err := NewNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// pings returns how many of so many datagrams came back to the laptop, which waits
// for each as long as it has patience.
func pings(t *testing.T, n *Network, sent int, patience time.Duration) int {
	t.Helper()
	server, err := net.ListenPacket("udp", net.JoinHostPort(n.Host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 64)
		for {
			size, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(buf[:size], from)
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestLaptop$")
	cmd.Env = append(os.Environ(), "LAB_PING="+server.LocalAddr().String(), "LAB_PINGS="+strconv.Itoa(sent), "LAB_PATIENCE="+patience.String())
	if err := n.Enter(cmd); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, count, _ := strings.Cut(string(out), "answers: ")
	count, _, _ = strings.Cut(count, "\n")
	answers, err := strconv.Atoi(count)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answers
}
