package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// AutoDown configures the role that ends a dev environment when no laptop has
// been heard of for too long. Objects are named by their paths at the API
// server, so that the agent need not know kinds.
type AutoDown struct {
	// After is how long that is.
	After time.Duration
	// Lease is the one that laptops renew.
	Lease string
	// Original is the workload to give back; "" when there is none.
	Original string
	// Memory is the clone that remembers the original where that is a pod, which is
	// made again; "" for others.
	Memory string
	// Resume are the ScaledObjects of KEDA to let go on where they were paused for
	// the original; PausedFor is that as kind/name.
	Resume    []string
	PausedFor string
	// Delete are the objects to delete after that, in order. The last is the one
	// that the role owes its rights to.
	Delete []string
}

// Args renders the command line of the autodown role; ParseAutoDown is its
// inverse.
func (a AutoDown) Args() []string {
	args := []string{"autodown", "--after", a.After.String(), "--lease", a.Lease}
	if a.Original != "" {
		args = append(args, "--original", a.Original)
	}
	if a.Memory != "" {
		args = append(args, "--memory", a.Memory)
	}
	for _, r := range a.Resume {
		args = append(args, "--resume", r)
	}
	if a.PausedFor != "" {
		args = append(args, "--paused-for", a.PausedFor)
	}
	for _, d := range a.Delete {
		args = append(args, "--delete", d)
	}
	return args
}

// ParseAutoDown parses what Args rendered, without the role's name.
func ParseAutoDown(args []string) (AutoDown, error) {
	var a AutoDown
	fs := newFlagSet("autodown")
	fs.DurationVar(&a.After, "after", 0, "how long no laptop has to be heard of")
	object := func(name, usage string, add func(string)) {
		fs.Func(name, usage, func(v string) error {
			if !strings.HasPrefix(v, "/api") {
				return fmt.Errorf("%s %q is not the path of an object at the API server", name, v)
			}
			add(v)
			return nil
		})
	}
	object("lease", "the Lease that laptops renew", func(v string) { a.Lease = v })
	object("original", "the workload to give back", func(v string) { a.Original = v })
	object("memory", "the clone of the pod to make again", func(v string) { a.Memory = v })
	object("resume", "a ScaledObject to let go on", func(v string) { a.Resume = append(a.Resume, v) })
	fs.StringVar(&a.PausedFor, "paused-for", "", "what it was paused for")
	object("delete", "an object to delete", func(v string) { a.Delete = append(a.Delete, v) })
	if err := parse(fs, args); err != nil {
		return AutoDown{}, err
	}
	if a.After <= 0 || a.Lease == "" {
		return AutoDown{}, errors.New("autodown needs --after and --lease")
	}
	if len(a.Resume) > 0 && a.PausedFor == "" {
		return AutoDown{}, errors.New("autodown --resume needs --paused-for")
	}
	if a.Memory != "" && a.Original == "" {
		return AutoDown{}, errors.New("autodown --memory needs --original")
	}
	return a, nil
}
