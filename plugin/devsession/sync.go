package devsession

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// Folder is one synced folder: the laptop's end outlives connections.
type Folder struct {
	// Leader is the laptop's end.
	Leader *engine.Leader
	// Local and Remote are the roots on either side.
	Local, Remote string
	// Mode is the leader's.
	Mode engine.Mode
}

// startSync starts to sync every folder over the connection and waits until
// what the laptop has is in the pod, unless nobody wants to wait, or the command
// runs already. A sync that ends later cancels with its cause.
func (s *Session) startSync(ctx context.Context, group *errgroup.Group, l *lines, cancel context.CancelCauseFunc) error {
	if len(s.Folders) == 0 {
		return nil
	}
	step := s.Console.Start()
	for _, f := range s.Folders {
		group.Go(func() error {
			if err := f.run(ctx, l); ctx.Err() == nil {
				cancel(f.ended(err))
			}
			return nil
		})
	}
	if s.Command.Running() {
		return nil
	}
	if s.NoWait {
		step.Done("synchronizing; not waiting for it")
		return nil
	}
	switch err := s.firstFlush(ctx); {
	case errors.Is(err, engine.ErrPaused): // before the connection was lost
		step.Done("%v", err)
		return nil
	case err != nil:
		return err
	}
	var files int
	var bytes int64
	for _, f := range s.Folders {
		status := f.Leader.Status()
		files, bytes = files+status.Files, bytes+status.Bytes
	}
	step.Done("synchronized %d files, %s", files, console.Bytes(bytes))
	return nil
}

// firstFlush waits until what the laptop has is in the pod, and shows how far it
// is.
func (s *Session) firstFlush(ctx context.Context) error {
	progress := newSyncProgress(s.Console, s.Folders)
	done := make(chan error, 1)
	go func() { done <- s.awaitFirst(ctx) }()
	defer progress.done()
	// The first sync is no time of idleness, in which nothing may poll.
	picture := time.NewTicker(progressTick)
	defer picture.Stop()
	for {
		select {
		case err := <-done:
			return err
		case now := <-picture.C:
			progress.show(now)
		}
	}
}

// awaitFirst waits until what the laptop has is in the pod. A stop is waited out:
// only a session that runs can be told to resume. What is paused need not come.
func (s *Session) awaitFirst(ctx context.Context) error {
	for again := false; ; {
		changed := s.pulse.wait()
		err := flush(ctx, s.Folders)
		switch {
		case errors.Is(err, engine.ErrPaused):
			return nil
		case !errors.Is(err, engine.ErrStopped):
			return err
		case !s.stopped() && again:
			return err // a single path cannot be brought over
		case !s.stopped():
			again = true // or it went on this moment
			continue
		}
		again = false
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stopped tells whether the sync of a folder has stopped as a whole.
func (s *Session) stopped() bool {
	return slices.ContainsFunc(s.Folders, func(f *Folder) bool { return f.Leader.Status().State == engine.Stopped })
}

func (f *Folder) run(ctx context.Context, l *lines) error {
	client, err := l.of(syncing)
	if err != nil {
		return err
	}
	channel, err := client.Subsystem(ctx, config.SubsystemSync)
	if err != nil {
		return fmt.Errorf("opening the channel: %w", err)
	}
	defer func() { _ = channel.Close() }()
	return f.Leader.Run(ctx, channel, f.Remote)
}

// ended says whether a sync that ended may go on over another connection. One
// that was replaced may not either, but who took the environment over is for
// the Lease to tell, which is asked before reconnecting.
func (f *Folder) ended(err error) error {
	err = fmt.Errorf("syncing %s: %w", f.Local, err)
	var version *syncproto.VersionError
	var stopped *engine.StopError
	switch {
	case errors.As(err, &version):
		return err
	case errors.As(err, &stopped) && stopped.Code != syncproto.StopReplaced && stopped.Code != syncproto.StopClosed:
		return err
	}
	return lostError(err)
}

// prepare scans the folders while the cluster is still busy. What goes wrong
// here goes wrong again, and is reported, when the sync starts.
func (s *Session) prepare(ctx context.Context) {
	for _, f := range s.Folders {
		if f.Leader.Prepare(ctx) != nil {
			return
		}
	}
}

// flush waits until all that was saved on the laptop before the call is
// applied in the pod.
func flush(ctx context.Context, folders []*Folder) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range folders {
		group.Go(func() error { return f.Leader.Flush(ctx) })
	}
	return group.Wait()
}

// settle does the same both ways.
func settle(ctx context.Context, folders []*Folder) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range folders {
		group.Go(func() error { return f.Leader.Settle(ctx) })
	}
	return group.Wait()
}

// bringHome brings what the command wrote back to the laptop before the session,
// or its pod, ends, within a bound: an end that hangs is worse than a late file,
// which the next start brings.
func (s *Session) bringHome(ctx context.Context) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return settle(ctx, s.Folders)
}

// tellAway says that bringHome may have left something behind.
func (s *Session) tellAway(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Console.Warn("what the command wrote last may not be on this machine yet: %v", err)
	}
}
