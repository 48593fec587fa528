package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/probe"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

const (
	// tunnelBytes is what one measurement brings through a tunnel.
	tunnelBytes = 256 << 20
	// tunnelConns is how many connections one forward holds.
	tunnelConns = 1000
	// streamsPort is where the pod's end listens.
	streamsPort = 9000
)

// tunnels measures a forward of `up`, beside kubectl's port-forward to the same
// port of the same pod, in turns.
func (b *bench) tunnels(ctx context.Context) error {
	if err := b.leave(ctx); err != nil {
		return err
	}
	port, err := lab.FreePort()
	if err != nil {
		return err
	}
	s, err := b.up(ctx, session{workload: workload, dir: filepath.Join(b.lab.Home, "tunnel")}.forwarding(port))
	if err != nil {
		return err
	}
	streams, err := b.streams(ctx, s)
	if err != nil {
		return err
	}
	ours := fmt.Sprintf("127.0.0.1:%d", port)
	err = b.throughput(ctx, s, ours)
	if err == nil && b.wants("forward_conns") {
		err = b.manyConns(ctx, ours)
	}
	return errors.Join(err, streams(), b.leave(ctx))
}

// forwarding gives the session's folder a manifest that forwards a local port
// to the streams.
func (s session) forwarding(port int) session {
	s.manifest = fmt.Sprintf("dev:\n  %s:\n    sync: ['.:%s']\n    forward: ['%d:%d']\n", s.workload, app, port, streamsPort)
	return s
}

// streams starts the pod's end; what it returns stops it.
func (b *bench) streams(ctx context.Context, s *session) (stop func() error, err error) {
	if err := b.bringProbe(ctx, s); err != nil {
		return nil, err
	}
	cmd := b.inPod(ctx, s, scratch+"/probe", "streams", fmt.Sprintf("127.0.0.1:%d", streamsPort))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out := lab.NewTranscript()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	if err := out.Await(ctx, "listening"); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// throughput measures both ways to the pod in turns.
func (b *bench) throughput(ctx context.Context, s *session, ours string) error {
	raw, stop, err := b.portForward(ctx, s)
	if err != nil {
		return err
	}
	var mine, theirs []time.Duration
	for range b.runs {
		for address, all := range map[string]*[]time.Duration{ours: &mine, raw: &theirs} {
			took, err := fetch(ctx, address)
			if err != nil {
				return errors.Join(err, stop())
			}
			*all = append(*all, took)
		}
	}
	rate := func(all []time.Duration) float64 { return (tunnelBytes >> 20) / median(all).Seconds() }
	b.report.add("tunnel_mib_s", rate(mine), fmt.Sprintf("%d MiB from the pod, median of %d: %s s", tunnelBytes>>20, b.runs, seconds(mine)))
	b.report.add("port_forward_mib_s", rate(theirs), "")
	b.report.add("tunnel_ratio", rate(mine)/rate(theirs), "tunnel_mib_s over port_forward_mib_s")
	return stop()
}

// portForward starts kubectl's port-forward to the streams and returns its local
// address.
func (b *bench) portForward(ctx context.Context, s *session) (address string, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, "kubectl", "--context", b.lab.Context, "-n", b.lab.Namespace,
		"port-forward", "--address", "127.0.0.1", "pod/"+s.pod, fmt.Sprintf(":%d", streamsPort))
	out := lab.NewTranscript()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it was told to end
		return nil
	}
	if err := out.Await(ctx, " -> "); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	address = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(out.String())
	return address, stop, nil
}

// fetch measures one transfer.
func fetch(ctx context.Context, address string) (time.Duration, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	began := time.Now()
	err = probe.Fetch(conn, tunnelBytes)
	return time.Since(began), err
}

// manyConns opens many connections through one forward, and counts those that
// still answer when all are open.
func (b *bench) manyConns(ctx context.Context, address string) error {
	conns := make([]net.Conn, tunnelConns)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
	var opening errgroup.Group
	began := time.Now()
	for i := range conns {
		opening.Go(func() error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			conns[i] = conn
			if err := conn.SetDeadline(time.Now().Add(lab.Patience)); err != nil {
				return err
			}
			_, err = io.WriteString(conn, "0\n")
			return err
		})
	}
	lost := opening.Wait()
	held := 0
	for _, conn := range conns {
		if conn == nil {
			continue
		}
		if err := probe.Echo(conn); err != nil {
			lost = errors.Join(lost, err)
			continue
		}
		held++
	}
	b.report.add("forward_conns", float64(held), fmt.Sprintf("of %d, opened and answered in %.1f s", tunnelConns, time.Since(began).Seconds()))
	if lost != nil {
		b.report.say("connections were lost: %.200s", lost)
	}
	return nil
}
