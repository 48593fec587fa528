package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// connectTimeout bounds connecting to an agent that should be there already.
const connectTimeout = 30 * time.Second

// active is a dev environment that exists, with what is needed to connect.
type active struct {
	*workload.Environment
	cluster   Cluster
	workloads *workload.Client
}

// errNoPod means that a dev environment has no pod at the moment.
var errNoPod = errors.New("its pod is not there at the moment")

// lookUp finds a dev environment by name in the cluster.
func (f *Factory) lookUp(ctx context.Context, name string) (*active, error) {
	env, err := f.holder(ctx, name)
	if err != nil {
		return nil, err
	}
	if env.Clone == nil || env.Pod == nil {
		return nil, fmt.Errorf("development container %s: %w", name, errNoPod)
	}
	return env, nil
}

// holder finds a dev environment by name, whether or not it has a pod: the
// cluster knows who holds it.
func (f *Factory) holder(ctx context.Context, name string) (*active, error) {
	cluster, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	workloads, err := f.Workloads(cluster)
	if err != nil {
		return nil, err
	}
	env, err := workloads.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return &active{Environment: env, cluster: cluster, workloads: workloads}, nil
}

// use keeps the environment from ending by itself, until the returned function
// is called.
func (a *active) use(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.workloads.Use(ctx, a.Environment)
	}()
	return func() {
		cancel()
		<-done
	}
}

// findActive finds a dev environment: the named one, else the manifest's only
// one.
func (f *Factory) findActive(ctx context.Context, file, name string) (*active, error) {
	name, err := f.devName(file, name)
	if err != nil {
		return nil, err
	}
	return f.lookUp(ctx, name)
}

// devName returns the name of the dev environment that is meant.
func (f *Factory) devName(file, name string) (string, error) {
	m, err := f.Manifest(file)
	var unknown *manifest.UnknownDevError
	switch {
	case errors.Is(err, manifest.ErrNotFound) && file == "" && name != "":
		return name, nil
	case err != nil:
		return "", err
	}
	dev, err := m.Select(name)
	switch {
	case errors.As(err, &unknown) && file == "":
		// It may be another folder's: the cluster knows.
		return name, nil
	case err != nil:
		return "", err
	}
	return dev.Name, nil
}

// Manifest reads the manifest: file, or the one that is found in the working
// directory. Depends on: Dir, Env.
func (f *Factory) Manifest(file string) (*manifest.Manifest, error) {
	if file == "" {
		var err error
		if file, err = manifest.Discover(f.Dir); err != nil {
			return nil, err
		}
	}
	return manifest.Load(file, f.Env)
}

// sidecar returns the configuration that the pod's sidecar runs with.
func (a *active) sidecar() config.Sidecar {
	for _, c := range a.Clone.Spec.Template.Spec.InitContainers {
		if c.Name != config.SidecarContainer || len(c.Args) == 0 {
			continue
		}
		if sidecar, err := config.ParseSidecar(c.Args[1:]); err == nil {
			return sidecar
		}
	}
	return config.Sidecar{}
}

// connect logs in to the agent of an environment that exists.
func (f *Factory) connect(ctx context.Context, a *active) (*sshclient.Client, error) {
	connector, err := f.connector(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return connector.Connect(ctx, a.Pod.Name)
}

// connector connects to the agent of an environment that exists.
func (f *Factory) connector(a *active) (*devsession.Connector, error) {
	key, err := f.Key()
	if err != nil {
		return nil, err
	}
	sidecar := a.sidecar()
	known := slices.Contains(sidecar.AuthorizedKeys, authorizedKey(key))
	return f.newConnector(a.cluster, a.workloads, key, access{
		port: sidecar.ListenPort(), authorized: func() bool { return known },
	}), nil
}

// access is what one has to know of an agent to log in.
type access struct {
	// port is the agent's port in the pod.
	port int
	// authorized tells whether the pod template carries the user's key, so
	// that it need not be added first.
	authorized func() bool
}

// newConnector connects to agents.
func (f *Factory) newConnector(cluster Cluster, workloads *workload.Client, key ssh.Signer, to access) *devsession.Connector {
	dial := f.Dial(cluster)
	socket, _ := f.Env("SSH_AUTH_SOCK")
	return &devsession.Connector{
		HangUp:      f.hangUp,
		Signer:      key,
		AgentSocket: socket,
		Dial: func(ctx context.Context, pod string) (net.Conn, error) {
			conn, err := dial(ctx, pod, to.port)
			if forbidden := workloads.Forbidden(err, workload.Rule{Verb: "create", Resource: "pods/portforward"}); forbidden != nil {
				err = forbidden
			}
			return conn, err
		},
		Final: func(err error) bool {
			var forbidden *workload.ForbiddenError
			return errors.As(err, &forbidden)
		},
		HostKey: func(ctx context.Context, pod string) (ssh.PublicKey, error) {
			line, err := workloads.HostKey(ctx, pod)
			if err != nil {
				return nil, err
			}
			hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
			if err != nil {
				return nil, fmt.Errorf("reading the host key of pod %s: %w", pod, err)
			}
			return hostKey, nil
		},
		Authorize: func(ctx context.Context, pod string) error {
			if to.authorized() {
				return nil
			}
			return workloads.Authorize(ctx, pod, authorizedKey(key))
		},
	}
}

// authorizedKey renders the public key as one authorized_keys line.
func authorizedKey(key ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// stateFolder is where this machine keeps what belongs to one dev environment:
// the control socket and the state of sync. The name is short, since the path
// of a socket is bounded (unix(7)), and its own for each cluster, namespace
// and environment. Depends on: Folder.
func (f *Factory) stateFolder(cluster Cluster, dev string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{cluster.Host, cluster.Namespace, dev}, "\x00")))
	return filepath.Join(f.Folder(), "dev", hex.EncodeToString(sum[:8]))
}

// controlSocket is the socket of a running `up`.
func (f *Factory) controlSocket(cluster Cluster, dev string) string {
	return filepath.Join(f.stateFolder(cluster, dev), "up.sock")
}
