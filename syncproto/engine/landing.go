package engine

import (
	"context"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
)

// landingBytes is when the contents of a landing are enough. Two of them are in
// memory: one is asked for while the one before it is applied.
const landingBytes = 2 << 20

// landing is a part of what the plans for the laptop hold.
type landing struct {
	changes []merge.Change
	bare    []syncproto.Change
	early   map[*syncproto.Change]piece // what was asked for already
}

// askAhead takes the plans for the laptop, and asks for the small files of a
// landing while the one before it is applied: a file would else take a round trip
// of its own.
func (s *leading) askAhead(ctx context.Context, landings chan<- *landing) error {
	for {
		changes, err := s.local.pop(ctx)
		if err != nil {
			return err
		}
		next := &landing{changes: changes, bare: make([]syncproto.Change, len(changes)), early: map[*syncproto.Change]piece{}}
		for i := range changes {
			c := &next.bare[i]
			*c = changes[i].Change
			if !askedEarly(c) {
				continue
			}
			if next.early[c], err = s.l.fetch(c).ask(ctx, 0, int(c.Entry.Size)); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return err
			}
		}
		select {
		case landings <- next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// askedEarly reports whether a change needs a content that is one piece.
func askedEarly(c *syncproto.Change) bool {
	return c.Op == syncproto.OpPut && c.From == "" && c.Entry.Size > 0 && !chunk.Large(c.Entry.Size)
}

// apply carries out one landing after the other.
func (s *leading) apply(ctx context.Context, landings <-chan *landing) error {
	for {
		select {
		case next := <-landings:
			if err := s.land(ctx, next); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *leading) land(ctx context.Context, l *landing) error {
	results := s.r.apply(ctx, l.bare, func(c *syncproto.Change) stage.Source {
		r := s.l.fetch(c)
		if p, ok := l.early[c]; ok {
			r.early = &p
		}
		return r
	})
	// What fails when the session has ended does so for its end.
	ended := ctx.Err() != nil
	finish := func(rc *reconciler) error {
		for i := range results {
			if ended && results[i].Code != syncproto.CodeOK {
				continue
			}
			if err := rc.finish(merge.Laptop, l.changes[i], results[i]); err != nil {
				return err
			}
		}
		return rc.s.r.unlessFull(rc.s.leader.base.Flush())
	}
	select {
	case s.events <- finish:
	case <-s.done:
		s.late = finish
	}
	return ctx.Err()
}
