package engine

import (
	"fmt"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// maxNotes bounds how many paths are named to the user one by one, and so the
// memory and the noise that another end can cause.
const maxNotes = 256

// note is something that a user should hear once.
type note struct {
	kind EventKind // Skipped or Warning
	path string
	text string
}

// key is what two notes share that say the same.
func (n note) key() string {
	if n.kind == Skipped {
		return n.path
	}
	return n.path + "\x00" + n.text
}

// notes remembers what was told, so that each path is told once and not with
// every look at it.
type notes struct {
	mu   sync.Mutex
	told map[string]note // by key
	hear func(note)      // what else hears of new notes; nil for nobody

	complaint string // the last one about ignore files
}

// complain reports whether a complaint about ignore files is another one than
// the last; an empty one means that nothing is wrong any more.
func (l *notes) complain(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.complaint
	l.complaint = text
	return text != "" && text != known
}

// add reports whether n is news. After maxNotes of them a last one is returned
// that says that no more will follow.
func (l *notes) add(n note) (note, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.has(n) {
		return n, false
	}
	if len(l.told) >= maxNotes {
		n = note{kind: Warning, text: fmt.Sprintf("more than %d paths have something to say; the rest is kept quiet", maxNotes)}
		if l.has(n) {
			return n, false
		}
	}
	if l.told == nil {
		l.told = map[string]note{}
	}
	l.told[n.key()] = n
	if l.hear != nil {
		l.hear(n)
	}
	return n, true
}

func (l *notes) has(n note) bool {
	_, ok := l.told[n.key()]
	return ok
}

// listen makes hear hear of notes: of what was told before too, at once if keep
// is set, else if it is told again.
func (l *notes) listen(hear func(note), keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hear = hear
	if !keep {
		clear(l.told)
	}
	for _, n := range l.told {
		hear(n)
	}
}

// skipped tells that a path is not synced, and why.
func (r *replica) skipped(p, why string) { r.tell(note{Skipped, p, why}) }

// warn tells the user something about the root.
func (r *replica) warn(text string) { r.tell(note{kind: Warning, text: text}) }

func (r *replica) tell(n note) {
	if n, news := r.notes.add(n); news {
		r.cfg.emit(Event{Kind: n.kind, Path: n.path, Detail: n.text})
	}
}

// message returns the notice that carries n to the leader.
func (n note) message() *syncproto.Notice {
	m := &syncproto.Notice{Kind: syncproto.NoticeWarning, Path: n.path, Text: n.text}
	if n.kind == Skipped {
		m.Kind = syncproto.NoticeSkipped
	}
	if syncproto.VerifyPath(m.Path) != nil { // it may be why
		m.Path, m.Text = "", fmt.Sprintf("%.300q: %s", n.path, n.text)
	}
	return m
}
