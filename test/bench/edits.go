package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/probe"
)

// farAway is the round trip that is added on the way to the API server.
const farAway = 40 * time.Millisecond

// pause keeps edits apart, as a person does: each one is alone on its way.
const pause = 30 * time.Millisecond

// kindsOfSave are the kinds of edit that a save is.
func kindsOfSave() []probe.Kind { return []probe.Kind{probe.Write, probe.Replace} }

// edits measures saves of cold files of the large tree.
func (b *bench) edits(ctx context.Context) error {
	took, err := b.editAll(ctx, false, b.saves(1))
	if err != nil {
		return err
	}
	all := slices.Concat(took[probe.Write], took[probe.Replace])
	what := fmt.Sprintf("%d saves of cold files of t2, half in place, half write and rename", len(all))
	b.report.add("edit_p50_ms", milliseconds(median(all)), what)
	b.report.add("edit_p95_ms", milliseconds(quantile(all, 0.95)), fmt.Sprintf("the slowest %.1f", milliseconds(quantile(all, 1))))
	b.report.add("edit_write_p50_ms", milliseconds(median(took[probe.Write])), "in place")
	b.report.add("edit_replace_p50_ms", milliseconds(median(took[probe.Replace])), "written beside and renamed")
	return nil
}

// otherEdits measures what is no save.
func (b *bench) otherEdits(ctx context.Context) error {
	const share = 5 // of the saves
	kinds := []probe.Kind{probe.Create, probe.Delete, probe.Mkdir, probe.Rename, probe.Chmod}
	took, err := b.editAll(ctx, false, plan{seed: 2, each: max(1, b.options.edits/share), kinds: kinds})
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		b.report.add("edit_"+string(kind)+"_p50_ms", milliseconds(median(took[kind])),
			fmt.Sprintf("p95 %.1f", milliseconds(quantile(took[kind], 0.95))))
	}
	return nil
}

// editsBack measures saves in the pod until the laptop sees them.
func (b *bench) editsBack(ctx context.Context) error {
	took, err := b.editAll(ctx, true, b.saves(2))
	if err != nil {
		return err
	}
	all := slices.Concat(took[probe.Write], took[probe.Replace])
	b.report.add("edit_back_p50_ms", milliseconds(median(all)), fmt.Sprintf("%d saves in the pod, seen on the laptop", len(all)))
	b.report.add("edit_back_p95_ms", milliseconds(quantile(all, 0.95)), "")
	return nil
}

// editsFarAway measures saves where the API server is far away.
func (b *bench) editsFarAway(ctx context.Context) error {
	s, err := b.routed(ctx, t2)
	if err != nil {
		return err
	}
	s.via.proxy.SetDelay(farAway / 2)
	defer s.via.proxy.SetDelay(0)
	took, err := b.editIn(ctx, s, false, b.saves(4))
	if err != nil {
		return err
	}
	all := slices.Concat(took[probe.Write], took[probe.Replace])
	b.report.add("edit_rtt40_p50_ms", milliseconds(median(all)), fmt.Sprintf("%d saves, p95 %.1f", len(all), milliseconds(quantile(all, 0.95))))
	return nil
}

// editFloor measures what the measuring costs: both probes watch one folder,
// and nothing syncs.
func (b *bench) editFloor(ctx context.Context) error {
	dir := filepath.Join(b.lab.Home, "floor")
	if err := smallTree(dir); err != nil {
		return err
	}
	writer, err := b.near(ctx, dir)
	if err != nil {
		return err
	}
	reader, err := b.near(ctx, dir)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	p := b.saves(2)
	p.seed = 5
	took, err := p.measure(ctx, dir, writer, reader)
	if err := errors.Join(err, writer.Close(), reader.Close()); err != nil {
		return err
	}
	b.report.add("edit_floor_p50_ms", milliseconds(median(slices.Concat(took[probe.Write], took[probe.Replace]))),
		"both probes in one folder of the laptop: what measuring costs")
	return nil
}

// saves plans saves: as many as were asked for, or that part of them.
func (b *bench) saves(part int) plan {
	return plan{seed: uint64(part), each: max(1, b.options.edits/part/len(kindsOfSave())), kinds: kindsOfSave()}
}

// editAll brings the large tree in sync and measures a plan on it: from the
// laptop to the pod, or back.
func (b *bench) editAll(ctx context.Context, back bool, p plan) (map[probe.Kind][]time.Duration, error) {
	s, err := b.on(ctx, t2, nil)
	if err != nil {
		return nil, err
	}
	return b.editIn(ctx, s, back, p)
}

// editIn measures a plan on what a session has in sync.
func (b *bench) editIn(ctx context.Context, s *session, back bool, p plan) (map[probe.Kind][]time.Duration, error) {
	near, err := b.near(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	far, err := b.far(ctx, s)
	if err != nil {
		return nil, errors.Join(err, near.Close())
	}
	writer, reader := near, far
	if back {
		writer, reader = far, near
		p.seed += 100
	}
	if !probe.SameClock(near, far) {
		b.report.say("the cluster has another clock: edits include the way of the answer")
	}
	took, err := p.measure(ctx, s.dir, writer, reader)
	return took, errors.Join(err, near.Close(), far.Close())
}

// plan is a number of edits of each kind, in files that the seed chooses.
type plan struct {
	seed  uint64
	each  int
	kinds []probe.Kind
}

// measure makes the edits in turns and returns how long each took.
func (p plan) measure(ctx context.Context, dir string, writer, reader *probe.Client) (map[probe.Kind][]time.Duration, error) {
	files, err := listFiles(dir)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(p.seed, 0))
	random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	if len(files) < p.each*len(p.kinds) {
		return nil, fmt.Errorf("%d files are too few for %d edits", len(files), p.each*len(p.kinds))
	}
	took := map[probe.Kind][]time.Duration{}
	for i := range p.each * len(p.kinds) {
		time.Sleep(pause)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		kind := p.kinds[i%len(p.kinds)]
		latency, err := probe.Latency(writer, reader, newEdit(kind, files[i], fmt.Sprintf("%d-%d", p.seed, i)))
		if err != nil {
			return nil, err
		}
		took[kind] = append(took[kind], latency)
	}
	return took, nil
}

// newEdit returns an edit at a file, or beside it. id is its own.
func newEdit(kind probe.Kind, file, id string) probe.Edit {
	e := probe.Edit{Kind: kind, Path: file, Token: "\nedit " + id + "\n"}
	switch kind {
	case probe.Create, probe.Mkdir:
		e.Path = filepath.Join(filepath.Dir(file), "new-"+id)
	case probe.Rename:
		e.To = filepath.Join(filepath.Dir(file), "renamed-"+id)
	}
	return e
}

// listFiles returns the files of a folder in the order of their names.
func listFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files = append(files, rel)
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no files: %w", dir, os.ErrNotExist)
	}
	return files, err
}
