package engine

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// plain makes a text that the other end wrote fit to be shown: what would steer
// a terminal is replaced.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// remoteTree is what the follower has, as far as it said. It is bounded,
// whatever the follower says.
type remoteTree struct {
	*tree.Entries
	text int // bytes of paths and targets
}

// forget starts over with t.
func (r *remoteTree) forget(t *tree.Entries) {
	r.Entries, r.text = t, 0
	for p, e := range t.All() {
		r.text += len(p) + len(e.Target)
	}
}

// set makes e the entry of p, and fails when the tree outgrows its bounds.
func (r *remoteTree) set(p string, e tree.Entry) error {
	if was := r.Get(p); was.Exists() {
		r.text -= len(p) + len(was.Target)
	}
	if e.Exists() {
		r.text += len(p) + len(e.Target)
	}
	r.Set(p, e)
	switch {
	case r.Len() > syncproto.MaxEntries:
		return fmt.Errorf("%w: more than %d entries", ErrProtocol, syncproto.MaxEntries)
	case r.text > syncproto.MaxTreeText:
		return fmt.Errorf("%w: entries of more than %d bytes", ErrProtocol, syncproto.MaxTreeText)
	}
	return nil
}

// early returns an error before the follower has opened its tree: until then it
// is not known of which tree it speaks.
func (rc *reconciler) early() error {
	if !rc.isOpen {
		return fmt.Errorf("%w: a message before the tree was opened", ErrProtocol)
	}
	return nil
}
