package devsession

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// progressTick is how often the progress of the first sync is looked at.
const progressTick = 100 * time.Millisecond

// syncProgress shows how far the first sync of folders is.
type syncProgress struct {
	line    *console.Progress
	folders []*Folder
	from    []engine.Status // at the beginning
	rate    rate
}

func newSyncProgress(c *console.Console, folders []*Folder) *syncProgress {
	p := &syncProgress{line: c.Progress(), folders: folders}
	for _, f := range folders {
		p.from = append(p.from, f.Leader.Status())
	}
	return p
}

func (p *syncProgress) done() { p.line.Done() }

// show looks at the folders and shows where they are.
func (p *syncProgress) show(now time.Time) {
	var at first
	for i, f := range p.folders {
		s := f.Leader.Status()
		at.doneFiles += s.DoneFiles - p.from[i].DoneFiles
		at.doneBytes += s.DoneBytes - p.from[i].DoneBytes
		at.leftFiles += s.PendingFiles
		at.leftBytes += s.PendingBytes
		at.scanning = at.scanning || s.State == engine.Scanning
		if at.current == "" {
			at.current = s.Current
		}
	}
	at.perSecond = p.rate.of(at.doneBytes, now)
	p.line.Show(at.String())
}

// first is a moment of the first sync.
type first struct {
	doneFiles, leftFiles int
	doneBytes, leftBytes int64
	perSecond            float64
	scanning             bool
	current              string
}

// String describes the moment in a line. What matters most comes first: the end
// of the line may not fit.
func (f first) String() string {
	if f.doneFiles+f.leftFiles == 0 {
		if f.scanning {
			return "reading both folders"
		}
		return "comparing both folders"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "syncing %d of %s, %s of %s", f.doneFiles, console.Count(f.doneFiles+f.leftFiles, "file"),
		console.Bytes(f.doneBytes), console.Bytes(f.doneBytes+f.leftBytes))
	if f.perSecond >= 1 {
		fmt.Fprintf(&b, ", %s/s", console.Bytes(int64(f.perSecond)))
		if left := time.Duration(float64(f.leftBytes) / f.perSecond * float64(time.Second)); left >= time.Second && left < 100*time.Hour {
			fmt.Fprintf(&b, ", %s left", left.Round(time.Second))
		}
	}
	if f.current != "" {
		fmt.Fprintf(&b, ": %s", console.Path(f.current))
	}
	return b.String()
}

// rate is the average rate over the last moments.
type rate struct {
	samples []sample // oldest first
}

type sample struct {
	at    time.Time
	bytes int64
}

// rateWindow is over how long a rate is averaged.
const rateWindow = 3 * time.Second

// of takes the bytes done so far and returns how many are done in a second; 0
// while that is unknown.
func (r *rate) of(bytes int64, now time.Time) float64 {
	r.samples = append(r.samples, sample{now, bytes})
	for len(r.samples) > 2 && now.Sub(r.samples[1].at) >= rateWindow {
		r.samples = r.samples[1:]
	}
	first := r.samples[0]
	over := now.Sub(first.at).Seconds()
	if over <= 0 {
		return 0
	}
	return float64(bytes-first.bytes) / over
}
