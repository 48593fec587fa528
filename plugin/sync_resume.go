package plugin

import "github.com/spf13/cobra"

type syncResumeOptions struct{ syncTarget }

const syncResumeLong = `Let sync go on after 'sync pause', or after it has stopped because most of a tree
would be deleted: resuming means that it shall be.`

func newSyncResumeCmd(f *Factory) *cobra.Command {
	o := &syncResumeOptions{syncTarget{factory: f}}
	cmd := &cobra.Command{
		Use:   "resume [NAME]",
		Short: "Let sync go on after a pause, or after a stop that asks for it",
		Long:  syncResumeLong,
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	o.flags(cmd)
	return cmd
}

// Complete takes the name.
func (o *syncResumeOptions) Complete(cmd *cobra.Command, args []string) error {
	return o.complete(cmd, args)
}

// Validate has nothing to refuse.
func (o *syncResumeOptions) Validate() error { return nil }

// Run tells the session.
func (o *syncResumeOptions) Run(cmd *cobra.Command) error {
	s, err := o.session()
	if err != nil {
		return err
	}
	if err := s.Resume(cmd.Context()); err != nil {
		return s.explain(cmd.Context(), err)
	}
	o.factory.Console().Note("sync of %s is resumed", s.dev)
	return nil
}
