package engine

import (
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// judge says whether a path is an entry.
func (r *rules) judge(p string, dir bool) tree.Verdict {
	if tree.IsTemp(p) {
		return tree.Prune
	}
	if r.excluded(p) {
		return tree.Prune
	}
	if p == syncproto.IgnoreFile {
		return tree.Skip
	}
	switch {
	case !r.matcher.Match(p, dir).Ignored:
		return tree.Keep
	case dir && r.matcher.CanSkipDir(p):
		return tree.Prune
	default:
		return tree.Skip
	}
}

// excluded reports whether p belongs to a root of its own.
func (r *rules) excluded(p string) bool {
	for _, x := range r.exclude {
		if tree.Under(p, x) {
			return true
		}
	}
	return false
}

// visible reports whether sync sees the entry e at p.
func (r *rules) visible(p string, e tree.Entry) bool {
	return r.judge(p, e.Type == syncproto.EntryDir) == tree.Keep
}

// unwatched reports whether a watcher need not report p. Files that the rules
// were read from are reported although they are no entries.
func (r *rules) unwatched(p string, dir bool) bool {
	verdict := r.judge(p, dir)
	switch {
	case dir:
		return verdict == tree.Prune && !r.reads(p)
	case r.gitFile(p):
		return verdict == tree.Prune
	default:
		return verdict != tree.Keep && !r.sources[p]
	}
}

// reads reports whether p is a file that the rules were read from, or a folder
// that holds one.
func (r *rules) reads(p string) bool {
	for source := range r.sources {
		if tree.Under(source, p) {
			return true
		}
	}
	return false
}

// enterSources calls enter with the folders that hold what the rules were read
// from, each after the one above it: a scan does not pass all of them.
func (r *rules) enterSources(enter func(folder string)) {
	for source := range r.sources {
		for i, c := range source {
			if c == '/' {
				enter(source[:i])
			}
		}
	}
}

// deletable reports whether p may go with the folder that holds it.
func (r *rules) deletable(p string, dir bool) bool {
	for _, x := range r.exclude {
		if tree.Under(x, p) || tree.Under(p, x) {
			return false
		}
	}
	res := r.matcher.Match(p, dir)
	return res.Ignored && res.Deletable && (!dir || r.matcher.CanSkipDir(p))
}
