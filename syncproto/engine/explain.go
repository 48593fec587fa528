package engine

import (
	"fmt"
	"io/fs"
	"iter"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/ignore"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Reason says why a path is an entry, or why it is none.
type Reason string

// Reasons of an Explanation.
const (
	// ReasonRoot: the path is the root itself.
	ReasonRoot Reason = "root"
	// ReasonNoPattern: no pattern names the path, so it is synced.
	ReasonNoPattern Reason = "no pattern"
	// ReasonPattern: a pattern decides, either way.
	ReasonPattern Reason = "pattern"
	// ReasonIgnoreFile: the path is the laptop's own ignore file.
	ReasonIgnoreFile Reason = "ignore file"
	// ReasonTemporary: the name is one of our own temporary names.
	ReasonTemporary Reason = "temporary name"
	// ReasonExcluded: the folder is a root of its own.
	ReasonExcluded Reason = "excluded"
	// ReasonSpecial: neither a file, a folder nor a symlink.
	ReasonSpecial Reason = "special file"
	// ReasonSymlink: the path leads through a symlink, which is synced as a
	// link and never followed.
	ReasonSymlink Reason = "symlink"
	// ReasonName: the path cannot travel.
	ReasonName Reason = "name"
)

// An Explanation says what becomes of one path.
type Explanation struct {
	// Synced is true when the path is an entry, or would be if it existed.
	Synced bool
	Reason Reason
	// Above is the folder above the path, or the symlink, that the reason is
	// about; empty when it is about the path itself.
	Above string
	// Pattern is the deciding pattern; zero unless the reason is
	// ReasonPattern.
	Pattern ignore.Result
	// Opener is the pattern with ! that may name something in a folder that is
	// ignored, so that it is looked into; zero for other folders.
	Opener ignore.Result
	// Exists is true when there is something at the path, Dir when that is a
	// folder.
	Exists, Dir bool
	// Detail is a text for people about ReasonSpecial and ReasonName.
	Detail string
}

// An Explainer says of single paths of a leader's root whether they are synced
// and why. It reads the root, and changes nothing.
type Explainer struct {
	root  *tree.Root
	rules *rules
}

// NewExplainer reads the ignore files of cfg.Root as a Leader would; of cfg it
// uses Root, Exclude, Ignore and GitIgnore. An error of type *ignore.ParseError, possibly
// wrapped, names the place in an ignore file that cannot be used.
func NewExplainer(cfg Config) (*Explainer, error) {
	root, err := tree.OpenRoot(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	ru, err := loadRules(root, cfg)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &Explainer{root: root, rules: ru}, nil
}

// Close releases the root.
func (x *Explainer) Close() error { return x.root.Close() }

// Explain says what becomes of a path, which is relative to the root, clean and
// separated by slashes. Where there is nothing at the path, dir says whether a
// folder is meant.
func (x *Explainer) Explain(p string, dir bool) Explanation {
	if p == "." || p == "" {
		return Explanation{Synced: true, Reason: ReasonRoot, Exists: true, Dir: true}
	}
	e := Explanation{Dir: dir}
	info, err := x.root.Lstat(p)
	if e.Exists = err == nil; e.Exists {
		e.Dir = info.IsDir()
	}
	if err := syncproto.VerifyPath(p); err != nil {
		e.Reason, e.Detail = ReasonName, err.Error()
		return e
	}
	if x.unreachable(&e, p) {
		return e
	}
	x.match(&e, p)
	if e.Synced && e.Exists {
		x.checkType(&e, info)
	}
	return e
}

// unreachable reports whether sync never looks at p, whatever the patterns
// say: because of p or of a folder above it.
func (x *Explainer) unreachable(e *Explanation, p string) bool {
	for at := range folders(p) {
		if e.Reason = x.reserved(at); e.Reason == "" && at != p && x.symlink(at) {
			e.Reason = ReasonSymlink
		}
		if e.Reason == "" {
			continue
		}
		if at != p {
			e.Above = at
		}
		return true
	}
	return false
}

// reserved returns the reason for which p is no entry by its place or name.
func (x *Explainer) reserved(p string) Reason {
	switch {
	case tree.IsTemp(p):
		return ReasonTemporary
	case x.rules.excluded(p):
		return ReasonExcluded
	case p == syncproto.IgnoreFile:
		return ReasonIgnoreFile
	default:
		return ""
	}
}

func (x *Explainer) symlink(p string) bool {
	info, err := x.root.Lstat(p)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// match asks the patterns.
func (x *Explainer) match(e *Explanation, p string) {
	m := x.rules.matcher
	e.Pattern = m.Match(p, e.Dir)
	e.Synced = !e.Pattern.Ignored
	if e.Pattern.File == "" {
		e.Reason = ReasonNoPattern
		return
	}
	e.Reason = ReasonPattern
	if e.Synced {
		return
	}
	if e.Dir {
		e.Opener = m.Opener(p)
	}
	for at := range folders(p) {
		// The first folder that is ignored for the same reason, if any, is what
		// the pattern means.
		if at != p && m.Match(at, true) == e.Pattern {
			e.Above = at
			return
		}
	}
}

// checkType finds what is no entry although no pattern says so.
func (x *Explainer) checkType(e *Explanation, info fs.FileInfo) {
	if t := info.Mode().Type(); t&^(fs.ModeDir|fs.ModeSymlink) != 0 {
		e.Synced, e.Reason, e.Detail = false, ReasonSpecial, kindOf(t)
	}
}

// kindOf names a type of file that is not synced.
func kindOf(t fs.FileMode) string {
	switch {
	case t&fs.ModeSocket != 0:
		return "a socket"
	case t&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case t&fs.ModeDevice != 0:
		return "a device"
	default:
		return "not a file, folder or symlink"
	}
}

// folders yields the folders above p from the top, and then p.
func folders(p string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(p) {
			if p[i] == '/' && !yield(p[:i]) {
				return
			}
		}
		yield(p)
	}
}
