package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

type syncTopOptions struct {
	syncTarget
	limit int
}

const syncTopLong = `Name the paths that cost sync most, by changes and bytes since 'up' began and by
their size on this machine, and suggest what to ignore: what is chatty, the same
files changing again and again, and what is big. Of a folder and what is in it
the deepest is named that has most of the cost.`

func newSyncTopCmd(f *Factory) *cobra.Command {
	const usual = 10
	o := &syncTopOptions{syncTarget: syncTarget{factory: f}}
	cmd := &cobra.Command{
		Use:   "top [NAME]",
		Short: "Name what is big or chatty, and suggest what to ignore",
		Long:  syncTopLong,
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	o.flags(cmd)
	o.outputFlag(cmd)
	cmd.Flags().IntVar(&o.limit, "limit", usual, "how many paths to name in each folder")
	return cmd
}

// Complete takes the name.
func (o *syncTopOptions) Complete(cmd *cobra.Command, args []string) error {
	return o.complete(cmd, args)
}

// Validate checks the flags.
func (o *syncTopOptions) Validate() error {
	if o.limit < 1 {
		return usagef("--limit %d names nothing", o.limit)
	}
	return validateOutput(o.output)
}

// Run asks the session.
func (o *syncTopOptions) Run(cmd *cobra.Command) error {
	s, err := o.session()
	if err != nil {
		return err
	}
	list, err := s.Top(cmd.Context(), o.limit)
	if err != nil {
		return s.explain(cmd.Context(), err)
	}
	out := o.factory.Streams.Out
	if o.output == "json" {
		return json.NewEncoder(out).Encode(list)
	}
	for i, f := range list {
		if i > 0 {
			_, _ = fmt.Fprintln(out)
		}
		if err := printUsage(out, f, o.factory.Now()); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

// ignoreAdvice introduces the lines for an ignore file. A new one takes the place
// of the patterns that are the default.
func ignoreAdvice(local string) string {
	text := fmt.Sprintf("To keep what stands out out of sync, add to %s in %s", syncproto.IgnoreFile, console.Path(local))
	if _, err := os.Lstat(filepath.Join(local, syncproto.IgnoreFile)); errors.Is(err, fs.ErrNotExist) {
		text += " (a new file ends the default patterns: `sync explain` shows which name a path)"
	}
	return text + ":"
}

// printUsage prints the table of one folder, and what to do about it.
func printUsage(out io.Writer, f devsession.FolderUsage, now time.Time) error {
	_, _ = fmt.Fprintf(out, "%s: %s of %s since `up` began; %s, %s\n", console.Path(f.Local),
		console.Count(int(f.Total.Changes), "change"), console.Bytes(f.Total.Bytes), console.Count(f.Total.Files, "file"), console.Bytes(f.Total.Size))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CHANGES\tMOVED\tLAST\tFILES\tSIZE\tPATH")
	for _, p := range f.Paths {
		last := "-"
		if !p.Last.IsZero() {
			last = console.Duration(max(now.Sub(p.Last), 0)) + " ago"
		}
		path := console.Path(p.Path)
		if p.Folder {
			path += "/"
		}
		if p.Why != "" {
			path += "  (" + p.Why + ")"
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%d\t%s\t%s\n", p.Changes, console.Bytes(p.Bytes), last, p.Files, console.Bytes(p.Size), path)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	said := false
	for _, p := range f.Paths {
		if p.Ignore == "" {
			continue
		}
		if !said {
			_, _ = fmt.Fprintln(out, ignoreAdvice(f.Local))
			said = true
		}
		if _, err := fmt.Fprintln(out, "  "+p.Ignore); err != nil {
			return err
		}
	}
	return nil
}
