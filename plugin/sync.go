package plugin

import "github.com/spf13/cobra"

type syncOptions struct{}

// newSyncCmd returns the commands about sync, one file each.
func newSyncCmd(f *Factory) *cobra.Command {
	o := &syncOptions{}
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Ask about sync, and steer it",
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.AddCommand(newSyncListCmd(f), newSyncFlushCmd(f), newSyncPauseCmd(f), newSyncResumeCmd(f),
		newSyncConflictsCmd(f), newSyncUndoCmd(f), newSyncTopCmd(f), newSyncExplainCmd(f))
	return cmd
}

// Complete refuses a command that there is not.
func (o *syncOptions) Complete(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return nil
}

// Validate has nothing to refuse.
func (o *syncOptions) Validate() error { return nil }

// Run lists the commands.
func (o *syncOptions) Run(cmd *cobra.Command) error { return cmd.Help() }
