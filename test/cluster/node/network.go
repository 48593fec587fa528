//go:build linux

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// sysctls are the kernel settings that Kubernetes changes. They are put back
// when the node goes.
func sysctls() []string {
	return []string{
		"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/bridge/bridge-nf-call-iptables",
		"net/bridge/bridge-nf-call-ip6tables", "net/ipv6/conf/all/forwarding", "net/netfilter/nf_conntrack_max",
		"net/netfilter/nf_conntrack_tcp_timeout_established", "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
		"net/netfilter/nf_conntrack_tcp_be_liberal", "net/ipv4/vs/conntrack",
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	}
}

// readSysctls returns the settings that this kernel has.
func readSysctls() map[string]string {
	values := map[string]string{}
	for _, name := range sysctls() {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			values[name] = strings.TrimSpace(string(value))
		}
	}
	return values
}

// restoreSysctls puts back the settings that have changed since the record was
// made. A boot has done so already, and the machine's own may be others now.
func restoreSysctls(r record) error {
	if boot, err := bootID(); err != nil || boot != r.Boot {
		return err
	}
	var all error
	for name, now := range readSysctls() {
		if value, ok := r.Sysctls[name]; ok && value != now {
			all = errors.Join(all, os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644))
		}
	}
	return all
}

// raiseNetwork makes the interface that has the node's address, and the rules
// for the pods' traffic to the outside.
func raiseNetwork(ctx context.Context, c Config) error {
	for _, args := range [][]string{
		// A bridge without ports serves like a dummy interface, which not every kernel has.
		{"ip", "link", "add", Context, "type", "bridge"},
		{"ip", "address", "add", c.nodeIP().String() + "/32", "dev", Context},
		{"ip", "link", "set", Context, "up"},
	} {
		if _, err := run(ctx, "", args...); err != nil {
			return err
		}
	}
	if _, err := run(ctx, masquerade(c), "iptables-restore", "--noflush", "--wait"); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

// dropNetwork removes the interfaces, chains and rules of a node that has
// ended. Only links with an address of the node or its pods are touched.
func dropNetwork(ctx context.Context, r record) error {
	links, err := ownLinks(r.Config)
	if err != nil {
		return err
	}
	var all error
	for _, name := range links {
		// The kernel removes a link, too, once its pod's namespace is gone.
		if _, err := run(ctx, "", "ip", "link", "delete", name); err != nil && linkExists(name) {
			all = errors.Join(all, err)
		}
	}
	for _, family := range filterFamilies() {
		all = errors.Join(all, dropRules(ctx, family, r.Tables))
	}
	return all
}

func linkExists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// ownLinks lists the interface of the node and the host ends of its pods'.
func ownLinks(c Config) ([]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	var names []string
	for _, link := range all {
		addresses, err := link.Addrs()
		own := link.Name == Context
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			own = own || err == nil && prefix.Addr() == c.gateway() && strings.HasPrefix(link.Name, "veth")
		}
		if err == nil && own {
			names = append(names, link.Name)
		}
	}
	return names, nil
}

// filterFamilies are the protocol families, as nftables names them; the
// programs of iptables begin with them.
func filterFamilies() []string { return []string{"ip", "ip6"} }

// filterTables lists the packet filter tables that there are, like "ip nat".
func filterTables(ctx context.Context) []string {
	var tables []string
	for _, family := range filterFamilies() {
		// A kernel without the family has no tables of it.
		save, _ := run(ctx, "", family+"tables-save")
		for line := range strings.Lines(save) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "*"); ok {
				tables = append(tables, family+" "+name)
			}
		}
	}
	return tables
}

// dropRules removes the cluster's chains and rules of one protocol family, and
// the tables that came with them and are empty now.
func dropRules(ctx context.Context, family string, former []string) error {
	save, err := run(ctx, "", family+"tables-save")
	if err != nil {
		return err
	}
	if input := unruled(save); input != "" {
		if _, err = run(ctx, input, family+"tables-restore", "--noflush", "--wait"); err != nil {
			return err
		}
		if save, err = run(ctx, "", family+"tables-save"); err != nil {
			return err
		}
	}
	var all error
	for _, name := range emptyTables(save) {
		if !slices.Contains(former, family+" "+name) {
			// Where iptables keeps its rules in the older way, nft sees no table,
			// and an empty one does not show.
			_, err := run(ctx, "", "nft", "delete", "table", family, name)
			if err != nil && !errors.Is(err, exec.ErrNotFound) && !strings.Contains(err.Error(), "No such file") {
				all = errors.Join(all, err)
			}
		}
	}
	return all
}

// foreignKubernetes reports chains of Kubernetes that are not this cluster's,
// when none of its own state is there.
func foreignKubernetes(ctx context.Context) error {
	save, err := run(ctx, "", "iptables-save")
	if err != nil {
		return err
	}
	if unruled(save) != "" && !linkExists(Context) {
		return errors.New("another Kubernetes or CNI has packet filter chains (KUBE-*, CNI-*) on this machine, and the test cluster would break it; " +
			"name a cluster by OKTETO_TEST_CONTEXT instead")
	}
	return nil
}

// subnetFree reports an interface that has an address in the node's subnet.
func subnetFree(c Config) error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("listing addresses: %w", err)
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil && prefix.Masked().Overlaps(c.Subnet) {
			return fmt.Errorf("the machine's own network %s overlaps the cluster's %s; choose another /16 by --subnet", prefix.Masked(), c.Subnet)
		}
	}
	return nil
}

// portsFree reports the first address that a component needs and somebody
// else listens on.
func portsFree(ctx context.Context, c Config) error {
	for _, component := range components(c) {
		for _, address := range component.Listen {
			if strings.HasPrefix(address, c.nodeIP().String()) {
				continue // nobody else has this address
			}
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
			if err != nil {
				return fmt.Errorf("%s needs %s: %w (who listens there: ss -ltnp)", component.Name, address, err)
			}
			if err := listener.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// run runs a command with a text as its standard input and returns what it
// printed; an error has its messages.
func run(ctx context.Context, input string, args ...string) (string, error) {
	program, err := lookPath(args[0])
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, program, args[1:]...)
	command.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
