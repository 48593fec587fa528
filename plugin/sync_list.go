package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

type syncListOptions struct{ syncTarget }

func newSyncListCmd(f *Factory) *cobra.Command {
	o := &syncListOptions{syncTarget{factory: f}}
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List the synced folders with their state, what is pending and what is held",
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	o.flags(cmd)
	o.outputFlag(cmd)
	return cmd
}

// Complete takes the name.
func (o *syncListOptions) Complete(cmd *cobra.Command, args []string) error {
	return o.complete(cmd, args)
}

// Validate checks the output format.
func (o *syncListOptions) Validate() error { return validateOutput(o.output) }

// Run asks the session.
func (o *syncListOptions) Run(cmd *cobra.Command) error {
	s, err := o.session()
	if err != nil {
		return err
	}
	status, err := s.Status(cmd.Context())
	if err != nil {
		return s.explain(cmd.Context(), err)
	}
	out := o.factory.Streams.Out
	if o.output == "json" {
		return json.NewEncoder(out).Encode(status)
	}
	return printFolders(out, status)
}

// printFolders prints a row for each folder and below them what needs words.
func printFolders(out io.Writer, s devsession.SyncStatus) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "FOLDER\tPOD\tMODE\tSTATE\tFILES\tSIZE\tPENDING\tLAG\tCONFLICTS\tHELD")
	for _, f := range s.Folders {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%d\n", console.Path(f.Local), console.Path(f.Remote), f.Mode, f.State,
			f.Files, console.Bytes(f.Bytes), pendingText(f), lagText(f), len(f.Conflicts), len(f.Held))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	for _, line := range remarks(s) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

// pendingText says what is pending: "12 (3.4 MiB)".
func pendingText(f devsession.FolderStatus) string {
	if f.PendingBytes == 0 {
		return strconv.Itoa(f.PendingFiles)
	}
	return fmt.Sprintf("%d (%s)", f.PendingFiles, console.Bytes(f.PendingBytes))
}

// lagText is the age of the oldest change that is pending.
func lagText(f devsession.FolderStatus) string {
	if f.PendingFiles == 0 {
		return "-"
	}
	return console.Duration(time.Duration(f.LagSeconds * float64(time.Second)))
}

// remarks are the sentences that the folders need.
func remarks(s devsession.SyncStatus) []string {
	var lines []string
	if !s.Connected {
		lines = append(lines, "There is no connection to the pod at the moment; `up` is trying to make one.")
	}
	for _, f := range s.Folders {
		if f.Reason != "" {
			lines = append(lines, fmt.Sprintf("Sync of %s has stopped: %s", console.Path(f.Local), f.Reason))
		}
		if f.State == string(engine.Paused) {
			lines = append(lines, fmt.Sprintf("Sync of %s is paused: `kubectl okteto sync resume` lets it go on.", console.Path(f.Local)))
		}
		for _, h := range f.Held {
			lines = append(lines, fmt.Sprintf("Held in %s: %s", console.Path(f.Local), console.Path(h)))
		}
		if n := len(f.Conflicts); n > 0 {
			lines = append(lines, fmt.Sprintf("%s has %s: `kubectl okteto sync conflicts` lists them.",
				console.Path(f.Local), console.Count(n, "conflict copy")))
		}
	}
	return lines
}
