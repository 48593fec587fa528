package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// development is one run of `up`: the session and what it holds on this
// machine.
type development struct {
	factory     *Factory
	cluster     Cluster
	dev         *manifest.Dev
	console     *console.Console
	environment *environment
	services    *services
	session     *devsession.Session
	// local is the command in hybrid mode; nil in sync mode.
	local *devsession.Local

	socket  string
	folders []*devsession.Folder
	targets []devsession.Target
	// hostKey is the one that the entry for ssh has, once it has one.
	hostKey atomic.Pointer[ssh.PublicKey]
}

// close gives back what the session holds on this machine.
func (d *development) close() {
	for _, t := range d.targets {
		_ = t.Close()
	}
	if d.local != nil {
		d.local.CloseNetwork()
	}
	for _, f := range d.folders {
		if err := f.Leader.Close(); err != nil {
			d.console.Warn("closing the state of %s: %v", f.Local, err)
		}
	}
}

// develop runs the session, and says on the way out how to come back and how
// to end.
func (d *development) develop(ctx context.Context) error {
	step := d.console.Start()
	if err := d.find(ctx); err != nil {
		return err
	}
	step.Done("found %s in namespace %s", d.environment.found, d.cluster.Namespace)
	if err := d.openFolders(); err != nil {
		return err
	}
	d.session.Folders = d.folders
	d.takeFromTheDead(ctx)
	err := d.run(ctx)
	d.leadSSHAround()
	d.console.Clear()
	d.leave(ctx, err)
	if ctx.Err() != nil && err != nil {
		return errInterrupted
	}
	return err
}

// find asks for the workload and the services at once, before anything is
// changed.
func (d *development) find(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { return d.environment.find(ctx, d.query()) })
	group.Go(func() error { return d.services.find(ctx) })
	if err := group.Wait(); err != nil {
		return err
	}
	return d.services.join(d.environment)
}

// run runs the session, with the services beside it. A service that cannot be
// taken into development ends it.
func (d *development) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var served sync.WaitGroup
	if d.local != nil {
		d.local.End = cancel
		served.Go(func() { d.local.ServeNetwork(ctx) })
	}
	ended := make(chan struct{})
	autoscalers := d.environment.found.Autoscalers
	go func() {
		defer close(ended)
		if err := d.services.run(ctx, d.environment, autoscalers); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	}()
	err := d.session.Run(ctx)
	if d.local != nil {
		err = d.local.Stop(err)
	}
	cancel(nil)
	<-ended
	served.Wait()
	return err
}

// query asks for the manifest's workload.
func (d *development) query() workload.Query {
	q := workload.Query{Name: d.dev.Workload, Paths: d.dev.Paths, Selector: workload.SelectorOf(d.dev.Selector), Dev: d.dev.Name}
	if d.dev.Autocreate {
		q.Autocreate = d.dev
	}
	return q
}

// leave gives the Lease up and says how to go on, unless nothing was made, or
// somebody else has it by now.
func (d *development) leave(ctx context.Context, err error) {
	var over *workload.TakenOverError
	var namespace *workload.NamespaceError
	state := "stays in development"
	switch {
	case errors.As(err, &over), errors.As(err, &namespace):
		return
	case d.environment.swapped != nil:
		if released := d.environment.release(ctx); released != nil {
			d.console.Warn("%v", released)
		}
	case d.environment.halfway:
		state = "may be in development by half"
	default:
		return
	}
	d.console.Note("%s %s: `kubectl okteto up %s` comes back, `kubectl okteto down %s` gives the original back",
		d.dev.Name, state, d.dev.Name, d.dev.Name)
}

