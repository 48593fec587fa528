package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

type syncConflictsOptions struct{ syncTarget }

const syncConflictsLong = `List the conflict copies: files that both sides changed before either heard of
the other. One version keeps the name, the other lies beside it as
<name>.conflict-<side>-<time><ext>.`

func newSyncConflictsCmd(f *Factory) *cobra.Command {
	o := &syncConflictsOptions{syncTarget{factory: f}}
	cmd := &cobra.Command{
		Use:   "conflicts [NAME]",
		Short: "List conflict copies, and say what to do with them",
		Long:  syncConflictsLong,
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	o.flags(cmd)
	o.outputFlag(cmd)
	return cmd
}

// Complete takes the name.
func (o *syncConflictsOptions) Complete(cmd *cobra.Command, args []string) error {
	return o.complete(cmd, args)
}

// Validate checks the output format.
func (o *syncConflictsOptions) Validate() error { return validateOutput(o.output) }

// conflict is one conflict copy, as `-o json` prints it.
type conflict struct {
	// File is the file that keeps the name, Copy the version beside it; both on
	// this machine. Side is the side that the copy comes from.
	File version `json:"file"`
	Copy version `json:"copy"`
	Side string  `json:"side"`
}

// version is one of the two versions. One that is gone has neither size nor
// time.
type version struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified,omitzero"`
}

// Run asks the session for the copies and looks at them.
func (o *syncConflictsOptions) Run(cmd *cobra.Command) error {
	s, err := o.session()
	if err != nil {
		return err
	}
	status, err := s.Status(cmd.Context())
	if err != nil {
		return s.explain(cmd.Context(), err)
	}
	list := conflictsOf(status)
	out := o.factory.Streams.Out
	if o.output == "json" {
		return json.NewEncoder(out).Encode(list)
	}
	return printConflicts(out, list)
}

func conflictsOf(s devsession.SyncStatus) []conflict {
	list := []conflict{}
	for _, f := range s.Folders {
		for _, c := range f.Conflicts {
			original, side := merge.Original(c)
			list = append(list, conflict{
				File: look(filepath.Join(f.Local, filepath.FromSlash(original))),
				Copy: look(filepath.Join(f.Local, filepath.FromSlash(c))),
				Side: side,
			})
		}
	}
	return list
}

// look returns what is at a path.
func look(path string) version {
	v := version{Path: path}
	if info, err := os.Lstat(path); err == nil {
		v.Size, v.Modified = info.Size(), info.ModTime()
	}
	return v
}

func printConflicts(out io.Writer, list []conflict) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "No conflicts.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SIZE\tMODIFIED\tVERSION\tPATH")
	row := func(v version, which string) {
		if v.Modified.IsZero() {
			_, _ = fmt.Fprintf(table, "-\t-\t%s\t%s (gone)\n", which, console.Path(v.Path))
			return
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", console.Bytes(v.Size), v.Modified.Local().Format(time.DateTime), which, console.Path(v.Path))
	}
	for _, c := range list {
		row(c.File, "kept")
		row(c.Copy, "copy, "+c.Side)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	_, err := fmt.Fprintln(out, "Take over from the copy what you need, then delete it: what you do to either is synced like any other change.")
	return err
}
