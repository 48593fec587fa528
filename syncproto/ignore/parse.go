package ignore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
)

// Limits of what Parse accepts, so that a hostile file cannot fill the memory.
const (
	// MaxSize is the size in bytes of an ignore file together with all that
	// it includes.
	MaxSize = 1 << 20
	// MaxPattern is the length in bytes of one line.
	MaxPattern = 4096
)

// DefaultsName is the file name in a Result of a pattern from Defaults.
const DefaultsName = "built-in defaults"

// A ParseError names the place in an ignore file that cannot be used.
type ParseError struct {
	File string // relative to the root
	Line int    // from 1
	Err  error
}

func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns the reason.
func (e *ParseError) Unwrap() error { return e.Err }

// Load returns the patterns of a tree: those of the ignore file in its root,
// or the Defaults when there is none. Includes are opened within the tree, so
// one that leads out of it is an error.
func Load(fsys fs.FS) (*Matcher, error) {
	f, err := fsys.Open(FileName)
	if errors.Is(err, fs.ErrNotExist) {
		p := parser{size: MaxSize}
		err := p.file(strings.NewReader(strings.Join(Defaults(fsys), "\n")), DefaultsName)
		return &Matcher{rules: p.rules}, err
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ignore file: %w", err)
	}
	defer f.Close()
	return Parse(f, func(name string) (io.ReadCloser, error) {
		if !fs.ValidPath(name) {
			return nil, errors.New("it lies outside of the synced folder")
		}
		return fsys.Open(name)
	})
}

// Parse reads an ignore file. Its includes are opened through open by their
// slash-separated name relative to the root, cleaned; a name that leads out of
// the root begins with ../ and open decides about it. A nil open refuses every
// include. Errors in the text are of type *ParseError and name file and line.
func Parse(r io.Reader, open func(name string) (io.ReadCloser, error)) (*Matcher, error) {
	p := parser{open: open, size: MaxSize}
	if err := p.file(r, FileName); err != nil {
		return nil, err
	}
	return &Matcher{rules: p.rules}, nil
}

// A parser collects the rules of a file and its includes.
type parser struct {
	open  func(string) (io.ReadCloser, error)
	size  int      // bytes that may still be read
	files []string // those being read, the innermost last
	done  []string // those read completely
	rules []rule
}

// file reads one file.
func (p *parser) file(r io.Reader, name string) error {
	text, err := io.ReadAll(io.LimitReader(r, int64(p.size)+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > p.size {
		return fmt.Errorf("reading %s: the ignore files are larger than %d bytes", name, MaxSize)
	}
	p.size -= len(text)

	p.files = append(p.files, name)
	escape, patterns := '\\', false
	line := 0
	for raw := range strings.SplitSeq(string(text), "\n") {
		line++
		raw = strings.TrimFunc(raw, isPadding)
		if raw == "" || strings.HasPrefix(raw, "//") {
			continue
		}
		if value, ok := strings.CutPrefix(raw, "#escape"); ok && strings.HasPrefix(strings.TrimSpace(value), "=") {
			escape, err = escapeChar(value, patterns)
		} else if target, ok := strings.CutPrefix(raw, "#include"); ok {
			patterns = true
			err = p.include(target, name)
		} else {
			patterns = true
			err = p.pattern(raw, escape, name, line)
		}
		if err != nil {
			return &ParseError{File: name, Line: line, Err: err}
		}
	}
	p.files = p.files[:len(p.files)-1]
	p.done = append(p.done, name)
	return nil
}

// isPadding reports whether a character is dropped at both ends of a line. The
// byte order mark is there because editors on Windows put one before the first
// line.
func isPadding(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }

// escapeChar reads what follows #escape.
func escapeChar(value string, patterns bool) (rune, error) {
	value = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(value), "="))
	r, size := rune(0), 0
	if value != "" {
		r, size = decode(value)
	}
	switch {
	case patterns:
		return 0, errors.New("#escape must stand before the first pattern")
	case value == "" || size != len(value):
		return 0, errors.New("#escape needs exactly one character")
	case strings.ContainsRune("/*?[]{},!()#", r):
		return 0, fmt.Errorf("%q already means something else in patterns and cannot be the escape character", r)
	}
	return r, nil
}

