package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/probe"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

const (
	// loss is the share of packets that a lossy network loses, roundTrip what the
	// way to the API server and back takes there.
	loss, roundTrip = 0.01, 100 * time.Millisecond
	// lossyBytes is what is brought through a tunnel there.
	lossyBytes = 16 << 20
)

// laptop is a laptop in a network of its own.
type laptop struct {
	*typist
	session    *session
	network    *lab.Network
	proxy      *tunneltest.Proxy
	kubeconfig string
	// forward is the local port of the forward to the streams.
	forward int
}

// lossy measures a session over a network that loses packets and is slow, and how
// soon it is back after a network that lost all of them.
func (b *bench) lossy(ctx context.Context) error {
	if err := b.leave(ctx); err != nil {
		return err
	}
	network, err := lab.NewNetwork(ctx)
	if err != nil {
		b.report.say("lossy_… and reconnect_hole_s are left out: %v", err)
		return nil
	}
	l := &laptop{network: network}
	return errors.Join(b.onLaptop(ctx, l), network.Close())
}

func (b *bench) onLaptop(ctx context.Context, l *laptop) (err error) {
	s := session{workload: workload, dir: filepath.Join(b.lab.Home, "lossy")}
	if l.forward, err = lab.FreePort(); err != nil {
		return err
	}
	s = s.forwarding(l.forward)
	err = smallTree(s.dir)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "okteto.yaml"), []byte(s.manifest), 0o644)
	}
	if err != nil {
		return err
	}
	if l.proxy, l.kubeconfig, err = b.lab.ProxyAt(ctx, s.dir, l.network.Host); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.proxy.Close()) }()
	l.proxy.SetDelay(roundTrip / 2)
	if err := l.network.Lose(ctx, loss); err != nil {
		return err
	}
	began := time.Now()
	if l.typist, err = b.typist(ctx, s.dir, l.network.Enter, "--kubeconfig", l.kubeconfig); err != nil {
		return err
	}
	b.report.add("lossy_up_ready_s", time.Since(began).Seconds(), "start of up to the first output of its command, 400 files")
	l.session = &s
	for _, m := range []struct {
		key     string
		measure func(context.Context, *laptop) error
	}{
		{"lossy_keystroke_p50_ms", b.lossyKeys},
		{"lossy_edit_p50_ms", b.lossyEdits},
		{"lossy_tunnel_mib_s", b.lossyTunnel},
		{"lossy_exec_s", b.lossyExec},
		{"lossy_reconnect_cut_s", b.lossyCuts},
		{"reconnect_hole_s", b.holes},
	} {
		if err == nil && b.wants(m.key) {
			err = m.measure(ctx, l)
		}
	}
	return errors.Join(l.explain(err), l.end(ctx))
}

func (b *bench) lossyKeys(ctx context.Context, l *laptop) error {
	var all []time.Duration
	for range restKeys {
		took, err := l.press(ctx)
		if err != nil {
			return err
		}
		all = append(all, took)
	}
	b.report.add("lossy_keystroke_p50_ms", milliseconds(median(all)),
		fmt.Sprintf("of %d; 95 %% within %.1f, all within %.1f", len(all), milliseconds(quantile(all, 0.95)), milliseconds(quantile(all, 1))))
	return nil
}

func (b *bench) lossyEdits(ctx context.Context, l *laptop) error {
	if err := b.findPod(ctx, l.session); err != nil {
		return err
	}
	took, err := b.editIn(ctx, l.session, false, b.saves(4))
	if err != nil {
		return err
	}
	all := slices.Concat(took[probe.Write], took[probe.Replace])
	b.report.add("lossy_edit_p50_ms", milliseconds(median(all)),
		fmt.Sprintf("of %d saves; 95 %% within %.1f, all within %.1f", len(all), milliseconds(quantile(all, 0.95)), milliseconds(quantile(all, 1))))
	return nil
}

func (b *bench) lossyTunnel(ctx context.Context, l *laptop) error {
	stop, err := b.streams(ctx, l.session)
	if err != nil {
		return err
	}
	const fetch = `exec 3<>/dev/tcp/127.0.0.1/%d; echo %d >&3; head -c %[2]d <&3 | wc -c`
	took, err := l.time(exec.CommandContext(ctx, "bash", "-c", fmt.Sprintf(fetch, l.forward, lossyBytes)), fmt.Sprintln(lossyBytes))
	if err == nil {
		b.report.add("lossy_tunnel_mib_s", (lossyBytes>>20)/took.Seconds(), fmt.Sprintf("%d MiB from the pod", lossyBytes>>20))
	}
	return errors.Join(err, stop())
}

// time runs a command on the laptop that must print something.
func (l *laptop) time(cmd *exec.Cmd, output string) (time.Duration, error) {
	if err := l.network.Enter(cmd); err != nil {
		return 0, err
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err == nil && string(out) != output {
		err = errors.New("not what it should print")
	}
	if err != nil {
		err = fmt.Errorf("%v: %w: %.500s", cmd.Args, err, out)
	}
	return time.Since(began), err
}

func (b *bench) lossyExec(ctx context.Context, l *laptop) error {
	var all []time.Duration
	for range b.runs {
		took, err := l.time(b.lab.Command(ctx, l.session.dir, "exec", "--kubeconfig", l.kubeconfig, workload, "--", "echo", "done"), "done\n")
		if err != nil {
			return err
		}
		all = append(all, took)
	}
	b.report.add("lossy_exec_s", median(all).Seconds(), "the whole of kubectl okteto exec -- echo: "+seconds(all))
	return nil
}

func (b *bench) lossyCuts(ctx context.Context, l *laptop) error {
	return b.cuts(ctx, l.typist, l.proxy, "lossy_reconnect_cut_s", 2*time.Second)
}

// holes measures a sound network that loses all packets for a while.
func (b *bench) holes(ctx context.Context, l *laptop) error {
	l.proxy.SetDelay(0)
	if err := l.network.Lose(ctx, 0); err != nil {
		return err
	}
	return b.outages(ctx, l.typist, "reconnect_hole_s", []time.Duration{5 * time.Second, 30 * time.Second}, func(on bool) error {
		return l.network.Lose(ctx, map[bool]float64{true: 1, false: 0}[on])
	})
}
