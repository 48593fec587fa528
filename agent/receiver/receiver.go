// Package receiver is the pod's end of sync: one follower for each root, made
// when the first laptop asks for it.
package receiver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// Config configures a receiver.
type Config struct {
	// Roots are the sync targets.
	Roots []config.Root
	// Others are the paths that are no part of the roots that they lie in.
	Others []string
	// StateDir keeps the index, the base and the trash of each root.
	StateDir string
	// Dir returns the folder of a root here.
	Dir func(root string) string
	// Prepare waits until a root may be used and returns the owner of what
	// sync creates in it; nil leaves that to the system. Its error is shown
	// to the laptop's user.
	Prepare func(ctx context.Context, root string) (*engine.Owner, error)
	// OnStatus is told the state of all roots after changes, ten times a second at
	// most, from Run.
	OnStatus func([]config.RootStatus)
	// Log gets few lines.
	Log *slog.Logger
}

// Receiver serves the sync subsystem.
type Receiver struct {
	config  Config
	changed chan struct{}
	idle    chan string // roots without a session

	mu    sync.Mutex
	roots map[string]*root
}

// root is one sync target.
type root struct {
	// making is held while the follower is being made, so that two laptops
	// that come at once get the same.
	making   chan struct{}
	follower *engine.Follower
	// reason says why there is no follower.
	reason string
}

// statusPause is the least time from one status to the next: a sync changes it
// with each of its batches, and each status travels to the laptop.
const statusPause = 100 * time.Millisecond

// New returns a receiver that does nothing yet.
func New(c Config) *Receiver {
	r := &Receiver{
		config: c, roots: map[string]*root{},
		changed: make(chan struct{}, 1), idle: make(chan string, len(c.Roots)),
	}
	for _, configured := range c.Roots {
		r.roots[configured.Path] = &root{making: make(chan struct{}, 1)}
		r.idle <- configured.Path
	}
	return r
}

// Run tells OnStatus about changes and keeps the roots ready for the next
// session until the context ends.
func (r *Receiver) Run(ctx context.Context) {
	var ready sync.WaitGroup
	defer ready.Wait()
	ready.Go(func() { r.keepReady(ctx) })
	for {
		r.config.OnStatus(r.Status())
		select {
		case <-ctx.Done():
			return
		case <-time.After(statusPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-r.changed:
		}
	}
}

// keepReady scans roots while no laptop is connected: whoever comes does not
// wait for it.
func (r *Receiver) keepReady(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case path := <-r.idle:
			f, err := r.follower(ctx, path)
			if err == nil {
				err = f.Prepare(ctx)
			}
			if err != nil && ctx.Err() == nil {
				r.config.Log.Debug("not ready for the next session", "root", path, "err", err)
			}
		}
	}
}

// Status returns the state of all roots, in the order of the configuration.
func (r *Receiver) Status() []config.RootStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]config.RootStatus, 0, len(r.config.Roots))
	for _, configured := range r.config.Roots {
		state := config.RootStatus{Path: configured.Path, State: string(engine.Waiting)}
		switch root := r.roots[configured.Path]; {
		case root.follower != nil:
			s := root.follower.Status()
			state.State, state.Reason = string(s.State), s.Reason
			state.Files, state.Bytes = s.Files, s.Bytes
			state.Generation = s.Generation
		case root.reason != "":
			state.State, state.Reason = string(engine.Stopped), root.reason
		}
		states = append(states, state)
	}
	return states
}

// notify wakes Run. It never blocks: one wake-up stands for all changes.
func (r *Receiver) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Serve serves one session of sync on a channel.
func (r *Receiver) Serve(ctx context.Context, channel io.ReadWriteCloser) error {
	var served string
	err := engine.Accept(ctx, channel, func(path string) (*engine.Follower, error) {
		f, err := r.follower(ctx, path)
		if err == nil {
			served = path
		}
		return f, err
	})
	if served != "" {
		select {
		case r.idle <- served:
		default: // it is waiting there already
		}
	}
	return err
}

// follower returns the follower of a root, which it makes on first use.
func (r *Receiver) follower(ctx context.Context, path string) (*engine.Follower, error) {
	r.mu.Lock()
	root, ok := r.roots[path]
	r.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s is not a sync folder of this pod: run up again to recreate it", path)
	}
	select {
	case root.making <- struct{}{}:
		defer func() { <-root.making }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	r.mu.Lock()
	made := root.follower
	r.mu.Unlock()
	if made != nil {
		return made, nil
	}
	f, err := r.make(ctx, path)
	r.mu.Lock()
	defer r.mu.Unlock()
	root.follower, root.reason = f, ""
	if err != nil {
		root.reason = err.Error()
	}
	r.notify()
	return f, err
}

func (r *Receiver) make(ctx context.Context, path string) (*engine.Follower, error) {
	owner, err := r.config.Prepare(ctx, path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(path))
	return engine.NewFollower(engine.Config{
		Root:     r.config.Dir(path),
		StateDir: filepath.Join(r.config.StateDir, "sync", hex.EncodeToString(sum[:16])),
		Exclude:  Nested(r.config.Others, path),
		Owner:    owner,
		OnEvent:  r.onEvent(path),
	})
}

// onEvent keeps the status fresh. Only what a user should read is logged.
func (r *Receiver) onEvent(path string) func(engine.Event) {
	return func(e engine.Event) {
		if e.Kind == engine.Warning {
			r.config.Log.Warn("sync", "root", path, "path", e.Path, "detail", e.Detail)
		}
		r.notify()
	}
}

// Nested returns those of the paths that lie below another, relative to it.
func Nested(paths []string, path string) []string {
	var nested []string
	for _, p := range paths {
		below, ok := strings.CutPrefix(p, strings.TrimSuffix(path, "/")+"/")
		if ok && below != "" {
			nested = append(nested, below)
		}
	}
	slices.Sort(nested)
	return nested
}
