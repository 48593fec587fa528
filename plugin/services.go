package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// services are the further workloads of a development container. They are taken
// into development when the code is in its pod, because their processes start
// with it.
type services struct {
	workloads *workload.Client
	console   *console.Console
	all       []*service

	// ready is sent to when the code is in the pod, begun closed when all are
	// in development.
	ready, begun chan struct{}
}

// service is one of them.
type service struct {
	dev     *manifest.Dev
	query   workload.Query
	spec    workload.Spec
	found   *workload.Found
	swapped *workload.Swapped
}

func newServices(workloads *workload.Client, c *console.Console, dev *manifest.Dev, holder string) *services {
	s := &services{workloads: workloads, console: c, ready: make(chan struct{}, 1), begun: make(chan struct{})}
	for _, d := range dev.Services {
		s.all = append(s.all, &service{
			dev:   d,
			query: workload.Query{Name: d.Workload, Paths: d.Paths, Selector: workload.SelectorOf(d.Selector)},
			spec:  workload.ServiceSpec(dev, d, holder),
		})
	}
	return s
}

// find asks for all workloads at once.
func (s *services) find(ctx context.Context) error {
	var group errgroup.Group
	for _, one := range s.all {
		group.Go(func() (err error) {
			if one.found, err = s.workloads.Find(ctx, one.query); err != nil {
				return fmt.Errorf("looking for the services: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// join makes one of those that are containers of one workload, the development
// container's among them, and looks for what would keep any from being taken into
// development.
func (s *services) join(main *environment) error {
	var all []*service
	for _, one := range s.all {
		var spec *workload.Spec
		i := slices.IndexFunc(all, func(o *service) bool { return o.found.String() == one.found.String() })
		switch {
		case one.found.String() == main.found.String():
			spec = &main.spec
		case i >= 0:
			spec = &all[i].spec
		default:
			all = append(all, one)
			continue
		}
		joined, err := workload.Joined(*spec, one.dev)
		if err != nil {
			return fmt.Errorf("the services of %s: %w", one.found, err)
		}
		*spec = joined
	}
	s.all = all
	for _, one := range s.all {
		if _, err := workload.Clone(one.found.Workload, one.found.Clone, one.spec); err != nil {
			return fmt.Errorf("looking for the services: %w", err)
		}
	}
	return main.check()
}

// names are the workloads as kind/name.
func (s *services) names() string {
	var names []string
	for _, one := range s.all {
		names = append(names, one.found.String())
	}
	return strings.Join(names, ", ")
}

// plan returns what would be written for them.
func (s *services) plan() ([]workload.Planned, error) {
	var all []workload.Planned
	for _, one := range s.all {
		plan, err := s.workloads.PlanService(one.found, one.spec)
		if err != nil {
			return nil, err
		}
		all = append(all, plan...)
	}
	return all, nil
}

// follow lets the cluster give the services back when it does the development
// container.
func (s *services) follow(main workload.Spec) {
	for _, one := range s.all {
		one.spec.Dev.AutoDown, one.spec.Dev.Agent, one.spec.AgentImage = main.Dev.AutoDown, main.Dev.Agent, main.AgentImage
	}
}

// await tells that the code is in the pod, and returns when the services are in
// development.
func (s *services) await(ctx context.Context) {
	if len(s.all) == 0 {
		return
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
	select {
	case <-s.begun:
	case <-ctx.Done():
	}
}

// run takes the services into development as soon as somebody awaits them, and
// tells what happens to them until ctx ends. An error is that one could not be
// taken.
func (s *services) run(ctx context.Context, main *environment, autoscalers []workload.Autoscaler) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil
	}
	s.follow(main.spec)
	step := s.console.Start()
	var group errgroup.Group
	for _, one := range s.all {
		one.found.Autoscalers = slices.Clone(autoscalers)
		group.Go(func() (err error) {
			one.swapped, err = s.workloads.Swap(ctx, one.found, one.spec)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("taking the services into development: %w", err)
	}
	step.Done("in development with the same code: %s", s.names())
	for _, one := range s.all {
		tellControllers(s.console, one.found, one.swapped)
	}
	close(s.begun)
	var watches errgroup.Group
	for _, one := range s.all {
		watches.Go(func() error {
			s.workloads.Guard(ctx, one.found.Workload, func(r workload.Revert) { tellRevert(s.console, r) })
			return nil
		})
		watches.Go(func() error {
			s.watch(ctx, one)
			return nil
		})
	}
	return watches.Wait()
}

// watch warns when no pod of a service comes to run.
func (s *services) watch(ctx context.Context, one *service) {
	if one.swapped.Pods == 0 {
		return
	}
	_, err := s.workloads.Wait(ctx, one.swapped.Target, workload.WaitOptions{
		Until: workload.Running, Timeout: one.spec.Dev.Timeout.Resources,
	})
	if err == nil || ctx.Err() != nil {
		return
	}
	s.console.Warn("the service %s does not run: %v", one.found, err)
	text := hint(err)
	if workload.TiedToOneNode(err, &one.spec) {
		text = "it has to be on the development container's node, whose claim it shares: " +
			"`persistentVolume: {accessMode: ReadWriteMany}` lets it be elsewhere, if the storage can"
	}
	if text != "" {
		s.console.Note("%s", text)
	}
}
