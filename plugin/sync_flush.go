package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
)

type syncFlushOptions struct {
	syncTarget
	timeout time.Duration
}

const syncFlushLong = `Wait until both sides have the same files: everything that was saved here
before is in the pod, and everything that was written there is here.

It ends with 1 and says why when sync has stopped, is paused, or needs longer
than --timeout.`

func newSyncFlushCmd(f *Factory) *cobra.Command {
	const usual = time.Minute
	o := &syncFlushOptions{syncTarget: syncTarget{factory: f}}
	cmd := &cobra.Command{
		Use:     "flush [NAME]",
		Short:   "Wait until both sides have the same files",
		Long:    syncFlushLong,
		Example: "  kubectl okteto sync flush && curl localhost:8080",
		RunE:    func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	o.flags(cmd)
	cmd.Flags().DurationVar(&o.timeout, "timeout", usual, "how long to wait; 0 means without end")
	return cmd
}

// Complete takes the name.
func (o *syncFlushOptions) Complete(cmd *cobra.Command, args []string) error {
	return o.complete(cmd, args)
}

// Validate checks the timeout.
func (o *syncFlushOptions) Validate() error {
	if o.timeout < 0 {
		return usagef("--timeout %v is negative", o.timeout)
	}
	return nil
}

// Run waits.
func (o *syncFlushOptions) Run(cmd *cobra.Command) error {
	s, err := o.session()
	if err != nil {
		return err
	}
	step := o.factory.Console().Start()
	ctx, cancel := cmd.Context(), func() {}
	if o.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
	}
	defer cancel()
	err = s.Flush(ctx, true)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && cmd.Context().Err() == nil:
		return o.late(cmd.Context(), s)
	case err != nil:
		return s.explain(cmd.Context(), err)
	}
	step.Done("both sides of %s have the same files", s.dev)
	return nil
}

// late says what is still on its way.
func (o *syncFlushOptions) late(ctx context.Context, s *session) error {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pending := ""
	if status, err := s.Status(ctx); err == nil {
		for _, f := range status.Folders {
			if f.PendingFiles > 0 {
				pending += fmt.Sprintf("; in %s %s pending for %s", console.Path(f.Local), console.Count(f.PendingFiles, "change"), lagText(f))
			}
		}
		if !status.Connected {
			pending += "; there is no connection to the pod at the moment"
		}
	}
	return fmt.Errorf("the sides are not the same after %v%s", o.timeout, pending)
}
