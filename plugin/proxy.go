package plugin

import (
	"context"
	"io"
	"net"

	"github.com/spf13/cobra"
)

type proxyOptions struct {
	factory *Factory
	name    string
}

// newProxyCmd is the ProxyCommand of the entries in ssh_config: it connects
// standard input and output with the agent's SSH server.
func newProxyCmd(f *Factory) *cobra.Command {
	o := &proxyOptions{factory: f}
	return &cobra.Command{
		Use:    "ssh-proxy NAME",
		Short:  "Connect standard input and output with the SSH server of a development container",
		Hidden: true,
		RunE:   func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
}

// Complete takes the name.
func (o *proxyOptions) Complete(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("ssh-proxy needs the name of a development container")
	}
	o.name = args[0]
	return nil
}

// Validate has nothing to refuse.
func (o *proxyOptions) Validate() error { return nil }

// Run copies until both directions have ended.
func (o *proxyOptions) Run(cmd *cobra.Command) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	env, err := o.factory.lookUp(ctx, o.name)
	if err != nil {
		return err
	}
	defer env.use(ctx)()
	conn, err := o.open(ctx, env)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	go func() {
		// ssh closes its end when it is done; what the pod sends decides when
		// this process is.
		_, _ = io.Copy(conn, o.factory.Streams.In)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err = io.Copy(o.factory.Streams.Out, conn)
	if ctx.Err() != nil {
		// ssh ends its ProxyCommand with SIGHUP: that is nothing to tell.
		return &codeError{exitInterrupted}
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
