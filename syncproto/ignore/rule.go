package ignore

import "strings"

// A rule is one pattern of an ignore file, compiled.
type rule struct {
	include   bool // written with !
	fold      bool // written with (?i)
	deletable bool // written with (?d)
	anchored  bool // bound to the root by a leading slash

	raw  string // the line as written
	text string // the pattern without its prefixes, escapes as backslashes
	file string
	line int

	need  letters // what every match contains; nothing for (?i)
	shape shape
	want  string // what every match contains; all of the pattern for simple shapes
	glob  *glob
}

// A shape names patterns that need no automaton. Nearly all patterns that
// people write have one of the first three.
type shape uint8

const (
	shapeLiteral shape = iota // want
	shapeSuffix               // *want, where want has no slash
	shapePrefix               // want*
	shapeGlob                 // anything else; want is only a filter
)

// String returns the canonical line: prefixes in a fixed order, then the
// pattern.
func (r *rule) String() string {
	var b strings.Builder
	if r.include {
		b.WriteString("!")
	}
	if r.fold {
		b.WriteString("(?i)")
	}
	if r.deletable {
		b.WriteString("(?d)")
	}
	b.WriteString(r.text)
	return b.String()
}

// result is what becomes of a path for which the rule decides.
func (r *rule) result() Result {
	return Result{
		Ignored:   !r.include,
		Deletable: !r.include && r.deletable,
		Line:      r.line,
		File:      r.file,
		Pattern:   r.raw,
	}
}

// compile turns the rule's text into the matcher. A trailing slash means the
// contents of the folder.
func (r *rule) compile() error {
	text := normal(r.text)
	if r.fold {
		text = foldCase(text)
	}
	if strings.HasSuffix(text, "/") {
		text += "**"
	}
	if rest, ok := strings.CutPrefix(text, "/"); ok {
		r.anchored, text = true, rest
	} else {
		// At any depth is what an unanchored pattern means anyway.
		text = strings.TrimPrefix(text, "**/")
	}
	g, err := compileGlob(text)
	if err != nil {
		return err
	}
	r.glob = g
	r.shape, r.want = g.simplify()
	if !r.fold {
		r.need = g.letters()
	}
	return nil
}

// match reports whether the pattern matches the path or a folder above it.
func (r *rule) match(path string) bool {
	switch r.shape {
	case shapeLiteral:
		return r.matchPart(path, true, true)
	case shapeSuffix:
		if r.anchored {
			first, _, _ := strings.Cut(path, "/")
			return strings.HasSuffix(first, r.want)
		}
		return r.matchPart(path, false, true)
	case shapePrefix:
		return r.matchPart(path, true, false)
	default:
		if !strings.Contains(path, r.want) {
			return false
		}
		return r.glob.matches(path, r.anchored)
	}
}

// matchPart looks for r.want in the path where it starts, ends, or starts and
// ends with a path element.
func (r *rule) matchPart(path string, starts, ends bool) bool {
	want := r.want
	if r.anchored {
		return strings.HasPrefix(path, want) && (!ends || endsElement(path, len(want)))
	}
	for from := 0; ; {
		i := strings.Index(path[from:], want)
		if i < 0 {
			return false
		}
		i += from
		if (!starts || i == 0 || path[i-1] == '/') && (!ends || endsElement(path, i+len(want))) {
			return true
		}
		from = i + 1
	}
}

// endsElement reports whether a path element ends at offset i.
func endsElement(path string, i int) bool {
	return i == len(path) || path[i] == '/'
}

// coversBelow reports whether the pattern surely matches every path below the
// folder.
func (r *rule) coversBelow(folder string) bool {
	if r.match(folder) {
		return true
	}
	if r.shape != shapeGlob {
		return false
	}
	_, after := r.glob.after(folder+"/", r.anchored)
	return r.glob.acceptsAll(after)
}

// mayMatchBelow reports whether the pattern may match some path below the
// folder.
func (r *rule) mayMatchBelow(folder string) bool {
	if !r.anchored {
		return true
	}
	matched, after := r.glob.after(folder+"/", true)
	return matched || !after.empty()
}
