package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/components"
	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/images"
	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
)

const superviseVerb = node.SuperviseVerb

// up compiles what is not cached yet and starts the cluster.
func (c cluster) up(ctx context.Context) error {
	progress := c.progress()
	system, err := node.Prepare(ctx, progress)
	if err != nil {
		return err
	}
	source, cache, err := folders()
	if err != nil {
		return err
	}
	var (
		programs components.Programs
		layouts  map[string]string
	)
	work, making := errgroup.WithContext(ctx)
	work.Go(func() (err error) {
		programs, err = components.Compile(making, filepath.Join(source, "components"), cache, progress)
		return err
	})
	work.Go(func() (err error) {
		layouts, err = makeImages(making, source, cache, progress)
		return err
	})
	if err := work.Wait(); err != nil {
		return err
	}
	progress("programs and images are in %s", cache)
	maps.Copy(programs, system)
	push := func(ctx context.Context) error { return images.Push(ctx, node.Registry, layouts) }
	config := node.Config{State: c.state, Subnet: c.subnet, Programs: programs}
	if err := node.Up(ctx, config, push, progress); err != nil {
		return err
	}
	fmt.Fprintf(c.log, "\nThe cluster is up. For a shell:  eval \"$(go run ./test/cluster env)\"\n")
	return nil
}

// folders returns the folder of the sources and the one of the cache.
func folders() (source, cache string, err error) {
	if source, err = sourceDir(); err != nil {
		return "", "", err
	}
	if cache, err = os.UserCacheDir(); err != nil {
		return "", "", err
	}
	return source, filepath.Join(cache, "kubectl-okteto", "cluster"), nil
}

// makeImages makes the images that are not cached yet and returns their
// layouts by name.
func makeImages(ctx context.Context, source, cache string, progress func(string, ...any)) (map[string]string, error) {
	var (
		layouts map[string]string
		debian  string
	)
	work, making := errgroup.WithContext(ctx)
	work.Go(func() (err error) {
		layouts, err = images.Make(making, filepath.Join(source, "images"), cache)
		return err
	})
	work.Go(func() (err error) {
		debian, err = images.Debian(making, cache, progress)
		return err
	})
	if err := work.Wait(); err != nil {
		return nil, err
	}
	layouts["debian"] = debian
	return layouts, nil
}

// pushImages pushes the tests' images to the registry that another cluster
// pulls from. Its own cluster has them from the start.
func (c cluster) pushImages(ctx context.Context) error {
	registry := os.Getenv(registryVar)
	if registry == "" {
		return fmt.Errorf("%s is not set: name a registry that the cluster pulls from", registryVar)
	}
	progress := c.progress()
	if _, err := node.Prepare(ctx, progress); err != nil {
		return err
	}
	source, cache, err := folders()
	if err != nil {
		return err
	}
	layouts, err := makeImages(ctx, source, cache, progress)
	if err != nil {
		return err
	}
	if err := images.Push(ctx, registry, layouts); err != nil {
		return err
	}
	progress("the tests' images are in %s", registry)
	return nil
}

// sourceDir finds the folder test/cluster of the repository that the current
// folder is in.
func sourceDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		source := filepath.Join(dir, "test", "cluster")
		if _, err := os.Stat(filepath.Join(source, "components", "kubernetes", "go.mod")); err == nil {
			return source, nil
		}
	}
	return "", errors.New("run this in the repository, whose folder test/cluster has the sources")
}

// down stops the cluster.
func (c cluster) down(ctx context.Context) error {
	progress := c.progress()
	err := node.Down(ctx, c.state)
	if errors.Is(err, node.ErrStopped) {
		fmt.Fprintln(c.log, "no cluster is running")
		return nil
	}
	if err != nil {
		return err
	}
	progress("the cluster is gone, and all that it made")
	return nil
}

// status prints a table of the components. Its error says that the cluster is
// not well.
func (c cluster) status(ctx context.Context) error {
	config, all, err := node.Inspect(ctx, c.state)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tPID\tUP\tSTATE")
	var unwell []string
	for _, s := range all {
		pid, up, state := "-", "-", "serves"
		if s.PID != 0 {
			pid, up = fmt.Sprint(s.PID), time.Since(s.Started).Round(time.Second).String()
		}
		if s.Problem != "" {
			state = s.Problem
			unwell = append(unwell, s.Name)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Name, pid, up, state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "state folder %s, logs in %s\n", config.State, filepath.Join(config.State, "log"))
	if len(unwell) > 0 {
		return fmt.Errorf("not well: %s", strings.Join(unwell, ", "))
	}
	return nil
}

// env prints the environment of tests as shell commands.
func (c cluster) env(ctx context.Context) error {
	config, _, err := node.Inspect(ctx, c.state)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "export KUBECONFIG=%s\nexport %s=%s\nexport OKTETO_TEST_REGISTRY=%s\nexport BUILDKIT_HOST=%s\nexport PATH=%s:\"$PATH\"\n",
		quote(config.Kubeconfig()), contextVar, node.Context, node.Registry, quote(config.BuildKit()),
		quote(strings.Join(config.ClientPath(), ":")))
	return nil
}

// start starts a component again that was killed; kill ends one, so that tests
// can see what its absence does.
func (c cluster) start(ctx context.Context, name string) error { return node.Start(ctx, c.state, name) }
func (c cluster) kill(ctx context.Context, name string) error  { return node.Kill(ctx, c.state, name) }

// supervise is what `up` starts in namespaces of its own.
func supervise(ctx context.Context, state string) error { return node.Supervise(ctx, state) }
