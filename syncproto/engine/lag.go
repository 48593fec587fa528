package engine

import (
	"slices"
	"time"
)

// lag remembers since when paths wait to be the same on both sides. Its
// costs do not grow with what waits.
type lag struct {
	since map[string]time.Time
	queue []lagging // in the order of their times; with some that wait no more
}

type lagging struct {
	path string
	at   time.Time
}

func newLag() *lag { return &lag{since: map[string]time.Time{}} }

// add notes that paths wait; those that do already keep their time.
func (l *lag) add(now time.Time, paths ...string) {
	for _, p := range paths {
		if _, ok := l.since[p]; !ok {
			l.since[p] = now
			l.queue = append(l.queue, lagging{p, now})
		}
	}
}

// drop notes that p waits no more.
func (l *lag) drop(p string) {
	delete(l.since, p)
	if len(l.since) == 0 {
		*l = *newLag() // gives the memory of a storm back
	}
	if len(l.queue) > 2*len(l.since)+1024 {
		l.queue = slices.DeleteFunc(l.queue, func(q lagging) bool { return !l.since[q.path].Equal(q.at) })
	}
}

// oldest returns since when the path waits that waits longest; zero when none
// does.
func (l *lag) oldest() time.Time {
	for len(l.queue) > 0 {
		if first := l.queue[0]; l.since[first.path].Equal(first.at) {
			return first.at
		}
		l.queue = l.queue[1:]
	}
	return time.Time{}
}
