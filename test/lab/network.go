package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
)

// Network is a laptop of its own: a network namespace that reaches the machine
// through a router, another namespace, which loses packets on demand. It takes
// root on Linux, iproute2 and iptables.
//
//	machine  Host ─── router ─── laptop  the commands of Enter
//
// A process holds each namespace until its standard input ends, so that nothing
// is left of a run that was killed.
type Network struct {
	// Host is the machine's address as the laptop sees it: what the laptop
	// shall reach listens there.
	Host string

	laptop, router *namespace
	device         string // the machine's end; "" before it is there
}

// NewNetwork makes a network that loses nothing, for its caller to close.
func NewNetwork(ctx context.Context) (*Network, error) {
	n := &Network{}
	err := n.make(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a network: %w", err), n.Close())
	}
	return n, nil
}

func (n *Network) make(ctx context.Context) (err error) {
	if n.router, err = newNamespace(); err != nil {
		return err
	}
	if n.laptop, err = newNamespace(); err != nil {
		return err
	}
	// Eight addresses of the range that is set aside for benchmarks, for two
	// links; networks of two runs at once must not meet.
	block := rand.IntN(1 << 13)
	address := func(i int) string { return fmt.Sprintf("198.18.%d.%d", block>>5, block&31<<3+i) }
	n.Host = address(1)
	device := fmt.Sprintf("okteto%d", block)
	// A link takes one packet at a time, so that each is lost by itself.
	const single = " gso_max_segs 1"
	for _, step := range []struct {
		in     *namespace // nil is the machine's
		script string
	}{
		{nil, fmt.Sprintf("ip link add %s%s type veth peer name machine netns %d", device, single, n.router.pid())},
		{n.router, fmt.Sprintf("ip link add laptop%s type veth peer name eth0%s netns %d", single, single, n.laptop.pid())},
		{n.router, "ip link set machine" + single},
		{nil, fmt.Sprintf("ip addr add %s/30 dev %s && ip link set %s up", n.Host, device, device)},
		{n.router, fmt.Sprintf("ip addr add %s/30 dev machine && ip link set machine up", address(2))},
		{n.router, fmt.Sprintf("ip addr add %s/30 dev laptop && ip link set laptop up", address(5))},
		{n.router, "echo 1 >/proc/sys/net/ipv4/ip_forward"},
		{n.laptop, fmt.Sprintf("ip addr add %s/30 dev eth0 && ip link set eth0 up && ip link set lo up", address(6))},
		{n.laptop, "ip route add default via " + address(5)},
		{nil, fmt.Sprintf("ip route add %s/32 via %s", address(6), address(2))},
	} {
		cmd := exec.CommandContext(ctx, "sh", "-c", step.script)
		if err := step.in.run(cmd); err != nil {
			return err
		}
	}
	n.device = device
	return nil
}

// Lose makes the router lose packets at random, each with that probability, in
// both directions: 0 loses none, 1 all of them.
func (n *Network) Lose(ctx context.Context, probability float64) error {
	rule := "-A FORWARD -m statistic --mode random --probability " + strconv.FormatFloat(probability, 'f', -1, 64) + " -j DROP\n"
	switch probability {
	case 0:
		rule = ""
	case 1:
		rule = "-A FORWARD -j DROP\n"
	}
	cmd := exec.CommandContext(ctx, "iptables-restore", "--wait")
	cmd.Stdin = strings.NewReader("*filter\n:FORWARD ACCEPT\n" + rule + "COMMIT\n")
	return n.router.run(cmd)
}

// Plug connects the laptop's cable, or pulls it out, and waits until both ends
// have noticed, which takes the kernel up to a second. A laptop that is connected
// forgets for whom it has asked in vain: what it sends while the kernel still waits
// for an answer is lost.
func (n *Network) Plug(ctx context.Context, in bool) error {
	link, state := "down", "DOWN "
	if in {
		link, state = "up", " UP "
	}
	const wait = "until ip -brief link show dev %s | grep -q '%s'; do sleep 0.01; done"
	return errors.Join(
		n.router.run(exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("ip link set laptop %s && "+wait, link, "laptop", state))),
		n.laptop.run(exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(wait+" && ip neigh flush dev eth0", "eth0", state))))
}

// Enter makes a command that has not started run on the laptop.
func (n *Network) Enter(cmd *exec.Cmd) error { return n.laptop.enter(cmd) }

// Close removes the network; what runs on the laptop loses it.
func (n *Network) Close() error {
	var err error
	if n.device != "" {
		// The kernel takes its time to remove what is in a namespace.
		err = (*namespace)(nil).run(exec.Command("ip", "link", "del", n.device))
	}
	err = errors.Join(err, n.laptop.close(), n.router.close())
	*n = Network{}
	return err
}

// namespace is a network namespace and the process that holds it; nil is the
// machine's own.
type namespace struct {
	holder *exec.Cmd
	in     io.Closer
}

func newNamespace() (*namespace, error) {
	n := &namespace{holder: exec.Command("unshare", "--net", "sh", "-c", "echo made; exec cat >&2")}
	in, err := n.holder.StdinPipe()
	if err != nil {
		return nil, err
	}
	n.in = in
	out, err := n.holder.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var failed strings.Builder
	n.holder.Stderr = &failed
	if err := n.holder.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("making a network namespace: %w: %s", errors.Join(err, n.close()), failed.String())
	}
	return n, nil
}

func (n *namespace) pid() int { return n.holder.Process.Pid }

// enter makes a command run in the namespace.
func (n *namespace) enter(cmd *exec.Cmd) error {
	if n == nil {
		return nil
	}
	path, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	cmd.Args = append([]string{path, fmt.Sprintf("--net=/proc/%d/ns/net", n.pid()), "--", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = path
	return nil
}

// run runs a command in the namespace to its end.
func (n *namespace) run(cmd *exec.Cmd) error {
	asked := strings.Join(cmd.Args, " ")
	if err := n.enter(cmd); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", asked, err, out)
	}
	return nil
}

func (n *namespace) close() error {
	if n == nil {
		return nil
	}
	return errors.Join(n.in.Close(), n.holder.Wait())
}
