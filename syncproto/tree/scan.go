package tree

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"golang.org/x/sync/errgroup"
)

// Verdict says what a scan does with a path.
type Verdict uint8

// Verdicts of a filter.
const (
	Keep  Verdict = iota // it is an entry
	Skip                 // no entry, but what lies below may be
	Prune                // neither it nor anything below is an entry
)

// Options of a scan.
type Options struct {
	// Filter judges a path; nil keeps everything but our own temporary names.
	Filter func(p string, dir bool) Verdict
	// Skipped hears of what cannot be synced and why; it may be called from
	// several goroutines at once. It must not be nil.
	Skipped func(p, why string)
	// Temp hears of each of our own temporary names; nil for none.
	Temp func(p string)
	// Enter hears of each folder, "" for the root, before it is read and after
	// it has heard of the one that holds it; nil for none. It may be called from
	// several goroutines at once.
	Enter func(dir string)
}

func (o Options) judge(p string, dir bool) Verdict {
	if IsTemp(p) {
		if o.Temp != nil {
			o.Temp(p)
		}
		return Prune
	}
	if o.Filter == nil {
		return Keep
	}
	return o.Filter(p, dir)
}

// Scan brings the records of everything under dir ("" for the root) up to
// date and returns the paths whose entries changed, in no order. Folders are
// read and files hashed by a few goroutines at once. It fails only when ctx
// ends or dir itself cannot be read; other trouble is reported to Skipped and
// keeps the old record.
func (x *Index) Scan(ctx context.Context, root *Root, dir string, opts Options) ([]string, error) {
	s := newScanner(x, root, opts)
	s.whole = dir == ""
	if err := s.readDir(ctx, dir); err != nil && (dir == "" || !missing(err)) {
		return nil, fmt.Errorf("scanning %q: %w", dir, err)
	}
	err := s.walk(ctx, map[string]bool{dir: true})
	return s.changed, err
}

// ScanFolders is Scan for several folders, none below another, that costs no
// more than one for all of them. A folder that cannot be read is reported to
// Skipped.
func (x *Index) ScanFolders(ctx context.Context, root *Root, dirs []string, opts Options) ([]string, error) {
	s := newScanner(x, root, opts)
	s.dirs = slices.Clone(dirs)
	tops := map[string]bool{}
	for _, dir := range dirs {
		tops[dir] = true
	}
	s.whole = tops[""]
	err := s.walk(ctx, tops)
	return s.changed, err
}

// scanner is one scan in progress.
type scanner struct {
	// config
	index *Index
	root  *Root
	opts  Options
	whole bool // the root is scanned, not only folders of it
	// state
	mu      sync.Mutex
	more    sync.Cond
	dirs    []string        // folders yet to be read
	busy    int             // folders being read
	kept    map[string]bool // folders that could not be read: what we knew stays
	changed []string
	seen
}

// seen is what a scan has seen so far.
type seen struct {
	read    []listing // folders
	present int       // entries that were found and have a record
	began   uint64    // the state of the index when the scan began
}

// listing is what was found in a folder.
type listing struct {
	dir           string
	entries, dirs []string
}

// lookTogether is how many entries of a folder are looked at one after the
// other; a larger folder is looked at in parallel.
const lookTogether = 64

// Workers is how many folders or files are worked on at once. Two threads are
// left to what else the program does, such as to carry a key that somebody
// presses: a goroutine waits for a thread for up to 10 ms. A program that wants
// reads that wait for the disk to cost no time gives GOMAXPROCS more than it has
// processors, for between them the kernel prefers who slept.
func Workers() int { return min(max(runtime.GOMAXPROCS(0)-2, 2), 8) }

func newScanner(x *Index, root *Root, opts Options) *scanner {
	s := &scanner{index: x, root: root, opts: opts, kept: map[string]bool{}}
	s.more.L = &s.mu
	s.began, _ = x.state()
	return s
}

// walk reads the folders that wait for it and every one below them, and looks
// at what they hold. tops are where the scan began.
func (s *scanner) walk(ctx context.Context, tops map[string]bool) error {
	if err := s.readAll(ctx); err != nil {
		return err
	}
	return s.lookForLost(ctx, tops)
}

func (s *scanner) readAll(ctx context.Context) error {
	if len(s.dirs) == 0 {
		return ctx.Err()
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.more.Broadcast()
	})
	defer stop()
	for range Workers() {
		g.Go(func() error {
			for {
				d, ok := s.next(ctx)
				if !ok {
					return ctx.Err()
				}
				err := s.readDir(ctx, d)
				s.done(d, err)
			}
		})
	}
	return g.Wait()
}

