// Package engine is one end of a sync session. The laptop's end is the Leader:
// it merges and decides. The pod's end is the Follower: it reports what its
// tree holds and does what it is told. Both run the same code to scan, watch,
// digest, supply content, stage and apply (replica.go and its neighbours);
// what differs is in leader*.go and follower*.go.
//
// SPEC.md in syncproto, "Flows", is the specification.
package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/ignore"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Owner is who owns what the engine creates in a root.
type Owner = stage.Owner

// Mode says which side may change the other; SPEC.md, "Mirrors".
type Mode = merge.Mode

// Modes of a sync.
const (
	TwoWay = merge.TwoWay // changes travel both ways
	Push   = merge.Push   // the pod becomes what the laptop is
	Pull   = merge.Pull   // the laptop becomes what the pod is
)

// Config of one end.
type Config struct {
	// Root is the folder to sync; it must exist when a session begins.
	Root string
	// StateDir keeps the index, the base and the trash between sessions. It is
	// made if need be, must lie outside Root and belong to this pair of roots
	// alone.
	StateDir string
	// Exclude names folders of Root, relative and separated by slashes, that
	// are roots of their own and invisible here.
	Exclude []string
	// Ignore replaces the ignore file of a leader's root; nil reads the file,
	// or takes ignore.Defaults where there is none, and follows its changes. A
	// follower uses what its leader sends.
	Ignore *ignore.Matcher
	// Mode says which side may change the other; TwoWay by default. Only the
	// leader's counts.
	Mode Mode
	// GitIgnore lets the .gitignore files of a leader's root decide about what
	// its ignore file leaves open; they are followed like that one.
	GitIgnore bool
	// Owner is given to what is created; nil leaves it to the system.
	Owner *Owner
	// Build names this program to the other end, for error messages; empty
	// takes the version that the Go toolchain recorded. A follower always does,
	// since it says hello before it knows its root.
	Build string
	// GiveWay tells that something else that is waited for wants the processors
	// and the way to the other end, such as keys that somebody presses. While it
	// does, a leader has one small batch or one piece on its way at a time. nil is
	// never. It is asked before each of them, by several goroutines at once.
	GiveWay func() bool
	// OnEvent hears of what a user may want to know; nil for nobody. It must
	// not block and may be called by several goroutines at once.
	OnEvent func(Event)
	// Now is the clock after which conflict copies and batches of the trash are
	// called, and by which the trash forgets; nil is time.Now.
	Now func() time.Time
}

// now returns the time by Now.
func (c Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// givesWay asks GiveWay.
func (c Config) givesWay() bool { return c.GiveWay != nil && c.GiveWay() }

// Verify reports what is wrong with the configuration.
func (c Config) Verify() error {
	switch {
	case c.Root == "":
		return errors.New("no root to sync")
	case c.StateDir == "":
		return errors.New("no state folder for sync")
	case c.Mode < TwoWay || c.Mode > Pull:
		return fmt.Errorf("sync has no mode %d", c.Mode)
	}
	if rel, err := filepath.Rel(c.Root, c.StateDir); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("state folder %q lies inside the root %q", c.StateDir, c.Root)
	}
	for _, p := range c.Exclude {
		if err := syncproto.VerifyPath(p); err != nil {
			return fmt.Errorf("excluded folder: %w", err)
		}
	}
	return nil
}

// prepare verifies the configuration and makes the state folder.
func (c Config) prepare() error {
	if err := c.Verify(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("making state folder: %w", err)
	}
	return nil
}

// build returns the name of this program's build.
func build(configured string) string {
	if configured != "" {
		return configured
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

func (c Config) emit(e Event) {
	if c.OnEvent != nil {
		c.OnEvent(e)
	}
}

// rules decide which paths of a root are entries. They never change; a new
// ignore file makes new rules.
type rules struct {
	matcher *ignore.Matcher
	exclude []string
	sources map[string]bool // files that the matcher was read from
	// git is true when .gitignore files are among them; problems are what git
	// would make nothing of.
	git      bool
	problems []error
}

// parseRules makes rules from the lines that a leader sent.
func parseRules(lines string, exclude []string) (*rules, error) {
	m, err := ignore.ParseLines(lines)
	if err != nil {
		return nil, fmt.Errorf("reading ignore patterns: %w", err)
	}
	return &rules{matcher: m, exclude: exclude}, nil
}

// loadRules reads the ignore file of a root and what it includes, and git's if
// they are to count.
func loadRules(root *tree.Root, cfg Config) (*rules, error) {
	if cfg.Ignore != nil {
		return &rules{matcher: cfg.Ignore, exclude: cfg.Exclude}, nil
	}
	files := &recordingFS{FS: root.FS(), opened: map[string]bool{syncproto.IgnoreFile: true}}
	m, err := ignore.Load(files)
	if err != nil {
		return nil, fmt.Errorf("reading ignore patterns: %w", err)
	}
	ru := &rules{matcher: m, exclude: cfg.Exclude, sources: files.opened}
	if cfg.GitIgnore {
		if err := ru.addGit(root); err != nil {
			return nil, fmt.Errorf("reading ignore patterns: %w", err)
		}
	}
	return ru, nil
}

// recordingFS remembers which files were opened.
type recordingFS struct {
	fs.FS
	opened map[string]bool
}

func (r *recordingFS) Open(name string) (fs.File, error) {
	r.opened[name] = true
	return r.FS.Open(name)
}

// ReadDir lists a folder without a note: what the defaults look into would be
// watched for ever, build output and all.
func (r *recordingFS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.FS, name) }

// lines returns the patterns as they travel to the follower.
func (r *rules) lines() (string, error) {
	s := strings.Join(r.matcher.Lines(), "\n")
	if len(s) > syncproto.MaxIgnore {
		return "", fmt.Errorf("ignore patterns of %d bytes, at most %d are possible", len(s), syncproto.MaxIgnore)
	}
	return s, nil
}

// equal reports whether both rules come from the same patterns.
func (r *rules) equal(o *rules) bool {
	mine, err := r.lines()
	theirs, oerr := o.lines()
	return err == nil && oerr == nil && mine == theirs
}