// include reads the file that follows #include in the file from.
func (p *parser) include(target, from string) error {
	trimmed := strings.TrimSpace(target)
	if trimmed == "" || trimmed == target {
		return errors.New("#include needs a space and the name of a file")
	}
	name := path.Join(path.Dir(from), trimmed)
	if slices.Contains(p.files, name) {
		return fmt.Errorf("including %q: the file includes itself (%s)", name,
			strings.Join(append(p.files, name), " → "))
	}
	if slices.Contains(p.done, name) {
		// Its patterns stand above already, so that a second copy of them
		// could never decide anything.
		return nil
	}
	if p.open == nil {
		return fmt.Errorf("including %q: includes are not possible here", name)
	}
	f, err := p.open(name)
	if err != nil {
		return fmt.Errorf("including %q: %w", name, err)
	}
	defer f.Close()
	return p.file(f, name)
}

// pattern adds one pattern.
func (p *parser) pattern(raw string, escape rune, file string, line int) error {
	r := rule{raw: raw, file: file, line: line}
	r.prefixes(withBackslashes(raw, escape))
	if r.text == "" {
		return fmt.Errorf("%q: no pattern follows the prefix", raw)
	}
	if len(r.text) > MaxPattern {
		return fmt.Errorf("a pattern is longer than %d bytes", MaxPattern)
	}
	if err := r.compile(); err != nil {
		if strings.HasPrefix(raw, "#") {
			err = fmt.Errorf("%w (a comment begins with //)", err)
		}
		return fmt.Errorf("%q: %w", raw, err)
	}
	p.rules = append(p.rules, r)
	return nil
}

// prefixes takes !, (?i) and (?d) from the pattern, each once and in any order.
// The rest becomes the rule's text.
func (r *rule) prefixes(text string) {
	for {
		if rest, ok := strings.CutPrefix(text, "!"); ok && !r.include {
			r.include, text = true, rest
		} else if rest, ok := strings.CutPrefix(text, "(?i)"); ok && !r.fold {
			r.fold, text = true, rest
		} else if rest, ok := strings.CutPrefix(text, "(?d)"); ok && !r.deletable {
			r.deletable, text = true, rest
		} else {
			r.text = text
			return
		}
	}
}

// withBackslashes rewrites a pattern with another escape character. A backslash
// is an ordinary character there.
func withBackslashes(pattern string, escape rune) string {
	if escape == '\\' {
		return pattern
	}
	var b []byte
	for pattern != "" {
		r, size := decode(pattern)
		switch r {
		case escape:
			b = append(b, '\\')
			// The character behind it stands for itself, whatever it is.
			pattern = pattern[size:]
			if pattern == "" {
				return string(b)
			}
			_, size = decode(pattern)
			b = append(b, pattern[:size]...)
		case '\\':
			b = append(b, `\\`...)
		default:
			b = append(b, pattern[:size]...)
		}
		pattern = pattern[size:]
	}
	return string(b)
}

// Quote returns a pattern that matches exactly the given path, seen from the
// root, and what is below it. A line break, which no line can hold, becomes a
// question mark.
func Quote(path string) string {
	var b strings.Builder
	b.WriteByte('/')
	for path != "" {
		r, size := decode(path)
		char := path[:size]
		path = path[size:]
		switch {
		case r == '\n':
			b.WriteByte('?')
		case path == "" && isPadding(r):
			b.WriteString("[" + char + "]")
		case strings.ContainsRune(`\*?[]{},`, r):
			b.WriteString(`\` + char)
		default:
			b.WriteString(char)
		}
	}
	return b.String()
}
