package engine

import (
	"context"
	"strings"
)

// told counts the events of a kind whose text contains a part.
func (p *pair) told(kind EventKind, part string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.events {
		if e.Kind == kind && strings.Contains(e.Path+": "+e.Detail, part) {
			n++
		}
	}
	return n
}

// await waits until something is so.
func (p *pair) await(so func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for !so() {
		if ctx.Err() != nil {
			p.t.Fatalf("it never came; status %+v, differences %s", p.leader.Status(), p.diff())
		}
		p.awaitEvent(ctx)
	}
}
