package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/trees"
	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/images"
)

// seeded measures the first sync into a pod whose image holds all but a
// hundredth of the tree.
func (b *bench) seeded(ctx context.Context) (err error) {
	const share, name = 100, "seeded"
	if err := b.leave(ctx); err != nil {
		return err
	}
	from, err := trees.Sources(ctx)
	if err != nil {
		return err
	}
	layout, err := images.Workspace(string(b.cache), "sources-"+runtime.Version(), from)
	if err != nil {
		return err
	}
	if err := images.Push(ctx, b.lab.Registry, map[string]string{"bench-sources": layout}); err != nil {
		return err
	}
	if err := deploy(ctx, b.lab, name, b.lab.Registry+"/bench-sources:1"); err != nil {
		return err
	}
	dir := filepath.Join(b.lab.Home, name)
	if err := copyTree(ctx, from, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := changeSome(dir, share); err != nil {
		return err
	}
	via, err := b.through(ctx)
	if err != nil {
		return err
	}
	before := via.proxy.Traffic()
	s, err := b.up(ctx, session{workload: name, dir: dir, via: via})
	if err != nil {
		return err
	}
	after := via.proxy.Traffic()
	tree, err := b.verify(ctx, s)
	if err != nil {
		return err
	}
	sent, received := after.Sent-before.Sent, after.Received-before.Received
	b.report.add("seeded_t1_bytes", float64(sent+received)/float64(tree.Bytes), fmt.Sprintf(
		"of the tree's bytes, all of up: TLS, sent %d and received %d; synced in %.2f s", sent, received, s.synced.Seconds()))
	return b.leave(ctx)
}

// changeSome changes one file of so many.
func changeSome(dir string, share int) error {
	files, err := listFiles(dir)
	if err != nil {
		return err
	}
	for i := 0; i < len(files); i += share {
		file := filepath.Join(dir, files[i])
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, append(content, "\n// changed\n"...), 0o644); err != nil {
			return err
		}
	}
	return nil
}
