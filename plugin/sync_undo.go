package plugin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
)

// askFrom is from how many entries on an undo asks first.
const askFrom = 6

type syncUndoOptions struct {
	syncTarget
	list  bool
	yes   bool
	batch string
}

const syncUndoLong = `Bring back what sync deleted or overwrote last, on either side, as it was before:
the newest batch of the trash, or the one that is named. What is there now goes to
the trash first, so that an undo can be undone. The outcome is synced like any
other change.

On a terminal it asks before it changes more than a few paths.`

func newSyncUndoCmd(f *Factory) *cobra.Command {
	o := &syncUndoOptions{syncTarget: syncTarget{factory: f}}
	cmd := &cobra.Command{
		Use:   "undo [BATCH]",
		Short: "Bring back what sync deleted or overwrote",
		Long:  syncUndoLong,
		Example: `  kubectl okteto sync undo --list
  kubectl okteto sync undo pod-20260504T030201.123456789`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	o.flags(cmd)
	o.outputFlag(cmd)
	cmd.Flags().StringVar(&o.name, "name", "", "development container, where the manifest has several or there is none")
	cmd.Flags().BoolVar(&o.list, "list", false, "list what can be brought back, newest first")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

// Complete takes the batch.
func (o *syncUndoOptions) Complete(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("unexpected argument %q: one batch at a time", args[1])
	}
	o.batch = strings.Join(args, "")
	return nil
}

// Validate refuses flags that contradict each other.
func (o *syncUndoOptions) Validate() error {
	if o.list && o.batch != "" {
		return usagef("--list lists every batch: leave %q out", o.batch)
	}
	return validateOutput(o.output)
}

// Run lists, or brings back.
func (o *syncUndoOptions) Run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	s, err := o.session()
	if err != nil {
		return err
	}
	list, err := s.Trash(ctx)
	if err != nil {
		return s.explain(ctx, err)
	}
	slices.SortStableFunc(list, func(a, b devsession.TrashBatch) int { return b.Time.Compare(a.Time) })
	out := o.factory.Streams.Out
	switch {
	case o.list && o.output == "json":
		return json.NewEncoder(out).Encode(list)
	case o.list:
		return printTrash(out, list)
	}
	chosen, err := choose(list, o.batch)
	if err != nil {
		return err
	}
	sure, err := o.ask(ctx, chosen)
	if err != nil {
		return err
	}
	if !sure {
		return errors.New("nothing was changed")
	}
	// A remote path is a folder's own even where two have the same local one.
	s.Folder = chosen.Remote
	undone, err := s.Undo(ctx, chosen.Batch)
	if err != nil {
		return s.explain(ctx, err)
	}
	if o.output == "json" {
		if err := json.NewEncoder(out).Encode(undone); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return o.tell(undone)
}

// errNothingToUndo means that the trash holds nothing that an undo would bring
// back by itself.
var errNothingToUndo = errors.New("there is nothing to undo: the trash is empty, or holds only what edits on this machine replaced")

// choose finds a batch by its name; "" means the newest that destroyed something.
func choose(list []devsession.TrashBatch, name string) (devsession.TrashBatch, error) {
	found := slices.DeleteFunc(slices.Clone(list), func(b devsession.TrashBatch) bool {
		return name != "" && b.Batch != name || name == "" && !b.Destructive
	})
	switch {
	case len(found) == 0 && name == "":
		return devsession.TrashBatch{}, errNothingToUndo
	case len(found) == 0:
		return devsession.TrashBatch{}, fmt.Errorf("no trash within reach holds the batch %q; `kubectl okteto sync undo --list` names them", name)
	case len(found) > 1 && name != "":
		return devsession.TrashBatch{}, usagef("several folders have the batch %q: say which one with --folder", name)
	}
	return found[0], nil
}

// ask asks whether to go on, where somebody is there to answer and it is worth a
// question.
func (o *syncUndoOptions) ask(ctx context.Context, b devsession.TrashBatch) (bool, error) {
	if _, terminal := o.factory.terminal(); !terminal || o.yes || b.Entries < askFrom {
		return true, nil
	}
	_, _ = fmt.Fprintf(o.factory.Streams.ErrOut, "Bring back %s? [y/N] ", describeBatch(b))
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(o.factory.Streams.In).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		return a == "y" || a == "yes", nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// describeBatch says in words what a batch holds.
func describeBatch(b devsession.TrashBatch) string {
	where := "on this machine, in " + console.Path(b.Local)
	if b.Side == "pod" {
		where = "in the pod, in " + console.Path(b.Remote)
	}
	return fmt.Sprintf("%s (%s) of %s %s", console.Count(b.Entries, "entry"), strings.Join(b.Why, ", "), b.Time.Local().Format(time.DateTime), where)
}

// tell says what came of it. What failed makes the command fail.
func (o *syncUndoOptions) tell(u devsession.Undone) error {
	c := o.factory.Console()
	c.Note("%s of %s are as they were before %s", console.Count(u.Entries, "path"), console.Path(u.Batch.Local), u.Batch.Time.Local().Format(time.DateTime))
	for _, f := range u.Failures {
		c.Warn("%s: %s", console.Path(f.Path), f.Reason)
	}
	if u.Failed > 0 {
		return fmt.Errorf("%s could not be brought back", console.Count(u.Failed, "path"))
	}
	return nil
}

func printTrash(out io.Writer, list []devsession.TrashBatch) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "The trash is empty.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "BATCH\tTIME\tENTRIES\tSIZE\tWHY\tFOLDER\tPATHS")
	for _, b := range list {
		root := b.Local
		if b.Side == "pod" {
			root = b.Remote
		}
		const shown = 2
		var paths []string
		for _, p := range b.Paths[:min(len(b.Paths), shown)] {
			paths = append(paths, console.Path(p))
		}
		if b.Entries > len(paths) {
			paths = append(paths, "…")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", b.Batch, b.Time.Local().Format(time.DateTime), b.Entries,
			console.Bytes(b.Bytes), strings.Join(b.Why, ", "), console.Path(root), strings.Join(paths, ", "))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
