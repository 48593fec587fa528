// Package ignore decides which paths of a tree are left out of sync. It reads
// Syncthing's .stignore syntax, so that files written for Syncthing and Okteto
// work unchanged.
//
// A file holds one pattern per line and the first pattern that matches a path
// decides its fate:
//
//	foo         foo at any depth, and everything below a folder of that name
//	/foo        foo in the root only
//	foo/        what is below a folder foo, not the folder itself
//	*  **  ?    any run without a slash; any run; one character but a slash
//	[a-z] [^a]  one character of (or outside, also [!a]) a set, never a slash
//	{a,b*}      alternatives, which may nest
//	\*          the character itself; #escape=X at the top of a file chooses
//	            another escape character for that file
//	!foo        foo is not ignored, whatever a later line says
//	(?i)foo     upper and lower case are the same
//	(?d)foo     may be removed when it is all that keeps a folder from being
//	            deleted
//	#include x  the patterns of file x, whose name is relative to this file;
//	            the patterns themselves stay relative to the root
//	// text     a comment, on a line of its own
//
// The prefixes may come in any order, each once. White space around a line is
// dropped, inside it is part of the pattern.
//
// Names that look alike are alike: the normal forms of Unicode, of which macOS
// prefers another one than the rest, make no difference.
//
// Two things differ from Syncthing so that both ends of a session decide alike:
// letter case matters on every operating system unless (?i) says otherwise, and
// the escape character is the backslash on all of them. Others differ because
// Syncthing does not keep to its own documentation there; docs/sync.md lists
// all. A second #include of a file is a no-op, because the first had the first
// word; only a cycle is an error.
//
// Where the user asks for it, .gitignore files have their say about what this
// file leaves open (WithGit).
//
// The package is pure: it opens files only through the functions or the fs.FS
// that it is given. Matching takes time linear in the length of the path and
// never backtracks.
package ignore

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// FileName is the name of the ignore file in the root of a tree.
const FileName = ".stignore"

// A Matcher holds the patterns of one tree. It never changes after Parse, so
// any number of goroutines may use it. The zero value and nil ignore nothing.
type Matcher struct {
	rules []rule
	git   gitRules // asked where no rule decides
}

// A Result says what becomes of a path and who decided it.
type Result struct {
	// Ignored is true when the path takes no part in sync.
	Ignored bool
	// Deletable is true when the path is ignored by a (?d) pattern: it may
	// be removed when only such paths are left in a folder that is to be
	// deleted.
	Deletable bool
	// Line is the number of the deciding line in File, from 1; 0 when no
	// pattern matches.
	Line int
	// File is the name of the file that holds the deciding line, relative to
	// the root: FileName, a file that it includes, or one of git's. Empty when
	// no pattern matches, and DefaultsName when there is no ignore file.
	File string
	// Pattern is the deciding line as written. Empty when no pattern
	// matches.
	Pattern string
}

// Match decides about one path. The path is relative to the root, separated by
// slashes, without a leading or trailing slash and without . or .. elements.
// The root itself ("" or ".") is never ignored. A path below an ignored folder
// is ignored too, unless an earlier pattern with ! names it.
//
// The second argument says whether the path is a folder, which matters to git's
// patterns alone.
func (m *Matcher) Match(path string, dir bool) Result {
	if m == nil || isRoot(path) {
		return Result{}
	}
	i := m.decide(path)
	if i < 0 {
		r := m.git.decide(path, dir)
		if r == nil {
			return Result{}
		}
		return Result{Ignored: !r.negated, Line: r.line, File: r.file, Pattern: r.raw}
	}
	return m.rules[i].result()
}

// decide returns the index of the first rule that matches, or -1.
func (m *Matcher) decide(path string) int {
	p := subject{path: normal(path)}
	have := lettersOf(p.path)
	for i := range m.rules {
		r := &m.rules[i]
		if have.contain(r.need) && r.match(p.text(r.fold)) {
			return i
		}
	}
	return -1
}

// CanSkipDir reports whether everything below the folder is ignored, so that a
// scan need not descend and a watcher need not watch. It may say false where a
// closer look would find true, never the other way round.
//
// An ignored folder that cannot be skipped must be searched: some path below
// it may be re-included, and then the folder exists on the other side as well,
// as a place for that path. A folder can also be skipped without being ignored
// itself, by a pattern such as foo/, which means its contents only.
func (m *Matcher) CanSkipDir(path string) bool {
	skip, _ := m.skipDir(path)
	return skip
}

// Opener returns the pattern with ! for which an ignored folder cannot be
// skipped. It is zero for one that can, and for one that is not ignored.
func (m *Matcher) Opener(path string) Result {
	if _, r := m.skipDir(path); r != nil && m.Match(path, true).Ignored {
		return r.result()
	}
	return Result{}
}

// skipDir implements CanSkipDir, and returns the pattern that forbids it.
func (m *Matcher) skipDir(path string) (bool, *rule) {
	if m == nil || isRoot(path) {
		return false, nil
	}
	p := subject{path: normal(path)}
	for i := range m.rules {
		r := &m.rules[i]
		text := p.text(r.fold)
		switch {
		case r.include && r.mayMatchBelow(text):
			return false, r
		case !r.include && r.coversBelow(text):
			return true, nil
		}
	}
	r := m.git.decide(path, true)
	return r != nil && !r.negated, nil
}

// Lines returns the patterns in a canonical form: includes resolved, comments
// dropped, escapes written with the backslash; then those of git, a section for
// each folder. The Matcher that ParseLines makes of them decides every path
// alike, so they can be sent to the other end.
func (m *Matcher) Lines() []string {
	if m == nil {
		return nil
	}
	lines := make([]string, len(m.rules))
	for i := range m.rules {
		lines[i] = m.rules[i].String()
	}
	return m.gitLines(lines)
}

// isRoot reports whether a path names the root of the tree.
func isRoot(path string) bool { return path == "" || path == "." }

// normal returns a text in the form in which paths and patterns are compared.
// No character that means something in patterns comes or goes with it.
func normal(s string) string { return norm.NFC.String(s) }

// A subject is the path under test, in normal form. Its folded form is made once, and only
// when a (?i) pattern asks for it.
type subject struct {
	path, folded string
}

func (s *subject) text(fold bool) string {
	if !fold {
		return s.path
	}
	if s.folded == "" {
		s.folded = foldCase(s.path)
	}
	return s.folded
}

// foldCase lowers every character and leaves bytes that are not UTF-8 alone,
// so that names that differ only in such bytes stay different.
func foldCase(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, size := decode(s[i:])
		if r >= invalidByte {
			b.WriteByte(s[i])
		} else {
			b.WriteRune(lower(r))
		}
		i += size
	}
	return b.String()
}
