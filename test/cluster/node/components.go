package node

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Component is one program of the node: how it is started and how one sees
// that it serves.
type Component struct {
	Name   string
	Args   []string // the program and its arguments
	Health string   // "unix:" path, or an http or https URL; "" when running is all there is to see
	Listen []string // TCP addresses that it needs
}

// server is the address of the API server, which is the node's and not the
// loopback one, because pods reach it there, too.
func (c Config) server() string { return "https://" + c.apiAddress() }

func (c Config) apiAddress() string { return c.nodeIP().String() + ":6443" }

// Addresses of etcd that a machine's own etcd does not use.
const (
	etcdClients = "127.0.0.1:23790"
	etcdPeers   = "127.0.0.1:23800"
)

// components returns all programs in the order in which they are started.
func components(c Config) []Component {
	etc := func(name string) string { return c.path("etc", name) }
	node := c.nodeIP().String()
	kubernetes := c.Programs["kubernetes"]
	return []Component{
		{
			Name: "etcd", Health: "http://" + etcdClients + "/health", Listen: []string{etcdClients, etcdPeers},
			Args: []string{
				kubernetes, "etcd", "--data-dir=" + c.path("data", "etcd"), "--unsafe-no-fsync", "--log-level=warn",
				"--listen-client-urls=http://" + etcdClients, "--advertise-client-urls=http://" + etcdClients,
				"--listen-peer-urls=http://" + etcdPeers, "--initial-advertise-peer-urls=http://" + etcdPeers,
				"--initial-cluster=default=http://" + etcdPeers,
			},
		},
		{
			Name: "registry", Health: "http://" + Registry + "/v2/", Listen: []string{Registry},
			Args: []string{c.Programs["registry"], "serve", etc("registry.yaml")},
		},
		{
			Name: "containerd", Health: "unix:" + c.path("run", "containerd.sock"),
			Args: []string{c.Programs["containerd"], "--config", etc("containerd.toml")},
		},
		{Name: "kube-apiserver", Health: c.server() + "/readyz", Listen: []string{c.apiAddress()}, Args: apiserverArgs(c)},
		{
			Name: "kube-controller-manager", Health: "https://127.0.0.1:10257/healthz", Listen: []string{"127.0.0.1:10257"},
			Args: []string{
				kubernetes, "kube-controller-manager", "--bind-address=127.0.0.1", "--leader-elect=false",
				"--kubeconfig=" + etc("controllers.conf"), "--authentication-kubeconfig=" + etc("controllers.conf"),
				"--authorization-kubeconfig=" + etc("controllers.conf"), "--use-service-account-credentials",
				"--service-account-private-key-file=" + etc("tokens.key"), "--root-ca-file=" + etc("ca.crt"),
				"--cluster-signing-cert-file=" + etc("ca.crt"), "--cluster-signing-key-file=" + etc("ca.key"),
				"--flex-volume-plugin-dir=" + c.path("data", "volumeplugins"), "--cert-dir=" + c.path("data", "controllers-pki"),
				"--kube-api-qps=200", "--kube-api-burst=400",
			},
		},
		{
			Name: "kube-scheduler", Health: "https://127.0.0.1:10259/healthz", Listen: []string{"127.0.0.1:10259"},
			Args: []string{
				kubernetes, "kube-scheduler", "--bind-address=127.0.0.1", "--config=" + etc("scheduler.yaml"),
				"--authentication-kubeconfig=" + etc("scheduler.conf"), "--authorization-kubeconfig=" + etc("scheduler.conf"),
				"--cert-dir=" + c.path("data", "scheduler-pki"),
			},
		},
		{
			Name: "kubelet", Health: "http://127.0.0.1:10248/healthz", Listen: []string{"127.0.0.1:10248", node + ":10250"},
			Args: []string{
				kubernetes, "kubelet", "--config=" + etc("kubelet.yaml"), "--kubeconfig=" + etc("kubelet.conf"),
				"--hostname-override=" + Context, "--node-ip=" + node, "--root-dir=" + c.path("data", "kubelet"),
				"--cert-dir=" + c.path("data", "kubelet-pki"),
			},
		},
		{
			Name: "kube-proxy", Health: "http://127.0.0.1:10256/healthz", Listen: []string{"127.0.0.1:10249", "127.0.0.1:10256"},
			Args: []string{kubernetes, "kube-proxy", "--config=" + etc("proxy.yaml")},
		},
		{
			Name: "coredns", Health: "http://" + node + ":8181/ready", Listen: []string{node + ":53", node + ":8181"},
			Args: []string{c.Programs["addons"], "coredns", "-conf", etc("Corefile")},
		},
		{
			Name: "storage",
			Args: []string{
				c.Programs["addons"], "storage", "--kubeconfig=" + etc("admin.conf"), "--provisioner=" + provisioner,
				"--dir=" + c.path("data", "volumes"),
			},
		},
		{
			Name: "buildkitd", Health: "unix:" + c.path("run", "buildkitd.sock"),
			Args: []string{c.Programs["buildkitd"], "--config", etc("buildkitd.toml")},
		},
	}
}

func apiserverArgs(c Config) []string {
	etc := func(name string) string { return c.path("etc", name) }
	return []string{
		c.Programs["kubernetes"], "kube-apiserver", "--etcd-servers=http://" + etcdClients,
		"--bind-address=" + c.nodeIP().String(), "--advertise-address=" + c.nodeIP().String(), "--secure-port=6443",
		"--service-cluster-ip-range=" + c.services().String(), "--allow-privileged=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--cert-dir=" + c.path("data", "apiserver-pki"),
		"--tls-cert-file=" + etc("apiserver.crt"), "--tls-private-key-file=" + etc("apiserver.key"),
		"--client-ca-file=" + etc("ca.crt"),
		"--kubelet-client-certificate=" + etc("kubelet-client.crt"), "--kubelet-client-key=" + etc("kubelet-client.key"),
		"--kubelet-certificate-authority=" + etc("ca.crt"),
		// The node's name does not resolve.
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-key-file=" + etc("tokens.pub"), "--service-account-signing-key-file=" + etc("tokens.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		// One authority signs all certificates: only this one may speak for others.
		"--requestheader-client-ca-file=" + etc("ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + etc("front-proxy.crt"), "--proxy-client-key-file=" + etc("front-proxy.key"),
	}
}

// find returns the component of a name.
func find(c Config, name string) (Component, error) {
	for _, component := range components(c) {
		if component.Name == name {
			return component, nil
		}
	}
	return Component{}, fmt.Errorf("no component is called %q", name)
}

// searchPath is the PATH of the components: their own programs, then the
// system's.
func searchPath(c Config) string {
	dirs := map[string]bool{}
	for _, program := range c.Programs {
		dirs[filepath.Dir(program)] = true
	}
	return strings.Join(append(slices.Sorted(maps.Keys(dirs)), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"), ":")
}

// ClientPath returns the folders of the programs that are of use outside the
// node: kubectl, ctr and buildctl.
func (c Config) ClientPath() []string {
	dirs := map[string]bool{}
	for _, name := range []string{"kubectl", "ctr", "buildctl"} {
		dirs[filepath.Dir(c.Programs[name])] = true
	}
	return slices.Sorted(maps.Keys(dirs))
}
