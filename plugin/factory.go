package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel"
)

// defaultAgentRepository is where released agent images live; the tag is the
// plugin's own version.
const defaultAgentRepository = "ghcr.io/kubectl-okteto/agent"

// Factory builds what commands need, when they need it. Everything that comes
// from outside the process is one of its fields.
type Factory struct {
	// Streams are the process's standard streams.
	Streams genericiooptions.IOStreams
	// Env looks up an environment variable.
	Env func(string) (string, bool)
	// Flags are kubectl's usual flags: --context, --namespace and the rest.
	Flags *genericclioptions.ConfigFlags
	// Dir is the working directory, Home the user's home directory.
	Dir, Home string
	// Executable is the path of this binary, for ssh_config's ProxyCommand.
	Executable string
	// Args is the command line, the program's name first.
	Args []string
	// Now tells the time.
	Now func() time.Time

	// hangUp closes all connections of API clients.
	hangUp func()
	// input is standard input, shared by the commands of one process that
	// run one after the other.
	input func() *sshclient.Input
}

// newFactory reads what the process was given. Depends on: nothing.
func newFactory(env func(string) (string, bool), streams genericiooptions.IOStreams) (*Factory, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the working directory: %w", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("finding the home directory: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	connections := workload.NewConnections()
	// Room for the parallel requests of `up`; the API server has its own
	// fairness queue.
	// Not persistent: a kubeconfig that changes is read again.
	flags := genericclioptions.NewConfigFlags(false).WithDeprecatedPasswordFlag().WithDiscoveryQPS(100).WithDiscoveryBurst(200)
	flags.WrapConfigFn = func(c *rest.Config) *rest.Config {
		c.QPS, c.Burst = 100, 200
		c.UserAgent = "kubectl-okteto/" + config.Version()
		connections.Configure(c)
		return c
	}
	return &Factory{
		hangUp:  connections.HangUp,
		Streams: streams, Env: env, Flags: flags,
		Dir: dir, Home: home, Executable: executable, Now: time.Now,
		input: sync.OnceValue(func() *sshclient.Input { return sshclient.NewInput(streams.In) }),
	}, nil
}

// Console prints progress to standard error. Depends on: Streams, Env.
func (f *Factory) Console() *console.Console {
	style := console.Style{}
	if file, ok := f.Streams.ErrOut.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		_, noColour := f.Env("NO_COLOR")
		style = console.Style{Colour: !noColour, Transient: true, Width: func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 0
			}
			return width
		}}
	}
	return console.New(f.Streams.ErrOut, style, f.Now)
}

// envFolder is the variable that names the plugin's folder.
const envFolder = "OKTETO_FOLDER"

// Folder is where the plugin keeps its files: $OKTETO_FOLDER, else ~/.okteto.
// Depends on: Env, Home, Dir.
func (f *Factory) Folder() string {
	switch dir, _ := f.Env(envFolder); {
	case filepath.IsAbs(dir):
		return dir
	case dir != "":
		return filepath.Join(f.Dir, dir)
	}
	return filepath.Join(f.Home, ".okteto")
}

// AgentImage is the agent's image unless the manifest names one:
// $OKTETO_AGENT_IMAGE, else the released image of this version. Depends on:
// Env.
func (f *Factory) AgentImage() string {
	if image, ok := f.Env("OKTETO_AGENT_IMAGE"); ok && image != "" {
		return image
	}
	return defaultAgentRepository + ":" + config.Version()
}

// Cluster names the cluster and the namespace that a command works on.
type Cluster struct {
	// Context is the kube context, Namespace the namespace.
	Context, Namespace string
	// Host is the address of its API server as the kubeconfig has it.
	Host string

	login *login
}

// errNoKubeconfig means that neither flags nor files name a cluster.
var errNoKubeconfig = errors.New("no kubeconfig was found, so there is no cluster to work on")

// Cluster resolves flags and kubeconfig without talking to the cluster.
// Depends on: Flags.
func (f *Factory) Cluster() (Cluster, error) {
	loader := f.Flags.ToRawKubeConfigLoader()
	raw, err := loader.RawConfig()
	if err != nil {
		return Cluster{}, &kubeconfigError{err}
	}
	name := raw.CurrentContext
	if *f.Flags.Context != "" {
		name = *f.Flags.Context
	}
	server := *f.Flags.APIServer
	if len(raw.Clusters) == 0 && server == "" {
		return Cluster{}, errNoKubeconfig
	}
	if _, ok := raw.Contexts[name]; !ok && server == "" {
		known := make([]string, 0, len(raw.Contexts))
		for k := range raw.Contexts {
			known = append(known, k)
		}
		sort.Strings(known)
		return Cluster{}, &contextError{Name: name, Known: known}
	}
	// Whatever context is the current one later: this one is meant.
	f.Flags.Context = &name
	l, err := newLogin(kubeconfigFiles(loader.ConfigAccess()), f.Flags.ToRESTConfig)
	if err != nil {
		return Cluster{}, err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return Cluster{}, &kubeconfigError{err}
	}
	return Cluster{Context: name, Namespace: namespace, Host: l.REST().Host, login: l}, nil
}

// kubeconfigError means that the kubeconfig cannot be read, or not be used.
type kubeconfigError struct{ err error }

func (e *kubeconfigError) Error() string { return fmt.Sprintf("reading the kubeconfig: %v", e.err) }
func (e *kubeconfigError) Unwrap() error { return e.err }

// contextError means that the kubeconfig has no such context.
type contextError struct {
	Name  string
	Known []string
}

func (e *contextError) Error() string {
	if e.Name == "" {
		return "the kubeconfig has no current context"
	}
	return fmt.Sprintf("the kubeconfig has no context %q", e.Name)
}

// Workloads returns the client for workloads. Depends on: Cluster.
func (f *Factory) Workloads(c Cluster) (*workload.Client, error) {
	cfg, err := c.login.client()
	if err != nil {
		return nil, err
	}
	clock := workload.ServerClock{Local: f.Now}
	cfg.Wrap(clock.Wrap)
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making an API client: %w", err)
	}
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making an API client: %w", err)
	}
	return &workload.Client{
		Kube: kube, Dynamic: objects, Mapper: workload.NewMapper(kube.Discovery()),
		Config: c.login.REST, Namespace: c.Namespace, Now: clock.Now,
	}, nil
}

// Dial opens a connection to a port of a pod. Depends on: Cluster.
func (f *Factory) Dial(c Cluster) func(ctx context.Context, pod string, port int) (net.Conn, error) {
	return func(ctx context.Context, pod string, port int) (net.Conn, error) {
		d, err := tunnel.NewDialer(c.login.REST(), c.Namespace, pod)
		if err != nil {
			return nil, err
		}
		return d.DialContext(ctx, port)
	}
}

// Key returns the user's SSH key, which is made at first use. Depends on:
// Folder.
func (f *Factory) Key() (ssh.Signer, error) {
	return sshclient.LoadOrCreateKey(f.Folder())
}

// Holder names this user and machine in the Lease: user@host. Depends on:
// nothing.
func (f *Factory) Holder() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		// Windows has DOMAIN\user.
		name = u.Username[strings.LastIndexByte(u.Username, '\\')+1:]
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}
