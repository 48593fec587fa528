package ignore

import "strings"

// A gitRule is one line of a .gitignore file, compiled.
type gitRule struct {
	negated  bool // written with !
	dirOnly  bool // written with a slash at the end
	basename bool // without another slash: names are compared, at any depth

	raw  string // the line as git understands it
	file string
	line int

	need  letters
	shape shape
	want  string
	glob  *glob // nil for a pattern that never matches
}

// parseGitLine compiles one line that is neither empty nor a comment. An error
// is what is wrong with it; git never tells, and the rule never matches.
func parseGitLine(text, file string, line int) (gitRule, error) {
	r := gitRule{raw: text, file: file, line: line}
	text, r.negated = strings.CutPrefix(text, "!")
	text, r.dirOnly = strings.CutSuffix(text, "/")
	r.basename = !strings.Contains(text, "/")
	text = strings.TrimPrefix(text, "/")
	if rest, ok := strings.CutPrefix(text, "**/"); ok && !strings.Contains(rest, "/") {
		// The same in other words.
		r.basename, text = true, rest
	}
	if text == "" || strings.HasPrefix(text, "/") {
		return r, nil // no name is empty
	}
	if len(text) > MaxPattern {
		return r, errPatternLength
	}
	g, err := compileWild(text)
	if err != nil {
		return r, err
	}
	r.glob = g
	r.shape, r.want = g.simplify()
	r.need = g.letters()
	return r, nil
}

// match reports whether the pattern matches a path relative to the folder of
// its file. name is the path's last element.
func (r *gitRule) match(rel, name string, dir bool) bool {
	if r.dirOnly && !dir || r.glob == nil {
		return false
	}
	text := rel
	if r.basename {
		text = name
	}
	switch r.shape {
	case shapeLiteral:
		return text == r.want
	case shapeSuffix:
		return strings.HasSuffix(text, r.want) && !strings.Contains(text[:len(text)-len(r.want)], "/")
	case shapePrefix:
		return strings.HasPrefix(text, r.want) && !strings.Contains(text[len(r.want):], "/")
	default:
		return strings.Contains(text, r.want) && r.glob.matchesAll(text)
	}
}

// gitRules are the rules of all .gitignore files of a tree, by folder. In a
// folder the last one that matches wins.
type gitRules map[string][]gitRule

// A candidate is a rule that may match some level of a path.
type candidate struct {
	rule *gitRule
	base int // where the part of the path begins that the rule sees
}

// decide returns the rule that decides about a path, nil for none. Folders are
// asked from the top: what is below an excluded one is excluded with it.
func (g gitRules) decide(path string, dir bool) *gitRule {
	if len(g) == 0 {
		return nil
	}
	var buf [32]candidate
	rules := g.candidates(buf[:0], path)
	name := 0
	for i := range len(path) {
		if path[i] != '/' {
			continue
		}
		if path[name:i] == gitFolder {
			return nil
		}
		if r := judge(rules, path[:i], name, true); r != nil && !r.negated {
			return r
		}
		name = i + 1
	}
	if path[name:] == gitFolder {
		return nil
	}
	return judge(rules, path, name, dir)
}

// candidates collects the rules that have a say about the path, in the order
// in which they are asked: those of the deepest folder first, each file from
// its end.
func (g gitRules) candidates(list []candidate, path string) []candidate {
	have := lettersOf(path)
	begin := len(path) - 1
	if len(g) == 1 && g[""] != nil {
		begin = -1 // the root has all of them
	}
	for i := begin; i >= -1; i-- {
		if i >= 0 && path[i] != '/' {
			continue
		}
		rules := g[path[:max(i, 0)]]
		for k := len(rules) - 1; k >= 0; k-- {
			if r := &rules[k]; have.contain(r.need) {
				list = append(list, candidate{r, i + 1})
			}
		}
	}
	return list
}

// judge returns the first rule that matches one level of a path, whose last
// element begins at name.
func judge(rules []candidate, level string, name int, dir bool) *gitRule {
	for _, c := range rules {
		if c.base <= name && c.rule.match(level[c.base:], level[name:], dir) {
			return c.rule
		}
	}
	return nil
}

// letters is a set of bytes. It may hold a few that it should not, never one
// too few, so that it proves only what is missing.
type letters [2]uint64

func (l *letters) add(b byte) { l[b>>6&1] |= 1 << (b & 63) }

// contain reports whether all of need may be in l.
func (l *letters) contain(need letters) bool {
	return need[0]&^l[0]|need[1]&^l[1] == 0
}

func lettersOf(s string) letters {
	var l letters
	for i := range len(s) {
		l.add(s[i])
	}
	return l
}

// letters returns bytes that every match contains: those that stand before all
// alternatives.
func (g *glob) letters() letters {
	var l letters
	var char [4]byte
	for _, in := range g.prog {
		if in.op == opFork || in.op == opJump {
			break
		}
		if in.op == opChar {
			for _, b := range appendChar(char[:0], in.arg) {
				l.add(b)
			}
		}
	}
	return l
}
