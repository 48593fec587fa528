package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// between is the time between two outages: a connection that lived for less may
// be waited for longer.
const between = 11 * time.Second

// reconnecting measures how soon a key is echoed again by the process in the pod
// after an outage, and how soon by its successor after the pod was deleted.
func (b *bench) reconnecting(ctx context.Context) error {
	if err := b.leave(ctx); err != nil {
		return err
	}
	dir := filepath.Join(b.lab.Home, "reconnect")
	if err := smallTree(dir); err != nil {
		return err
	}
	via, err := b.through(ctx)
	if err != nil {
		return err
	}
	t, err := b.typist(ctx, dir, nil, "--kubeconfig", via.kubeconfig)
	if err != nil {
		return err
	}
	if b.wants("reconnect_cut_s") {
		err = b.cuts(ctx, t, via.proxy, "reconnect_cut_s", 200*time.Millisecond, 2*time.Second, 30*time.Second)
	}
	if err == nil && b.wants("reconnect_pod_s") {
		err = b.podsLost(ctx, t)
	}
	return errors.Join(t.explain(err), t.end(ctx))
}

// cuts closes all connections to the API server, and new ones at once, for some
// time.
func (b *bench) cuts(ctx context.Context, t *typist, proxy *tunneltest.Proxy, name string, outages ...time.Duration) error {
	return b.outages(ctx, t, name, outages, func(on bool) error {
		proxy.Refuse(on)
		if on {
			proxy.Cut()
		}
		return nil
	})
}

// outages measures the time from the end of each outage to the echo of a key that
// is pressed then.
func (b *bench) outages(ctx context.Context, t *typist, name string, outages []time.Duration, set func(on bool) error) error {
	var slowest time.Duration
	var note string
	for _, outage := range outages {
		var all []time.Duration
		for range b.runs {
			if err := sleep(ctx, between); err != nil {
				return err
			}
			err := set(true)
			if err == nil {
				// Whoever sees no echo types on.
				_, err = t.terminal.Write([]byte{unseen})
			}
			if err == nil {
				err = sleep(ctx, outage)
			}
			if err := errors.Join(err, set(false)); err != nil {
				return err
			}
			took, err := t.press(ctx)
			if err != nil {
				return fmt.Errorf("after %v: %w", outage, err)
			}
			all = append(all, took)
		}
		slowest = max(slowest, median(all))
		note += fmt.Sprintf("; after %v: %s", outage, seconds(all))
	}
	b.report.add(name, slowest.Seconds(), "the worst of the medians"+note)
	return nil
}

// plain is a workload like the benchmarks' that is not taken into development.
const plain = "plain"

// podsLost deletes the development pod, and waits for the command's successor and
// its echo of a key. In the same turn it deletes the pod of another workload with
// the same template, and waits until the next one runs: that is not ours.
func (b *bench) podsLost(ctx context.Context, t *typist) error {
	if err := deploy(ctx, b.lab, plain, b.lab.Registry+"/debian:1"); err != nil {
		return err
	}
	var worst time.Duration
	var note string
	for _, grace := range []string{"0", "30"} {
		var ours, theirs []time.Duration
		for range b.runs {
			if err := sleep(ctx, between); err != nil {
				return err
			}
			began := time.Now()
			remove := func(selector string) func() error {
				return func() error {
					began = time.Now()
					_, err := b.lab.Kubectl(ctx, "", "delete", "pods", "-l", selector, "--wait=false", "--force="+strconv.FormatBool(grace == "0"), "--grace-period="+grace)
					return err
				}
			}
			if _, err := b.podStart(ctx, remove("app="+plain)); err != nil {
				return err
			}
			theirs = append(theirs, time.Since(began))
			if err := b.lab.Ready(ctx, "deploy/"+plain); err != nil {
				return err
			}
			t.screen.Forget()
			if err := remove("interactive.dev.okteto.com=" + workload)(); err != nil {
				return err
			}
			if err := t.screen.Await(ctx, "ready"); err != nil {
				return err
			}
			if _, err := t.press(ctx); err != nil {
				return err
			}
			ours = append(ours, time.Since(began))
		}
		worst = max(worst, median(ours)-median(theirs))
		note += fmt.Sprintf("; grace period %s s: %s, a plain pod %s", grace, seconds(ours), seconds(theirs))
	}
	b.report.add("reconnect_pod_s", worst.Seconds(), "the worse of the differences"+note)
	_, err := b.lab.Kubectl(ctx, "", "delete", "deploy", plain, "--wait=false")
	return err
}
