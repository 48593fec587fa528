package plugin

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

type downOptions struct {
	factory *Factory
	file    string
	volumes bool
	all     bool
	name    string
}

func newDownCmd(f *Factory) *cobra.Command {
	o := &downOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "down [NAME]",
		Short: "Give the original workload back and remove what up made",
		Example: `  # End the only development container of okteto.yaml
  kubectl okteto down

  # End all of a namespace, with their volumes
  kubectl okteto down --all --volumes -n staging`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().BoolVarP(&o.volumes, "volumes", "v", false, "delete the development container's volume claim too")
	cmd.Flags().BoolVarP(&o.all, "all", "A", false, "end every development container of the namespace")
	return cmd
}

// Complete takes the name.
func (o *downOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	o.name, err = onlyName(cmd, args, cmd.Name())
	return err
}

// Validate refuses a name together with --all.
func (o *downOptions) Validate() error {
	if o.all && o.name != "" {
		return usagef("--all ends every development container: leave %q out", o.name)
	}
	return nil
}

// Run restores.
func (o *downOptions) Run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	cluster, err := o.factory.Cluster()
	if err != nil {
		return err
	}
	workloads, err := o.factory.Workloads(cluster)
	if err != nil {
		return err
	}
	options, err := o.restoreOptions()
	if err != nil {
		return err
	}
	c := o.factory.Console()
	step := c.Start()
	restored, err := workloads.Restore(ctx, options)
	for i := range restored {
		reportRestored(step, &restored[i])
		if dev := restored[i].Dev; dev != "" {
			err = errors.Join(err, o.factory.sshConfig().Remove(sshAlias(dev)))
		}
	}
	if err == nil && len(restored) == 0 {
		c.Note("nothing is in development in namespace %s", cluster.Namespace)
	}
	return err
}

// restoreOptions takes names from the manifest where there is one: its name
// for a development container may differ from the workload's.
func (o *downOptions) restoreOptions() (workload.RestoreOptions, error) {
	options := workload.RestoreOptions{All: o.all, Volumes: o.volumes, Name: o.name}
	if o.all {
		return options, nil
	}
	m, err := o.factory.Manifest(o.file)
	switch {
	case errors.Is(err, manifest.ErrNotFound) && o.file == "" && o.name != "":
		return options, nil
	case err != nil:
		return options, err
	}
	dev, err := m.Select(o.name)
	var unknown *manifest.UnknownDevError
	switch {
	case errors.As(err, &unknown) && o.file == "":
		return options, nil
	case err != nil:
		return options, err
	}
	options.Name, options.Dev = dev.Name, dev.Name
	return options, nil
}

func reportRestored(step *console.Step, r *workload.Restored) {
	name := r.Workload
	if name == "" {
		name = r.Dev
	}
	if r.Nothing() {
		step.Done("%s is not in development", name)
		return
	}
	var did []string
	switch {
	case r.Missing:
		did = append(did, "the original is gone")
	case r.Scaled:
		did = append(did, r.State)
	}
	if r.Claim {
		did = append(did, "volume deleted")
	}
	detail := ""
	if len(did) > 0 {
		detail = " (" + strings.Join(did, ", ") + ")"
	}
	step.Done("%s is as it was%s", name, detail)
}
