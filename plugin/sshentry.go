package plugin

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// sshConfig are our entries for ssh and the user's own file that includes
// them. Depends on: Folder, Home.
func (f *Factory) sshConfig() sshclient.ConfigDir {
	return sshclient.ConfigDir{
		Dir:        filepath.Join(f.Folder(), "ssh"),
		UserConfig: filepath.Join(f.Home, ".ssh", "config"),
	}
}

// sshAlias is the name under which ssh knows a development container.
func sshAlias(dev string) string { return dev + ".okteto" }

// writeSSHEntry makes `ssh <dev>.okteto` work, with the host key pinned. port,
// unless 0, is a local port that leads to the agent.
func (f *Factory) writeSSHEntry(cluster Cluster, dev string, hostKey ssh.PublicKey, port int) error {
	return f.sshConfig().Add(sshclient.Host{
		Alias:        sshAlias(dev),
		ProxyCommand: append(append([]string{f.Executable, "ssh-proxy"}, f.proxyArgs(cluster)...), dev),
		Port:         port,
		HostKey:      hostKey,
		IdentityFile: filepath.Join(f.Folder(), sshclient.KeyFile),
	})
}

// proxyArgs are the arguments of ssh-proxy that lead to the same cluster as the
// user's, from another folder and without this environment, as IDEs start ssh.
// Secrets are not among them: whoever lists processes reads arguments. Depends on:
// Flags, Env, Dir.
func (f *Factory) proxyArgs(cluster Cluster) []string {
	var args []string
	add := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name+"="+value)
		}
	}
	flags := f.Flags
	add("context", cluster.Context)
	add("namespace", cluster.Namespace)
	switch files := f.kubeconfigs(); len(files) {
	case 0:
	case 1:
		add("kubeconfig", files[0])
	default:
		add(flagKubeconfigs, strings.Join(files, string(os.PathListSeparator)))
	}
	add("cluster", *flags.ClusterName)
	add("user", *flags.AuthInfoName)
	add("server", *flags.APIServer)
	add("tls-server-name", *flags.TLSServerName)
	add("certificate-authority", f.absolute(*flags.CAFile))
	add("client-certificate", f.absolute(*flags.CertFile))
	add("client-key", f.absolute(*flags.KeyFile))
	add("as", *flags.Impersonate)
	add("as-uid", *flags.ImpersonateUID)
	for _, group := range *flags.ImpersonateGroup {
		add("as-group", group)
	}
	for _, extra := range *flags.ImpersonateUserExtra {
		add("as-user-extra", extra)
	}
	if *flags.Insecure {
		args = append(args, "--insecure-skip-tls-verify")
	}
	if *flags.Timeout != defaultTimeout {
		add("request-timeout", *flags.Timeout)
	}
	if dir, _ := f.Env(envFolder); dir != "" {
		add(flagFolder, f.Folder())
	}
	return args
}

// defaultTimeout is that of kubectl's flag: requests take as long as they take.
const defaultTimeout = "0"

// kubeconfigs are the files that name the cluster; none means kubectl's own
// default. Depends on: Flags, Env, Dir.
func (f *Factory) kubeconfigs() []string {
	if file := *f.Flags.KubeConfig; file != "" {
		return []string{f.absolute(file)}
	}
	list, _ := f.Env(envKubeconfig)
	var files []string
	for _, file := range filepath.SplitList(list) {
		if file != "" {
			files = append(files, f.absolute(file))
		}
	}
	return files
}

// envKubeconfig is the variable that names kubectl's files.
const envKubeconfig = "KUBECONFIG"

// absolute returns a path for use from another folder; "" stays. Depends on: Dir.
func (f *Factory) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.Dir, path)
}

// secretFlags are the flags that the user gave and that are in no entry for ssh.
// Depends on: Flags.
func (f *Factory) secretFlags() []string {
	var given []string
	if *f.Flags.BearerToken != "" {
		given = append(given, "--token")
	}
	if *f.Flags.Username != "" || *f.Flags.Password != "" {
		given = append(given, "--username and --password")
	}
	return given
}
