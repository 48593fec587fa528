//go:build linux

package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// starter starts components and waits for them.
type starter struct {
	config   Config
	control  control
	progress func(format string, args ...any)
}

// startAll starts all components, and the work that waits for them.
func (n starter) startAll(ctx context.Context, push func(ctx context.Context) error) error {
	if err := n.start(ctx, "etcd", "registry", "containerd"); err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		if err := push(ctx); err != nil {
			return err
		}
		n.progress("base images are in the registry")
		return nil
	})
	work.Go(func() error {
		if err := n.start(ctx, "kube-apiserver"); err != nil {
			return err
		}
		work.Go(func() error { return n.start(ctx, "buildkitd") })
		work.Go(func() error {
			return n.start(ctx, "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "storage")
		})
		if err := n.furnish(ctx); err != nil {
			return err
		}
		n.progress("node %s is Ready", Context)
		return nil
	})
	return work.Wait()
}

// start starts components at once and returns when all of them are healthy.
func (n starter) start(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := n.control.start(ctx, name); err != nil {
			return err
		}
	}
	work, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		work.Go(func() error {
			if err := n.await(ctx, name); err != nil {
				return fmt.Errorf("waiting for %s: %w", name, err)
			}
			n.progress("%s serves", name)
			return nil
		})
	}
	return work.Wait()
}

// await waits until a component that was started is healthy.
func (n starter) await(ctx context.Context, name string) error {
	component, err := find(n.config, name)
	if err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		reports, err := n.control.reports(ctx)
		if err != nil {
			return false, err
		}
		for _, report := range reports {
			if report.Name == name && report.Ended != "" {
				return false, n.casualty(report)
			}
		}
		return probe(ctx, n.config, component) == nil, nil
	})
}

// casualty tells how a component has ended, and its last words.
func (n starter) casualty(r report) error {
	log := n.config.log(r.Name)
	return fmt.Errorf("%s was %s; the end of %s:\n%s", r.Name, r.Ended, log, tail(log))
}

// guard does some work, and ends it with the reason if a component ends
// meanwhile.
func (n starter) guard(ctx context.Context, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	check := func() (bool, error) {
		reports, err := n.control.reports(ctx)
		for _, report := range reports {
			if report.Ended != "" {
				return false, n.casualty(report)
			}
		}
		return false, err
	}
	go func() { cancel(poll(ctx, check)) }()
	err := work(ctx)
	if err == nil {
		return nil
	}
	// The work may fail by the end of a component before it is seen here.
	_, reason := check()
	return cmp.Or(context.Cause(ctx), reason, err)
}

// probe reports why a component does not serve.
func probe(ctx context.Context, c Config, component Component) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if path, ok := strings.CutPrefix(component.Health, "unix:"); ok {
		connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	if component.Health == "" {
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, component.Health, nil)
	if err != nil {
		return err
	}
	// Some serve with a certificate of their own making, and all on this
	// machine: it is health that is asked for, not who answers.
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec
	if certificate, err := tls.LoadX509KeyPair(c.path("etc", "admin.crt"), c.path("etc", "admin.key")); err == nil {
		config.Certificates = []tls.Certificate{certificate}
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", component.Health, response.Status)
	}
	return nil
}

// poll calls done until it returns true or an error, or ctx is done.
func poll(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// tail returns the last lines of a log.
func tail(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	content = bytes.TrimSpace(content)
	if len(content) > logTailSize {
		_, content, _ = bytes.Cut(content[len(content)-logTailSize:], []byte("\n"))
	}
	return string(content)
}
