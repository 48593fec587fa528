package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

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
	// Progress is called after each path that was looked into, by several
	// goroutines at once; nil for none.
	Progress func(p string, size int64)
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
func (x *Index) Scan(ctx context.Context, root *os.Root, dir string, opts Options) ([]string, error) {
	s := &scanner{index: x, root: root, opts: opts, seen: map[string]bool{}, kept: map[string]bool{}}
	s.more.L = &s.mu
	if err := s.walk(ctx, dir); err != nil {
		return nil, err
	}
	for _, p := range x.Below(map[string]bool{dir: true}) {
		if p != dir && !s.seen[p] && !underAny(p, s.kept) {
			s.suspects = append(s.suspects, p)
		}
	}
	err := s.lookAll(ctx)
	return s.changed, err
}

// scanner is one scan in progress.
type scanner struct {
	// config
	index *Index
	root  *os.Root
	opts  Options
	// state
	mu       sync.Mutex
	more     sync.Cond
	dirs     []string        // folders yet to be read
	busy     int             // folders being read
	seen     map[string]bool // entries found
	kept     map[string]bool // folders that could not be read: what we knew stays
	suspects []string        // paths whose records may be out of date
	changed  []string
}

// workers is how many folders or files are read at once. A little more than
// the processors, since reads wait for the disk.
func workers() int { return min(runtime.GOMAXPROCS(0)+2, 8) }

// walk reads every folder under dir and fills seen and suspects.
func (s *scanner) walk(ctx context.Context, dir string) error {
	if err := s.readDir(dir); err != nil {
		if missing(err) && dir != "" {
			return nil
		}
		return fmt.Errorf("scanning %q: %w", dir, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.more.Broadcast()
	})
	defer stop()
	for range workers() {
		g.Go(func() error {
			for {
				d, ok := s.next(ctx)
				if !ok {
					return ctx.Err()
				}
				err := s.readDir(d)
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

// readDir notes the entries of one folder.
func (s *scanner) readDir(dir string) error {
	name := dir
	if name == "" {
		name = "."
	}
	f, err := s.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	var dirs, seen, suspects []string
	for _, d := range list {
		p := d.Name()
		if dir != "" {
			p = dir + "/" + p
		}
		verdict := s.opts.judge(p, d.IsDir())
		if d.IsDir() && verdict != Prune {
			dirs = append(dirs, p)
		}
		if verdict != Keep {
			continue
		}
		if err := syncproto.VerifyPath(p); err != nil {
			s.opts.Skipped(p, err.Error())
			continue
		}
		seen = append(seen, p)
		if !s.unchanged(p, d) {
			suspects = append(suspects, p)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs = append(s.dirs, dirs...)
	for _, p := range seen {
		s.seen[p] = true
	}
	s.suspects = append(s.suspects, suspects...)
	if len(dirs) > 0 {
		s.more.Broadcast()
	}
	return nil
}

// unchanged reports whether a folder's listing alone proves that the record
// of p is up to date.
func (s *scanner) unchanged(p string, d fs.DirEntry) bool {
	old := s.index.Get(p)
	info, err := d.Info()
	if err != nil || !old.Exists() {
		return false
	}
	switch old.Type {
	case syncproto.EntryFile:
		now := identify(info, time.Time{})
		now.Type = syncproto.EntryFile
		return info.Mode().IsRegular() && now.SameFile(old) && !old.Racy()
	case syncproto.EntryDir:
		return info.IsDir() && permissions(info) == old.Mode
	default:
		return false
	}
}

// lookAll brings the records of the suspects up to date.
func (s *scanner) lookAll(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(workers())
	for _, p := range s.suspects {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			changed, err := s.index.Look(s.root, p, s.opts.Skipped)
			if err != nil {
				if !errors.Is(err, ErrBusy) {
					s.opts.Skipped(p, err.Error())
				}
				return nil
			}
			if changed {
				s.mu.Lock()
				s.changed = append(s.changed, p)
				s.mu.Unlock()
			}
			if s.opts.Progress != nil {
				s.opts.Progress(p, s.index.Get(p).Size)
			}
			return nil
		})
	}
	_ = g.Wait() // its functions return nil
	return ctx.Err()
}
