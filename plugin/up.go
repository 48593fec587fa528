package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// releaseTimeout bounds what is still done after the user has ended `up`.
const releaseTimeout = 5 * time.Second

// roleUp is the role of the command of `up`: there is one in an environment.
const roleUp = "up"

type upOptions struct {
	factory      *Factory
	file         string
	selector     string
	env          []string
	remote       int
	takeOver     bool
	noWait       bool
	forwardAgent bool
	show         showOptions
	detach       detachOptions
	name         string
	command      []string
}

func newUpCmd(f *Factory) *cobra.Command {
	o := &upOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "up [NAME | -l SELECTOR] [-- COMMAND [ARG...]]",
		Short: "Swap a workload for a development container and work in it",
		Long: `Swap a workload for a development container, sync the source folder with it both
ways, open forwards and run a command there: the manifest's, or the one after --.
The command's exit status is passed on; 255 means that it could not be run.

The development container stays when the command has ended: 'up' again comes
back to it, 'down' gives the original back. Without a manifest, name a workload:
this folder is synced to its working directory.

--detach returns as soon as the command runs: sync, forwards and the command go on
in the background. 'attach-session' shows the command, 'status' how it is, 'down'
ends it.

--dry-run prints the objects that would be written, --diff how they differ from
what is in the cluster; neither changes anything there. --diff ends with 1 when
there are differences.`,
		Example: `  kubectl okteto up
  kubectl okteto up api -- npm test
  kubectl okteto up --detach
  kubectl okteto up statefulset/db -n staging
  kubectl okteto up -l app=api,tier!=worker
  kubectl okteto up api --dry-run -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	flags.StringVarP(&o.selector, "selector", "l", "", "labels of the workload, instead of its name")
	flags.StringArrayVarP(&o.env, "env", "e", nil, "environment variable NAME=value of the development container; may be repeated")
	flags.IntVarP(&o.remote, "remote", "r", 0, "local port for SSH, for tools that cannot use a ProxyCommand")
	flags.BoolVar(&o.takeOver, "take-over", false, "take the development container from whoever holds it")
	flags.BoolVar(&o.noWait, "no-wait", false, "run the command before what this machine has is in the pod")
	flags.BoolVarP(&o.forwardAgent, "forward-agent", "A", false, "let the command use your ssh-agent")
	o.show.addFlags(cmd)
	o.detach.addFlags(cmd)
	return cmd
}

// Complete takes the name and the command.
func (o *upOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	o.name, o.command, err = splitDash(cmd, args)
	return err
}

// Validate checks the flags.
func (o *upOptions) Validate() error {
	if o.selector != "" && o.name != "" {
		return usagef("a name and --selector exclude each other")
	}
	if err := workload.CheckSelector(o.selector); err != nil {
		return usagef("--selector %q: %v", o.selector, err)
	}
	for _, e := range o.env {
		name, _, ok := strings.Cut(e, "=")
		switch {
		case !ok || name == "":
			return usagef("--env %q is not of the form NAME=value", e)
		case strings.HasPrefix(name, "OKTETO_"):
			return usagef("--env cannot set %s: names with OKTETO_ belong to the tool", name)
		}
	}
	if o.remote < 0 || o.remote > 65535 {
		return usagef("--remote %d is not a port", o.remote)
	}
	if o.detach.asked && o.show.asked() {
		return usagef("--detach runs the command, --dry-run and --diff run none")
	}
	return o.show.validate()
}

// Run develops until the command ends.
func (o *upOptions) Run(cmd *cobra.Command) error {
	switch {
	case o.detach.inside:
	case o.detach.asked:
		return statusOf(o.startInBackground(cmd.Context()))
	default:
		return statusOf(o.run(cmd.Context()))
	}
	if err := o.detach.enter(o.factory); err != nil {
		return err
	}
	err := o.run(cmd.Context())
	o.detach.tellEnd(o.factory.Console(), err)
	return statusOf(err)
}

func (o *upOptions) run(ctx context.Context) error {
	cluster, err := o.factory.Cluster()
	if err != nil {
		return err
	}
	workloads, err := o.factory.Workloads(cluster)
	if err != nil {
		return err
	}
	m, dev, err := o.manifest(ctx, workloads)
	if err != nil {
		return err
	}
	c := o.factory.Console()
	for _, w := range m.Warnings {
		c.Warn("%s", w)
	}
	if o.show.asked() {
		return o.showObjects(ctx, cluster, workloads, m, dev)
	}
	d, err := o.prepare(ctx, cluster, workloads, m, dev)
	if err != nil {
		return err
	}
	defer d.close()
	return d.develop(ctx)
}

// manifest returns the manifest and its development container: the named one,
// or that of the workload which the selector selects. Without a manifest both
// have sensible defaults for the workload.
func (o *upOptions) manifest(ctx context.Context, workloads *workload.Client) (*manifest.Manifest, *manifest.Dev, error) {
	m, err := o.factory.Manifest(o.file)
	without := errors.Is(err, manifest.ErrNotFound) && o.file == "" && o.name+o.selector != ""
	if err != nil && !without {
		return nil, nil, err
	}
	if !without && o.selector == "" {
		dev, err := m.Select(o.name)
		if err != nil {
			return nil, nil, err
		}
		return m, o.withFlags(dev), nil
	}
	found, err := workloads.Find(ctx, workload.Query{Name: o.name, Selector: o.selector, Among: declared(m)})
	if err != nil {
		return nil, nil, err
	}
	if without {
		m = o.defaults(ctx, workloads, found)
	}
	dev, err := m.Select(entryFor(m, found.Meta.Name))
	if err != nil {
		return nil, nil, err
	}
	dev = o.withFlags(dev)
	// The name alone may be another kind's.
	dev.Workload, dev.Selector = found.String(), nil
	return m, dev, nil
}

// declared are the kinds that a manifest names; none of no manifest.
func declared(m *manifest.Manifest) (all []workload.Declared) {
	if m == nil {
		return nil
	}
	for _, name := range m.Names() {
		if kind, _, ok := strings.Cut(m.Dev[name].Workload, "/"); ok {
			all = append(all, workload.Declared{Kind: kind, Paths: m.Dev[name].Paths})
		}
	}
	return all
}

// entryFor returns the name of a manifest's entry for a workload: its own, or one
// that names it. A manifest of one entry is for whatever was selected.
func entryFor(m *manifest.Manifest, name string) string {
	if m.Dev[name] != nil {
		return name
	}
	for _, entry := range m.Names() {
		if path.Base(m.Dev[entry].Workload) == name {
			return entry
		}
	}
	return ""
}

// defaults syncs this folder to the working directory of the workload's first
// container. An image's own working directory is asked of a running pod.
func (o *upOptions) defaults(ctx context.Context, workloads *workload.Client, found *workload.Found) *manifest.Manifest {
	m := manifest.Default(found.Meta.Name, workloads.Workdir(ctx, found.Workload), o.factory.Dir)
	for _, dev := range m.Dev {
		o.factory.Console().Note("no manifest: syncing %s to %s", dev.Sync[0].Local, dev.Sync[0].Remote)
	}
	return m
}

// withFlags applies flags to a development container.
func (o *upOptions) withFlags(dev *manifest.Dev) *manifest.Dev {
	d := *dev
	d.Environment = slices.Clone(dev.Environment)
	for _, e := range o.env {
		name, value, _ := strings.Cut(e, "=")
		d.Environment = slices.DeleteFunc(d.Environment, func(v manifest.EnvVar) bool { return v.Name == name })
		d.Environment = append(d.Environment, manifest.EnvVar{Name: name, Value: value})
	}
	slices.SortFunc(d.Environment, func(a, b manifest.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	if o.remote != 0 {
		d.Remote = o.remote
	}
	return &d
}

// line returns the command line to run.
func (o *upOptions) line(dev *manifest.Dev) string {
	switch {
	case len(o.command) > 0:
		return sshclient.Quote(o.command)
	case dev.Command.Shell:
		return dev.Command.Argv[0]
	default:
		return sshclient.Quote(dev.Command.Argv)
	}
}

// upCommand is the command of `up`.
type upCommand struct {
	factory  *Factory
	services *services
	command  sshclient.Command
	// held is the command while it runs, over lost connections too; nil before.
	held *sshclient.Held
}

// userCommand is the command, here or in the background, on this machine or in the
// pod.
func (o *upOptions) userCommand(d *development) (devsession.Command, error) {
	if d.dev.Mode == manifest.ModeHybrid {
		if o.detach.behind != nil {
			return nil, errors.New("--detach leaves the command in the pod, and in hybrid mode it runs here: leave the flag out")
		}
		d.local = o.localCommand(d)
		return d.local, nil
	}
	command := upCommand{factory: o.factory, services: d.services, command: o.factory.remote(o.line(d.dev), o.forwardAgent)}
	if o.detach.behind == nil {
		return &command, nil
	}
	return newDetached(command, o.detach.behind, d.socket, d.dev.Name)
}

// localCommand is the command of hybrid mode.
func (o *upOptions) localCommand(d *development) *devsession.Local {
	dev := d.dev
	l := &devsession.Local{Command: dev.Command, Dir: dev.LocalDir, Lookup: o.factory.Env, Console: o.factory.Console()}
	if len(o.command) > 0 {
		l.Command = manifest.Command{Argv: o.command}
	}
	for _, e := range dev.Environment {
		l.Set = append(l.Set, e.Name)
	}
	l.Mounts = &devsession.Mounts{Paths: d.environment.mounts, In: filepath.Join(filepath.Dir(d.socket), "mounts"), Console: d.console}
	l.Stdin, l.Stdout, l.Stderr = o.factory.files()
	return l
}

// Running tells whether there is a command to go on with.
func (u *upCommand) Running() bool { return u.held != nil }

// Attach runs it on the standard streams.
func (u *upCommand) Attach(ctx context.Context, client *sshclient.Client) error {
	return u.over(ctx, func(held *sshclient.Held) error { return u.factory.attach(ctx, client, held) })
}

// over attaches to the command. One that begins waits for the services.
func (u *upCommand) over(ctx context.Context, attach func(*sshclient.Held) error) error {
	if u.held == nil {
		u.services.await(ctx)
		u.held = sshclient.NewHeld(u.command, roleUp, u.factory.tellDropped)
	}
	err := attach(u.held)
	if u.held.Over() {
		u.held = nil
	}
	return err
}

// prepare makes the session: local ports are bound before anything in the
// cluster changes.
func (o *upOptions) prepare(ctx context.Context, cluster Cluster, workloads *workload.Client, m *manifest.Manifest, dev *manifest.Dev) (*development, error) {
	f := o.factory
	key, err := f.Key()
	if err != nil {
		return nil, err
	}
	d := &development{factory: f, cluster: cluster, dev: dev, console: f.Console()}
	d.services = newServices(workloads, d.console, dev, f.Holder())
	d.socket = f.controlSocket(cluster, dev.Name)
	if err := os.MkdirAll(filepath.Dir(d.socket), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of %s: %w", dev.Name, err)
	}
	if err := d.listen(ctx, workloads, m); err != nil {
		d.close()
		return nil, err
	}
	if d.environment, err = o.environment(d, workloads, key, d.forwardTexts()); err != nil {
		d.close()
		return nil, err
	}
	connector := f.newConnector(cluster, workloads, key, access{
		port: d.agentPort(), authorized: func() bool { return d.environment.swapped.Authorized },
	})
	command, err := o.userCommand(d)
	if err != nil {
		d.close()
		return nil, err
	}
	connector.Report = func(err error) { d.console.Warn("%v", err) }
	d.pinForSSH(connector)
	d.session = &devsession.Session{
		Name: dev.Name, Environment: d.environment, Connector: connector,
		Targets: d.targets, Reverses: d.reverses(),
		Command: command,
		NoWait:  o.noWait, Socket: d.socket, Timeout: dev.Timeout.Default, Console: d.console,
	}
	if d.local != nil {
		if err := d.local.OpenNetwork(ctx, dev.Network, d.session); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

// environment is the cluster's side of what is prepared.
func (o *upOptions) environment(d *development, workloads *workload.Client, key ssh.Signer, forwards []string) (*environment, error) {
	f := o.factory
	secrets, err := readSecrets(d.dev)
	if err != nil {
		return nil, err
	}
	return &environment{
		workloads: workloads, console: d.console,
		spec: workload.Spec{
			Dev: *d.dev, AgentImage: f.AgentImage(), AuthorizedKey: authorizedKey(key), Holder: f.Holder(),
			Secrets: secrets,
		},
		claimant: workload.Claimant{
			Dev: d.dev.Name, Holder: f.Holder() + "/" + strconv.Itoa(os.Getpid()), TakeOver: o.takeOver, Forwards: forwards,
		},
	}, nil
}

// reverses are the manifest's reverse tunnels.
func (d *development) reverses() []devsession.Reverse {
	var reverses []devsession.Reverse
	for _, r := range d.dev.Reverse {
		reverse := devsession.NewReverse(d.dev.Interface, r)
		if d.dev.Mode == manifest.ModeHybrid {
			reverse = reverse.StandIn()
		}
		reverses = append(reverses, reverse)
	}
	return reverses
}
