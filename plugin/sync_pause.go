package plugin

import "github.com/spf13/cobra"

type syncPauseOptions struct{ syncTarget }

const syncPauseLong = `Stop sync in both directions until 'sync resume'. What changes meanwhile on either
side is brought over then. 'exec' does not run on old code meanwhile, unless told
with --no-wait.`

func newSyncPauseCmd(f *Factory) *cobra.Command {
	o := &syncPauseOptions{syncTarget{factory: f}}
	cmd := &cobra.Command{
		Use:   "pause [NAME]",
		Short: "Stop sync until it is resumed",
		Long:  syncPauseLong,
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	o.flags(cmd)
	return cmd
}

// Complete takes the name.
func (o *syncPauseOptions) Complete(cmd *cobra.Command, args []string) error {
	return o.complete(cmd, args)
}

// Validate has nothing to refuse.
func (o *syncPauseOptions) Validate() error { return nil }

// Run tells the session.
func (o *syncPauseOptions) Run(cmd *cobra.Command) error {
	s, err := o.session()
	if err != nil {
		return err
	}
	if err := s.Pause(cmd.Context()); err != nil {
		return s.explain(cmd.Context(), err)
	}
	o.factory.Console().Note("sync of %s is paused; `kubectl okteto sync resume` lets it go on", s.dev)
	return nil
}
