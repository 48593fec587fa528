// Package node runs a real Kubernetes of one node on this machine, as
// processes of the host.
//
// All programs run below one supervisor in a process and a mount namespace of
// their own. The kernel ends every one of them, with all containers, and takes
// all their mounts away when the supervisor ends, however it ends; and what
// they write to /run, /var/lib, /var/log, /opt and /usr/libexec lands in the
// state folder. Only what lives in the machine's network namespace and in the
// cgroup trees is left to clean up.
package node

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// Names that only this cluster uses on a machine.
const (
	Context      = "okteto-test"    // kube context, node, bridge, cgroup, network
	Registry     = "127.0.0.1:5000" // the registry of images
	StorageClass = "local"          // the default storage class
	provisioner  = "okteto-test/local"
)

// Config says where a node keeps its state, which addresses it uses and where
// its programs are.
type Config struct {
	State    string            // absolute path of the state folder
	Subnet   netip.Prefix      // an unused IPv4 /16
	Programs map[string]string // path of each program, by name
}

// maxState keeps the longest Unix socket path below the kernel's 108 bytes.
const maxState = 60

// Verify reports what a config asks for in vain.
func (c Config) Verify() error {
	if !filepath.IsAbs(c.State) || len(c.State) > maxState || strings.ContainsAny(c.State, " :,'\"\\\n") {
		return fmt.Errorf("state folder %q: want an absolute path of at most %d bytes without spaces, colons, commas, quotes and backslashes", c.State, maxState)
	}
	for _, dir := range privateDirs() {
		if strings.HasPrefix(c.State+"/", dir+"/") {
			return fmt.Errorf("state folder %q: %s is private to the node's programs; choose a folder elsewhere", c.State, dir)
		}
	}
	if !c.Subnet.Addr().Is4() || c.Subnet.Bits() != 16 || c.Subnet.Masked() != c.Subnet {
		return fmt.Errorf("subnet %s: want an IPv4 /16", c.Subnet)
	}
	return nil
}

// privateDirs are the folders of the machine that the node's programs see as
// they are, but write to the state folder.
func privateDirs() []string { return []string{"/run", "/var/lib", "/var/log", "/opt", "/usr/libexec"} }

// path returns a path in the state folder.
func (c Config) path(elements ...string) string {
	return filepath.Join(append([]string{c.State}, elements...)...)
}

// address returns the address with the given last two bytes.
func (c Config) address(third, fourth byte) netip.Addr {
	a := c.Subnet.Addr().As4()
	return netip.AddrFrom4([4]byte{a[0], a[1], third, fourth})
}

// The subnet is divided: the lowest /20 is for pods, the next address range
// for the node, the upper half for Services.
func (c Config) pods() netip.Prefix     { return netip.PrefixFrom(c.address(0, 0), 20) }
func (c Config) gateway() netip.Addr    { return c.address(0, 1) }
func (c Config) nodeIP() netip.Addr     { return c.address(16, 1) }
func (c Config) services() netip.Prefix { return netip.PrefixFrom(c.address(128, 0), 17) }
func (c Config) apiService() netip.Addr { return c.address(128, 1) }
func (c Config) dnsService() netip.Addr { return c.address(128, 10) }

// Kubeconfig is the cluster's own kubeconfig file, for its administrator.
func (c Config) Kubeconfig() string { return c.path("etc", "admin.conf") }

// BuildKit is the address of the BuildKit daemon.
func (c Config) BuildKit() string { return "unix://" + c.path("run", "buildkitd.sock") }

// Problems that callers tell apart.
var (
	// ErrRunning means that a cluster runs on this machine already.
	ErrRunning = errors.New("a test cluster is running on this machine already; stop it with the verb down")
	// ErrStopped means that no cluster runs in this state folder.
	ErrStopped = errors.New("no test cluster is running; start one with the verb up")
)
