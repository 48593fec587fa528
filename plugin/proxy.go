package plugin

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Flags for what `up` was given by variables.
const (
	flagKubeconfigs = "kubeconfigs"
	flagFolder      = "folder"
)

type proxyOptions struct {
	factory *Factory
	name    string
	// kubeconfigs is a list as the variable KUBECONFIG has it, which kubectl's
	// own flag cannot take; folder is as OKTETO_FOLDER.
	kubeconfigs, folder string
}

// newProxyCmd is the ProxyCommand of the entries in ssh_config: it connects
// standard input and output with the agent's SSH server.
func newProxyCmd(f *Factory) *cobra.Command {
	o := &proxyOptions{factory: f}
	cmd := &cobra.Command{
		Use:    "ssh-proxy NAME",
		Short:  "Connect standard input and output with the SSH server of a development container",
		Hidden: true,
		RunE:   func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVar(&o.kubeconfigs, flagKubeconfigs, "", "kubeconfigs to merge, as in the variable KUBECONFIG")
	cmd.Flags().StringVar(&o.folder, flagFolder, "", "folder of the plugin's files, as in the variable OKTETO_FOLDER")
	return cmd
}

// Complete takes the name and the folder.
func (o *proxyOptions) Complete(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("ssh-proxy needs the name of a development container")
	}
	o.name = args[0]
	if o.folder != "" {
		inherited := o.factory.Env
		o.factory.Env = func(name string) (string, bool) {
			if name == envFolder {
				return o.folder, true
			}
			return inherited(name)
		}
	}
	return nil
}

// Validate has nothing to refuse.
func (o *proxyOptions) Validate() error { return nil }

// Run connects ssh with the pod until either is gone.
func (o *proxyOptions) Run(cmd *cobra.Command) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if files, _ := o.factory.Env(envKubeconfig); o.kubeconfigs != "" && files != o.kubeconfigs {
		return o.withKubeconfigs(ctx)
	}
	env, err := o.factory.lookUp(ctx, o.name)
	if err != nil {
		return err
	}
	defer env.use(ctx)()
	conn, err := o.open(ctx, env)
	if err != nil {
		return err
	}
	err = pass(ctx, o.factory.Streams, conn)
	if ctx.Err() != nil {
		// ssh ends its ProxyCommand with SIGHUP: that is nothing to tell.
		return &codeError{exitInterrupted}
	}
	return err
}

// pass copies between the standard streams and the pod until either has ended, and
// closes the connection. An ssh that is killed closes its end only, and the pod
// must hear of it: it has nothing to say to half a connection.
func pass(ctx context.Context, streams genericiooptions.IOStreams, conn net.Conn) error {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(conn, streams.In)
		close(gone)
		_ = conn.Close()
	}()
	_, err := io.Copy(streams.Out, conn)
	_ = conn.Close()
	select {
	case <-gone:
		return nil
	default:
		return err
	}
}

// withKubeconfigs runs this command in a process whose environment names the
// kubeconfigs: client-go takes several from nowhere else.
func (o *proxyOptions) withKubeconfigs(ctx context.Context) error {
	f := o.factory
	again := exec.CommandContext(ctx, f.Executable, f.Args[1:]...)
	again.Env = append(again.Environ(), envKubeconfig+"="+o.kubeconfigs)
	again.Stdin, again.Stdout, again.Stderr = f.Streams.In, f.Streams.Out, f.Streams.ErrOut
	again.Cancel = func() error { return interrupt(again.Process) }
	err := again.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &codeError{exit.ExitCode()}
	}
	return err
}

// open adds the user's key where it is missing, pins the host key of the pod
// that runs now, which may not be the one of the last `up`, and connects. ssh
// looks into known_hosts only after this process has begun to pass bytes.
func (o *proxyOptions) open(ctx context.Context, env *active) (net.Conn, error) {
	connector, err := o.factory.connector(env)
	if err != nil {
		return nil, err
	}
	pod := env.Pod.Name
	if err := connector.Authorize(ctx, pod); err != nil {
		return nil, err
	}
	hostKey, err := connector.HostKey(ctx, pod)
	if err != nil {
		return nil, err
	}
	if err := o.factory.writeSSHEntry(env.cluster, env.Dev, hostKey, 0); err != nil {
		return nil, err
	}
	return connector.Dial(ctx, pod)
}
