package node

import (
	"os"
	"path/filepath"
	"strings"
)

// The configuration files of the components. In each of them, ${name} stands
// for what Config.values says.
const (
	// ptp gives each pod a link of its own and routes between them, so that
	// Services work without the kernel filtering bridged packets. Outgoing
	// traffic is masqueraded once for all pods (see network), and not per pod.
	cniConfig = `{"cniVersion": "1.0.0", "name": "${name}", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "${state}/data/cni",
    "ranges": [[{"subnet": "${pods}", "gateway": "${gateway}"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`
	// restrict_oom_score_adj: without CAP_SYS_RESOURCE nobody may lower
	// oom_score_adj, and every sandbox would fail to start.
	containerdConfig = `version = 3
root = "${state}/data/containerd"
state = "${state}/run/containerd"
temp = "${state}/tmp"
imports = []
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "${state}/run/containerd.sock"
[ttrpc]
  address = "${state}/run/containerd-ttrpc.sock"
[plugins."io.containerd.metadata.v1.bolt"]
  no_sync = true
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${registry}/pause:1"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "${state}/etc/registries"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  enable_cdi = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["${plugins}"]
    conf_dir = "${state}/etc/cni"
    use_internal_loopback = true
`
	registriesConfig = `server = "http://${registry}"
[host."http://${registry}"]
  capabilities = ["pull", "resolve"]
`
	// failCgroupV1: Kubernetes 1.35 and later refuse a machine with cgroup v1
	// otherwise. The limits on requests are for clusters of many nodes.
	// crashLoopBackOff: tests kill containers, and have no time for minutes.
	kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: ${node}
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: ${state}/etc/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /${name}
clusterDNS: ["${dns}"]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://${state}/run/containerd.sock
crashLoopBackOff: {maxContainerRestartPeriod: 1s}
eventBurst: 400
eventRecordQPS: 200
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
kubeAPIBurst: 400
kubeAPIQPS: 200
makeIPTablesUtilChains: false
nodeStatusUpdateFrequency: 5s
oomScoreAdj: 0
podLogsDir: ${state}/log/pods
registryPullQPS: 0
resolvConf: ${resolv}
serializeImagePulls: false
tlsCertFile: ${state}/etc/kubelet.crt
tlsPrivateKeyFile: ${state}/etc/kubelet.key
volumePluginDir: ${state}/data/volumeplugins
`
	schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: ${state}/etc/scheduler.conf, qps: 200, burst: 400}
leaderElection: {leaderElect: false}
`
	// The conntrack settings leave the machine's own as they are.
	proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: ${node}
clientConnection: {kubeconfig: ${state}/etc/proxy.conf, qps: 200, burst: 400}
clusterCIDR: ${pods}
conntrack: {maxPerCore: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
healthzBindAddress: 127.0.0.1:10256
hostnameOverride: ${name}
iptables: {localhostNodePorts: false, minSyncPeriod: 100ms}
metricsBindAddress: 127.0.0.1:10249
mode: iptables
nodePortAddresses: ["${node}/32"]
oomScoreAdj: 0
`
	registryConfig = `version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: ${state}/data/registry}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "${registry}", secret: ${name}}
`
	buildkitConfig = `root = "${state}/data/buildkit"
[grpc]
  address = ["unix://${state}/run/buildkitd.sock"]
[otel]
  socketPath = "${state}/run/buildkit-otel.sock"
[cdi]
  disabled = true
[worker.oci]
  enabled = true
  snapshotter = "overlayfs"
  binary = "runc"
  networkMode = "host"
  defaultCgroupParent = "/${name}/buildkit"
[worker.containerd]
  enabled = false
[registry."${registry}"]
  http = true
`
	corefile = `.:53 {
  bind ${node}
  errors
  ready ${node}:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${state}/etc/admin.conf
    pods insecure
    ttl 1
  }
  forward . ${resolv} {
    max_concurrent 1000
  }
  cache 30 {
    disable success cluster.local
    disable denial cluster.local
  }
}
`
)

// resolvConf is where the machine's own name servers are.
const resolvConf = "/etc/resolv.conf"

// values are what the configuration files' placeholders stand for.
func (c Config) values() *strings.Replacer {
	resolv := resolvConf
	if _, err := os.Stat(resolv); err != nil {
		resolv = c.path("etc", "resolv.conf")
	}
	return strings.NewReplacer(
		"${name}", Context, "${state}", c.State, "${registry}", Registry,
		"${pods}", c.pods().String(), "${gateway}", c.gateway().String(), "${node}", c.nodeIP().String(),
		"${dns}", c.dnsService().String(), "${plugins}", filepath.Dir(c.Programs["ptp"]), "${resolv}", resolv,
	)
}

// render returns the configuration files by their path below the folder etc.
func render(c Config) map[string]string {
	files := map[string]string{
		"cni/10-node.conflist":                   cniConfig,
		"containerd.toml":                        containerdConfig,
		"registries/" + Registry + "/hosts.toml": registriesConfig,
		"kubelet.yaml":                           kubeletConfig,
		"scheduler.yaml":                         schedulerConfig,
		"proxy.yaml":                             proxyConfig,
		"registry.yaml":                          registryConfig,
		"buildkitd.toml":                         buildkitConfig,
		"Corefile":                               corefile,
		// For a machine that has no name servers at all.
		"resolv.conf": "nameserver 127.0.0.1\n",
	}
	values := c.values()
	for name, text := range files {
		files[name] = values.Replace(text)
	}
	return files
}

// writeFiles writes the configuration files and makes the folders that the
// components expect.
func writeFiles(c Config) error {
	for _, dir := range []string{"etc", "run", "log/pods", "data/volumes", "tmp"} {
		if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
			return err
		}
	}
	for name, text := range render(c) {
		path := c.path("etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
