package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/trees"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// options are what the command line says.
type options struct {
	out         string
	only        *regexp.Regexp
	runs, edits int
}

// bench is one run.
type bench struct {
	// config
	options
	lab   *lab.Lab
	cache trees.Cache
	root  string // of the repository
	probe string // the probe's binary
	// state
	report  *report
	current *session
	route   *route
}

// route leads the plugin to the API server through a proxy.
type route struct {
	proxy      *tunneltest.Proxy
	kubeconfig string
}

// longest bounds a run: on a machine that is as slow as it may be, something
// hangs after that.
const longest = 2 * time.Hour

// run measures what it is asked for and removes what it made.
func run(ctx context.Context, o options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	cache, err := trees.UserCache()
	if err != nil {
		return err
	}
	l, err := lab.Open(ctx, root, "okteto-bench")
	if err != nil {
		return err
	}
	b := &bench{options: o, lab: l, cache: cache, root: root, report: newReport(os.Stderr)}
	defer func() { err = errors.Join(err, b.close(context.WithoutCancel(ctx))) }()
	if err := b.build(ctx); err != nil {
		return err
	}
	if err := deploy(ctx, l, workload, l.Registry+"/debian:1"); err != nil {
		return err
	}
	failed := b.measureAll(ctx)
	if err := b.report.table(os.Stdout); err != nil {
		return err
	}
	return errors.Join(failed, b.report.write(o.out))
}

// build makes the probe. It runs in any image, so that it must be static.
func (b *bench) build(ctx context.Context) error {
	b.probe = filepath.Join(b.lab.Home, "probe")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", b.probe, "./test/bench/probe/command")
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the probe: %w\n%s", err, out)
	}
	return nil
}

// measureAll makes the wanted measurements. One that fails does not keep the
// next from being made.
func (b *bench) measureAll(ctx context.Context) error {
	var failed error
	for _, m := range measurements() {
		if !slices.ContainsFunc(m.matching(), func(k key) bool { return b.wants(k.name) }) {
			continue
		}
		began := time.Now()
		err := m.measure(b, ctx)
		fmt.Fprintf(b.report.log, "%s  (%s took %.0f s, load %s)\n", time.Now().Format(time.TimeOnly), m.keys, time.Since(began).Seconds(), load())
		if ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
		if err != nil {
			err = fmt.Errorf("measuring %s: %w", m.keys, err)
			fmt.Fprintln(b.report.log, err)
			failed = errors.Join(failed, err, b.abandon(ctx))
		}
	}
	return failed
}

// wants reports whether a key shall be measured.
func (b *bench) wants(name string) bool { return b.only.MatchString(name) }

// through returns the route through the proxy, which is the same for the whole
// run: the plugin knows a cluster by its address.
func (b *bench) through(ctx context.Context) (*route, error) {
	if b.route == nil {
		proxy, kubeconfig, err := b.lab.Proxy(ctx, b.lab.Home)
		if err != nil {
			return nil, err
		}
		b.route = &route{proxy, kubeconfig}
	}
	return b.route, nil
}

// close ends what runs and removes what was made.
func (b *bench) close(ctx context.Context) error {
	var err error
	if b.current != nil {
		err = b.abandon(ctx)
	}
	if b.route != nil {
		err = errors.Join(err, b.route.proxy.Close())
	}
	return errors.Join(err, b.lab.Close(ctx))
}

// agentSize is the size of the agent's binary.
func (b *bench) agentSize(context.Context) error {
	agent, err := os.Stat(filepath.Join(b.root, "bin", "agent"))
	if err != nil {
		return err
	}
	b.report.add("agent_bytes", float64(agent.Size()), "the agent's binary")
	return nil
}