// next waits for a folder to read; false when there will be none.
func (s *scanner) next(ctx context.Context) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.dirs) == 0 {
		if s.busy == 0 || ctx.Err() != nil {
			return "", false
		}
		s.more.Wait()
	}
	if ctx.Err() != nil {
		return "", false
	}
	d := s.dirs[len(s.dirs)-1]
	s.dirs = s.dirs[:len(s.dirs)-1]
	s.busy++
	return d, true
}

func (s *scanner) done(d string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	if err != nil && !missing(err) {
		s.kept[d] = true
		s.opts.Skipped(d, err.Error())
	}
	s.more.Broadcast()
}

// readDir looks at the entries of one folder.
func (s *scanner) readDir(ctx context.Context, dir string) error {
	folder, err := s.root.openDirectory(dir)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	if s.opts.Enter != nil {
		s.opts.Enter(dir)
	}
	list, err := folder.names()
	if err != nil {
		return err
	}
	var dirs, entries []string
	for _, l := range list {
		p := l.name
		if dir != "" {
			p = dir + "/" + p
		}
		verdict := s.opts.judge(p, l.dir)
		if l.dir && verdict != Prune {
			dirs = append(dirs, p)
		}
		if verdict != Keep {
			continue
		}
		if err := syncproto.VerifyPath(p); err != nil {
			s.opts.Skipped(p, err.Error())
			continue
		}
		entries = append(entries, p)
	}
	s.found(listing{dir, entries, dirs})
	if len(entries) <= lookTogether {
		s.lookAll(ctx, folder, entries)
		return nil
	}
	var g sync.WaitGroup
	for some := range slices.Chunk(entries, lookTogether) {
		g.Go(func() { s.lookAll(ctx, folder, some) })
	}
	g.Wait()
	return nil
}

// lookAll looks at entries of one folder until ctx ends.
func (s *scanner) lookAll(ctx context.Context, folder directory, entries []string) {
	present := 0
	for _, p := range entries {
		if ctx.Err() != nil {
			break
		}
		if s.look(folder.at(path.Base(p)), p) {
			present++
		}
	}
	s.mu.Lock()
	s.present += present
	s.mu.Unlock()
}

// found notes what is in a folder.
func (s *scanner) found(l listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs = append(s.dirs, l.dirs...)
	s.read = append(s.read, l)
	if len(l.dirs) > 0 {
		s.more.Broadcast()
	}
}

// look brings the record of p up to date, and tells whether there is one.
func (s *scanner) look(at place, p string) (exists bool) {
	exists, changed, err := s.index.look(at, p, s.opts.Skipped)
	if err != nil {
		if !errors.Is(err, ErrBusy) {
			s.opts.Skipped(p, err.Error())
		}
		return false
	}
	if changed {
		s.mu.Lock()
		s.changed = append(s.changed, p)
		s.mu.Unlock()
	}
	return exists
}

// lookForLost looks at what the index has and no folder held: it is gone, or
// was not there at the moment when its folder was read. What the filter does not
// let through any more is not gone but forgotten, as if it had never been seen.
func (s *scanner) lookForLost(ctx context.Context, tops map[string]bool) error {
	if !s.lost(tops) {
		return ctx.Err()
	}
	seen := make(map[string]bool, s.present)
	for _, l := range s.read {
		for _, p := range l.entries {
			seen[p] = true
		}
	}
	unseen := map[string]bool{}
	for _, p := range s.index.Below(tops) {
		if !tops[p] && !seen[p] {
			unseen[p] = true
		}
	}
	if len(unseen) == 0 {
		return ctx.Err()
	}
	s.index.Drop(func(p string, e Entry) bool {
		return unseen[p] && s.opts.judge(p, e.Type == syncproto.EntryDir) != Keep
	})
	for p := range unseen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.index.Get(p).Exists() && !UnderAny(p, s.kept) {
			s.look(wholePath{s.root, p}, p)
		}
	}
	return ctx.Err()
}

// lost reports whether the index may have more under the folders where the scan
// began than was found. To know that takes a look at the folders that were
// read, or none where all was as it had been, where to name it takes one at the
// whole index.
func (s *scanner) lost(tops map[string]bool) bool {
	if s.whole {
		state, size := s.index.state()
		return state != s.began || size != s.present
	}
	read := 0
	for _, l := range s.read {
		n := 0
		for _, p := range l.entries {
			if s.index.Get(p).Exists() {
				n++
			}
		}
		for _, p := range l.dirs {
			if s.index.HasBelow(p) {
				n++
			}
		}
		if n != s.index.nested(l.dir) {
			return true
		}
		if tops[l.dir] {
			read++
		}
	}
	return read < len(tops) // one of them is a folder no more
}