// takeFromTheDead takes the Lease over without asking when its holder is a
// session of this machine and user that is no longer there.
func (d *development) takeFromTheDead(ctx context.Context) {
	holder := d.environment.found.Holder()
	if !strings.HasPrefix(holder, d.factory.Holder()+"/") {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if errors.Is(devsession.Control{Socket: d.socket}.Ping(ctx), control.ErrNoSession) {
		d.environment.claimant.TakeOver = true
	}
}

// listen binds the local ports of the manifest's forwards, and for SSH. Root
// forwards are shared by every `up` of the manifest: a port that is taken is
// left to whoever has it until it is free.
func (d *development) listen(ctx context.Context, workloads *workload.Client, m *manifest.Manifest) error {
	for _, f := range d.ownForwards() {
		if err := d.bind(ctx, workloads, f, false); err != nil {
			return err
		}
	}
	for _, f := range m.Forward {
		if err := d.bind(ctx, workloads, f, true); err != nil {
			return err
		}
	}
	return nil
}

// ownForwards are those of the development container, and SSH's port.
func (d *development) ownForwards() []manifest.Forward {
	own := slices.Clone(d.dev.Forward)
	if d.dev.Remote != 0 {
		own = append(own, manifest.Forward{Local: d.dev.Remote, Remote: d.agentPort()})
	}
	return own
}

// byService finds the Service that a forward names by labels.
func byService(ctx context.Context, workloads *workload.Client, f manifest.Forward) (manifest.Forward, error) {
	if len(f.Labels) == 0 {
		return f, nil
	}
	service, err := workloads.ServiceByLabels(ctx, f.Labels)
	f.Service = service
	return f, err
}

// bind binds one forward's local port.
func (d *development) bind(ctx context.Context, workloads *workload.Client, f manifest.Forward, shared bool) error {
	f, err := byService(ctx, workloads, f)
	if err != nil {
		return err
	}
	target, err := devsession.Listen(ctx, d.dev.Interface, f)
	port, ok := errors.AsType[*devsession.PortError](err)
	switch {
	case ok && shared && port.Privileged:
		d.console.Warn("the shared forward %s is left out: %v", devsession.ForwardText(f), err)
		return nil
	case ok && shared:
		d.console.Warn("the shared forward %s is left to others until they end: %v", devsession.ForwardText(f), err)
		target = devsession.Later(d.dev.Interface, f)
	case err != nil:
		return err
	}
	d.targets = append(d.targets, target)
	return nil
}

func (d *development) forwardTexts() []string {
	var texts []string
	for _, t := range d.targets {
		if t.Bound() {
			texts = append(texts, t.Text)
		}
	}
	return d.withReverses(texts)
}

// withReverses adds the reverse tunnels to the forwards.
func (d *development) withReverses(texts []string) []string {
	for _, r := range d.dev.Reverse {
		texts = append(texts, devsession.ReverseText(r))
	}
	return texts
}

// openFolders makes the laptop's end of each synced folder. Where the
// container has something else mounted inside of one, that is not synced.
func (d *development) openFolders() error {
	for _, s := range d.dev.Sync {
		mounted := below(s.Remote, d.environment.mounted)
		for _, rel := range mounted {
			_, err := os.Lstat(filepath.Join(s.Local, filepath.FromSlash(rel)))
			if err == nil && !slices.Contains(mountedByManifest(d.dev), path.Join(s.Remote, rel)) {
				d.console.Warn("%s is not synced: the container has a volume mounted there", path.Join(s.Remote, rel))
			}
		}
		state := filepath.Join(filepath.Dir(d.socket), "sync", pairID(s))
		if rel, err := filepath.Rel(s.Local, state); err == nil && inside(rel) {
			return fmt.Errorf("%s cannot be synced: it holds %s, where this plugin keeps its own files; "+
				"sync a folder below it, or set OKTETO_FOLDER to another one", s.Local, d.factory.Folder())
		}
		leader, err := engine.NewLeader(engine.Config{
			Root:      s.Local,
			StateDir:  state,
			Exclude:   slices.Concat(nestedFolders(d.dev, s), mounted),
			Mode:      syncMode(s.Mode),
			OnEvent:   d.session.SyncEvents(s.Local),
			GitIgnore: d.dev.GitIgnore,
			GiveWay:   d.factory.typing,
		})
		if err != nil {
			return fmt.Errorf("opening %s for sync: %w", s.Local, err)
		}
		d.folders = append(d.folders, &devsession.Folder{Leader: leader, Local: s.Local, Remote: s.Remote, Mode: syncMode(s.Mode)})
	}
	return nil
}

// syncMode is the engine's name of a manifest's mode.
func syncMode(m manifest.SyncMode) engine.Mode {
	switch m {
	case manifest.SyncPush:
		return engine.Push
	case manifest.SyncPull:
		return engine.Pull
	default:
		return engine.TwoWay
	}
}

// pairID names the state of a pair of folders: it stays when the manifest
// lists them in another order, and is not taken for another pair's.
func pairID(s manifest.SyncFolder) string {
	sum := sha256.Sum256([]byte(s.Local + "\x00" + s.Remote))
	return hex.EncodeToString(sum[:8])
}

// mountedByManifest returns the paths in the pod where the manifest mounts
// something that is not synced.
func mountedByManifest(dev *manifest.Dev) []string {
	paths := slices.Clone(dev.Volumes)
	for _, e := range dev.ExternalVolumes {
		paths = append(paths, e.Mount)
	}
	for _, s := range dev.Secrets {
		paths = append(paths, s.Remote)
	}
	return paths
}

// nestedFolders returns the folders below one sync folder, relative to it, that
// belong to another one, on either side, or are mounts of their own.
func nestedFolders(dev *manifest.Dev, of manifest.SyncFolder) []string {
	nested := below(of.Remote, mountedByManifest(dev))
	for _, other := range dev.Sync {
		if rel, err := filepath.Rel(of.Local, other.Local); err == nil && inside(rel) {
			nested = append(nested, filepath.ToSlash(rel))
		}
		nested = append(nested, below(of.Remote, []string{other.Remote})...)
	}
	return nested
}

// below returns those of the paths in the pod that lie below a folder,
// relative to it.
func below(folder string, paths []string) []string {
	var found []string
	for _, p := range paths {
		if rel, ok := strings.CutPrefix(p, strings.TrimSuffix(folder, "/")+"/"); ok {
			found = append(found, rel)
		}
	}
	return found
}

// inside tells whether a relative path leads below its start.
func inside(rel string) bool {
	return rel != "." && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// pinForSSH writes the entry for ssh whenever a host key was read, and says what
// that will lack.
func (d *development) pinForSSH(connector *devsession.Connector) {
	if given := d.factory.secretFlags(); len(given) > 0 {
		d.console.Warn("`ssh %s` will not use %s, as no secret may be in its configuration: `kubectl config set-credentials NAME` "+
			"puts it into the kubeconfig, and `up --user NAME` leads ssh to it", sshAlias(d.dev.Name), strings.Join(given, " and "))
	}
	read := connector.HostKey
	connector.HostKey = func(ctx context.Context, pod string) (ssh.PublicKey, error) {
		key, err := read(ctx, pod)
		if err != nil {
			return nil, err
		}
		if err := d.factory.writeSSHEntry(d.cluster, d.dev.Name, key, d.dev.Remote); err != nil {
			d.console.Warn("ssh %s will not work: %v", sshAlias(d.dev.Name), err)
		}
		d.hostKey.Store(&key)
		return key, nil
	}
}

// leadSSHAround makes the entry for ssh do without the local port, which ends
// with this process.
func (d *development) leadSSHAround() {
	key := d.hostKey.Load()
	if d.dev.Remote == 0 || key == nil {
		return
	}
	if err := d.factory.writeSSHEntry(d.cluster, d.dev.Name, *key, 0); err != nil {
		d.console.Warn("ssh %s will not work: %v", sshAlias(d.dev.Name), err)
	}
}

// agentPort is the agent's port in the pod.
func (d *development) agentPort() int {
	if d.dev.SSHServerPort == 0 {
		return config.DefaultPort
	}
	return d.dev.SSHServerPort
}
