// Package autodown ends a dev environment from inside the cluster, when no laptop
// has been heard of for too long.
package autodown

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/restore"
)

// holder is who holds the Lease while the environment is being ended.
const holder = "autoDown of the cluster"

// ownManager is the field manager of what a laptop has not written.
const ownManager = "okteto-agent"

// leaseSeconds is how long that counts.
const leaseSeconds = 45

// maxConflicts bounds how often a step is computed anew because the object
// changed between reading and writing.
const maxConflicts = 8

// Run looks once whether a laptop has been heard of, and ends the environment
// where none was for too long. What is done already is not done again: the next
// look completes one that was interrupted.
func Run(ctx context.Context, c config.AutoDown, s *Server, log *slog.Logger) error {
	vanished, err := takeOver(ctx, c, s, log)
	if err != nil || !vanished {
		return err
	}
	switch {
	case c.Memory != "":
		err = makeAgain(ctx, c, s)
	case c.Original != "":
		err = giveBack(ctx, c.Original, s)
	}
	if err != nil {
		return err
	}
	resumed := resume(ctx, c, s)
	for i, path := range c.Delete {
		if resumed != nil && i == len(c.Delete)-1 {
			// What refuses that keeps no more than the rights, for the next look.
			return resumed
		}
		if err := s.delete(ctx, path); err != nil {
			return err
		}
	}
	log.Info("the dev environment was ended", "original", c.Original)
	return nil
}

// takeOver tells whether no laptop was heard of for too long, and holds the
// Lease from then on, so that one which comes back just then is told so. A Lease
// that is gone has been ended by `down`, maybe not to its end.
func takeOver(ctx context.Context, c config.AutoDown, s *Server, log *slog.Logger) (bool, error) {
	lease, err := s.get(ctx, c.Lease)
	if err != nil || lease.status == http.StatusNotFound {
		return err == nil, err
	}
	var l struct {
		Metadata struct {
			restore.Meta
			Created time.Time `json:"creationTimestamp"`
		} `json:"metadata"`
	}
	if err := decode(lease.object, &l); err != nil {
		return false, fmt.Errorf("reading the Lease: %w", err)
	}
	heard := heardOf(l.Metadata.ManagedFields, l.Metadata.Created)
	if silent := lease.at.Sub(heard); silent < c.After {
		log.Info("a laptop was heard of", "ago", silent)
		return false, nil
	}
	now := lease.at.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": l.Metadata.ResourceVersion},
		"spec": map[string]any{
			"holderIdentity": holder, "acquireTime": now, "renewTime": now, "leaseDurationSeconds": leaseSeconds,
		},
	})
	if err != nil {
		return false, err
	}
	taken, err := s.patch(ctx, c.Lease, ownManager, body)
	if err != nil {
		return false, err
	}
	if taken.status == http.StatusConflict {
		log.Info("a laptop came back")
	}
	return taken.status != http.StatusConflict, nil
}

// heardOf returns when a laptop wrote to the Lease last. The API server notes
// that by its own clock; what laptops write into the Lease is by theirs.
func heardOf(entries []restore.Entry, created time.Time) time.Time {
	last := created
	for _, e := range entries {
		t, err := time.Parse(time.RFC3339, e.Time)
		if err == nil && e.Manager == restore.FieldManager && t.After(last) {
			last = t
		}
	}
	return last
}

// step computes a merge patch of an object, nil where there is nothing to do.
type step func(m *restore.Meta, object map[string]any) ([]byte, error)

// giveBack takes the two steps of a restore.
func giveBack(ctx context.Context, path string, s *Server) error {
	if err := take(ctx, path, s, s.get, (*restore.Meta).ReopenPatch); err != nil {
		return err
	}
	return take(ctx, path, s, s.get, func(m *restore.Meta, _ map[string]any) ([]byte, error) {
		return m.CleanPatch(restore.RecordIn(m.Annotations).Gate.Path)
	})
}

// resume lets KEDA go on from the original's count.
func resume(ctx context.Context, c config.AutoDown, s *Server) error {
	var errs []error
	for _, path := range c.Resume {
		errs = append(errs, take(ctx, path, s, s.show, func(m *restore.Meta, _ map[string]any) ([]byte, error) {
			return m.ResumePatch(c.PausedFor)
		}))
	}
	return errors.Join(errs...)
}

// reader reads an object.
type reader func(ctx context.Context, path string) (answer, error)

// take takes a step. It holds for one version of the object; when that changed
// meanwhile, the step is computed anew.
func take(ctx context.Context, path string, s *Server, read reader, step step) error {
	for range maxConflicts {
		now, err := read(ctx, path)
		if err != nil || now.status == http.StatusNotFound {
			return err
		}
		if now.status == http.StatusConflict {
			continue // what reads by a patch
		}
		md, err := metaOf(now.object)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		body, err := step(md, now.object)
		if err != nil || body == nil {
			return err
		}
		done, err := s.patch(ctx, path, restore.FieldManager, body)
		if err != nil || done.status != http.StatusConflict {
			return err
		}
	}
	return fmt.Errorf("%s changes faster than it can be written", path)
}

// metaOf returns what a restore has to know of an object's metadata.
func metaOf(object map[string]any) (*restore.Meta, error) {
	var o struct {
		Metadata restore.Meta `json:"metadata"`
	}
	err := decode(object, &o)
	return &o.Metadata, err
}
