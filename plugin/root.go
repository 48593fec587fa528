package plugin

import (
	"github.com/spf13/cobra"
)

// rootLong is what `kubectl okteto` alone prints.
const rootLong = `Develop inside a running workload, on any Kubernetes cluster.

'kubectl okteto up' swaps a workload for a development container, keeps your
source folder in sync with it both ways, forwards its ports and runs your command
there. 'kubectl okteto down' brings the original back.`

// newRootCmd returns the tree of commands.
func newRootCmd(f *Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-okteto",
		Short: "Develop inside a running workload",
		Long:  rootLong,
		// kubectl runs plugins under their own name.
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl okteto"},
		// Errors and hints are printed in one place: exit.go. Standard output
		// has no place for usage.
		SilenceErrors: true, SilenceUsage: true,
	}
	f.Flags.AddFlags(root.PersistentFlags())
	root.SetIn(f.Streams.In)
	root.SetOut(f.Streams.Out)
	root.SetErr(f.Streams.ErrOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err: err} })
	root.AddCommand(newUpCmd(f), newDownCmd(f), newExecCmd(f), newAttachSessionCmd(f), newRestartCmd(f), newStatusCmd(f), newSyncCmd(f), newSchemaCmd(f), newVersionCmd(f), newProxyCmd(f))
	return root
}
