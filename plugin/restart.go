package plugin

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
)

type restartOptions struct {
	factory *Factory
	file    string
	noWait  bool
	name    string
}

func newRestartCmd(f *Factory) *cobra.Command {
	o := &restartOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "restart [NAME]",
		Short: "Start the services of a development container anew",
		Long: `Delete the pods of the services of a development container, so that others start
with the code as it is now. The development container itself goes on.

When 'up' runs on this machine, everything saved before is in the pod first.`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "do not wait until what was saved before is in the pod")
	return cmd
}

// Complete takes the name.
func (o *restartOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	o.name, err = onlyName(cmd, args, cmd.Name())
	return err
}

// Validate has nothing to refuse: the manifest or the cluster knows the names.
func (o *restartOptions) Validate() error { return nil }

// Run deletes the pods.
func (o *restartOptions) Run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	env, err := o.factory.findActive(ctx, o.file, o.name)
	if err != nil {
		return err
	}
	if len(env.Services) == 0 {
		return fmt.Errorf("%s has no services with pods of their own: the field `services` of the manifest names them", env.Dev)
	}
	if !o.noWait {
		if err := flushHere(ctx, o.factory.controlSocket(env.cluster, env.Dev)); err != nil {
			return err
		}
	}
	step := o.factory.Console().Start()
	n, err := env.workloads.RestartServices(ctx, env.Dev)
	if err != nil {
		return err
	}
	step.Done("starting %s of services anew", console.Count(n, "pod"))
	return nil
}
