package ignore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Names of git.
const (
	// GitFileName is the name of git's ignore files, in any folder.
	GitFileName = ".gitignore"
	// GitExclude is git's ignore file that belongs to one clone alone,
	// relative to the root.
	GitExclude = ".git/info/exclude"

	gitFolder = ".git"
)

// gitSection begins the patterns of one folder among the lines that Lines
// returns. Such a line is a comment of .stignore, so that it never is one of
// its patterns; among git's it would be a pattern that cannot match.
const gitSection = "//gitignore "

var errPatternLength = fmt.Errorf("a pattern is longer than %d bytes", MaxPattern)

// A Folder is a tree to look for .gitignore files in. Names are relative to
// its root, separated by slashes, and need not be UTF-8; "." is the root.
type Folder interface {
	// ReadDir lists a folder, in any order.
	ReadDir(name string) ([]fs.DirEntry, error)
	// OpenFile opens a regular file; for anything else it fails.
	OpenFile(name string) (io.ReadCloser, error)
}

// WithGit returns a Matcher that asks the .gitignore files of a tree about
// every path of which m says nothing. They mean what they mean to git: the last
// match in a file wins, a file in a deeper folder wins over one above, and
// nothing is included again below an excluded folder. The exclude file of the
// root's own repository comes after all of them. About .git and what is in it
// they say nothing.
//
// Only folders that are not ignored are searched, and not those that skip
// names. A pattern that git takes for one that never matches, and a file that
// cannot be read, is among the problems, each of type *ParseError; they leave
// the rest as it is. The error is for files that are too large.
func (m *Matcher) WithGit(tree Folder, skip func(dir string) bool) (*Matcher, []error, error) {
	s := gitSearch{tree: tree, size: MaxSize, m: &Matcher{git: gitRules{}}}
	if m != nil {
		s.m.rules = m.rules
	}
	if err := s.file("", GitExclude); err != nil {
		return nil, nil, err
	}
	dirs := []string{""}
	for len(dirs) > 0 {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		below, err := s.folder(dir)
		if err != nil {
			return nil, nil, err
		}
		for _, d := range below {
			if !skip(d) && s.searched(d) {
				dirs = append(dirs, d)
			}
		}
	}
	return s.m, s.problems, nil
}

// gitSearch looks for the .gitignore files of a tree.
type gitSearch struct {
	tree     Folder
	size     int // bytes that may still be read
	m        *Matcher
	problems []error
}

// searched reports whether git would read an ignore file in a folder that it
// may read about in all folders above.
func (s *gitSearch) searched(dir string) bool {
	if path.Base(dir) == gitFolder || s.m.CanSkipDir(dir) {
		return false
	}
	r := s.m.git.decide(dir, true)
	return r == nil || r.negated
}

// folder reads the ignore file of a folder and returns the folders in it. What
// cannot be listed is for the scan to report.
func (s *gitSearch) folder(dir string) ([]string, error) {
	list, err := s.tree.ReadDir(path.Join(".", dir))
	if err != nil {
		return nil, nil
	}
	var dirs []string
	for _, e := range list {
		p := e.Name()
		if dir != "" {
			p = dir + "/" + p
		}
		switch {
		case e.IsDir():
			dirs = append(dirs, p)
		case e.Name() == GitFileName && e.Type().IsRegular():
			if err := s.file(dir, p); err != nil {
				return nil, err
			}
		}
	}
	return dirs, nil
}

// file adds the patterns of a file to those of a folder.
func (s *gitSearch) file(dir, name string) error {
	f, err := s.tree.OpenFile(name)
	if errors.Is(err, fs.ErrNotExist) || err != nil && name == GitExclude {
		return nil
	}
	if err != nil {
		s.problems = append(s.problems, &ParseError{File: name, Err: err})
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(s.size)+1))
	switch {
	case err != nil:
		s.problems = append(s.problems, &ParseError{File: name, Err: err})
		return nil
	case len(text) > s.size:
		return fmt.Errorf("reading %s: the %s files are larger than %d bytes", name, GitFileName, MaxSize)
	}
	s.size -= len(text)
	number := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		number++
		if line = gitLine(line); line == "" {
			continue
		}
		r, err := parseGitLine(line, name, number)
		if err != nil {
			s.problems = append(s.problems, &ParseError{File: name, Line: number,
				Err: fmt.Errorf("%q: %w: git ignores nothing by it", line, err)})
		}
		s.m.git[dir] = append(s.m.git[dir], r)
	}
	return nil
}

// gitLine returns what git makes of a line: "" for a comment, and without the
// carriage return, what follows a NUL, and spaces at the end unless the last
// is escaped.
func gitLine(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	line = strings.TrimSuffix(line, "\r")
	line, _, _ = strings.Cut(line, "\x00")
	end := 0 // of what stays
	for i := 0; i < len(line); i++ {
		if line[i] == ' ' {
			continue
		}
		if line[i] == '\\' {
			i++
		}
		end = min(i+1, len(line))
	}
	return line[:end]
}

// gitLines appends the sections of git's patterns, sorted by folder.
func (m *Matcher) gitLines(lines []string) []string {
	for _, dir := range slices.Sorted(maps.Keys(m.git)) {
		lines = append(lines, gitSection+escapeFolder(dir))
		for _, r := range m.git[dir] {
			// One that never matches need not travel.
			if r.glob != nil {
				lines = append(lines, r.raw)
			}
		}
	}
	return lines
}

// ParseLines returns the Matcher that returned the lines, joined by line feeds:
// it decides every path alike, but knows neither files nor line numbers. Errors
// are as for Parse.
func ParseLines(text string) (*Matcher, error) {
	patterns, sections := text, ""
	if i := strings.Index("\n"+text, "\n"+gitSection); i >= 0 {
		patterns, sections = text[:i], text[i:]
	}
	m, err := Parse(strings.NewReader(patterns), nil)
	if err != nil || sections == "" {
		return m, err
	}
	m.git = gitRules{}
	var dir, file string
	number := strings.Count(patterns, "\n")
	for line := range strings.SplitSeq(sections, "\n") {
		number++
		if name, ok := strings.CutPrefix(line, gitSection); ok {
			dir = unescapeFolder(name)
			file = path.Join(dir, GitFileName)
			continue
		}
		r, err := parseGitLine(line, file, number)
		if err != nil {
			return nil, &ParseError{File: file, Line: number, Err: fmt.Errorf("%q: %w", line, err)}
		}
		m.git[dir] = append(m.git[dir], r)
	}
	return m, nil
}

// escapeFolder makes one line of a folder's name, which may hold line feeds.
func escapeFolder(name string) string {
	return strings.NewReplacer("%", "%25", "\n", "%0A").Replace(name)
}

func unescapeFolder(text string) string {
	return strings.NewReplacer("%25", "%", "%0A", "\n").Replace(text)
}
