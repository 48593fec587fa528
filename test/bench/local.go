package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/probe"
)

// wantedOf returns the trees that a peer shall sync between two folders of this
// machine. Edits are measured in the large one.
func (b *bench) wantedOf(peer string) []tree {
	edits := b.wants(peer+"_edit_p50_ms") || b.wants(peer+"_edit_p95_ms")
	var wanted []tree
	for _, t := range []tree{t1, t2} {
		if b.wants(peer+"_"+string(t)+"_s") || edits && t == t2 {
			wanted = append(wanted, t)
		}
	}
	return wanted
}

// localEdits measures saves of cold files of the large tree, which a peer keeps
// in sync between two folders of this machine.
func (b *bench) localEdits(ctx context.Context, peer, from, to string) error {
	writer, err := b.near(ctx, from)
	if err != nil {
		return err
	}
	reader, err := b.near(ctx, to)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	const part = 5 // of our own edits: each takes long
	p := b.saves(part)
	p.seed = 7
	took, err := p.measure(ctx, from, writer, reader)
	if err := errors.Join(err, writer.Close(), reader.Close()); err != nil {
		return err
	}
	all := slices.Concat(took[probe.Write], took[probe.Replace])
	b.report.add(peer+"_edit_p50_ms", milliseconds(median(all)), fmt.Sprintf("%d saves", len(all)))
	b.report.add(peer+"_edit_p95_ms", milliseconds(quantile(all, 0.95)), "")
	return nil
}
