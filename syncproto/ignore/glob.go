package ignore

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// maxNesting bounds the depth of { } inside { }.
const maxNesting = 32

// invalidByte is added to a byte that is not part of a UTF-8 sequence to make
// it a character of its own, different from every Unicode character.
const invalidByte = unicode.MaxRune + 1

// decode returns the first character of s and its width. s is not empty.
func decode(s string) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 {
		return invalidByte + rune(s[0]), 1
	}
	return r, size
}

// lower is unicode.ToLower with the common case first.
func lower(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(r)
}

// A compiler translates one pattern.
type compiler struct {
	src     string
	nesting int
	glob    glob
}

// compileGlob compiles a pattern whose escape character is the backslash.
func compileGlob(src string) (*glob, error) {
	c := compiler{src: src}
	if err := c.sequence(); err != nil {
		return nil, err
	}
	c.emit(opMatch, 0)
	return &c.glob, nil
}

func (c *compiler) emit(op opcode, arg int32) {
	c.glob.prog = append(c.glob.prog, inst{op, arg})
}

// next takes one character from the pattern. It reports false at the end.
func (c *compiler) next() (rune, bool) {
	if c.src == "" {
		return 0, false
	}
	r, size := decode(c.src)
	c.src = c.src[size:]
	return r, true
}

// escaped takes the character after a backslash.
func (c *compiler) escaped() (rune, error) {
	r, ok := c.next()
	if !ok {
		return 0, errors.New("nothing follows the escape character")
	}
	return r, nil
}

// sequence compiles up to the end of the pattern, or inside braces up to the
// comma or brace that ends the alternative, which it leaves in place.
func (c *compiler) sequence() error {
	for c.src != "" {
		if c.nesting > 0 && (c.src[0] == ',' || c.src[0] == '}') {
			return nil
		}
		r, _ := c.next()
		if err := c.element(r); err != nil {
			return err
		}
	}
	return nil
}

// element compiles what begins with the character r.
func (c *compiler) element(r rune) error {
	switch r {
	case '\\':
		r, err := c.escaped()
		if err != nil {
			return err
		}
		c.emit(opChar, r)
	case '?':
		c.emit(opAny, 0)
	case '*':
		c.stars()
	case '[':
		return c.class()
	case '{':
		return c.alternatives()
	default:
		c.emit(opChar, r)
	}
	return nil
}

// stars compiles a run of asterisks, the first of which is taken: one keeps to
// a path element, two or more cross slashes.
func (c *compiler) stars() {
	op := opStar
	for c.src != "" && c.src[0] == '*' {
		c.src = c.src[1:]
		op = opDeep
	}
	c.emit(op, 0)
}

// alternatives compiles {a,b,c}, whose opening brace is taken, to
//
//	fork 1; a; jump end; 1: fork 2; b; jump end; 2: c; end:
func (c *compiler) alternatives() error {
	c.nesting++
	if c.nesting > maxNesting {
		return fmt.Errorf("more than %d braces inside one another", maxNesting)
	}
	var jumps []int
	for {
		fork := len(c.glob.prog)
		c.emit(opFork, 0)
		if err := c.sequence(); err != nil {
			return err
		}
		end, ok := c.next()
		if !ok {
			return errors.New("{ without }")
		}
		if end == '}' {
			// The last alternative needs no way around it.
			c.glob.prog[fork] = inst{opJump, int32(fork + 1)}
			break
		}
		jumps = append(jumps, len(c.glob.prog))
		c.emit(opJump, 0)
		c.glob.prog[fork].arg = int32(len(c.glob.prog))
	}
	for _, j := range jumps {
		c.glob.prog[j].arg = int32(len(c.glob.prog))
	}
	c.nesting--
	return nil
}

// class compiles [a-z], whose opening bracket is taken.
func (c *compiler) class() error {
	var cl class
	if c.src != "" && (c.src[0] == '!' || c.src[0] == '^') {
		cl.negated = true
		c.src = c.src[1:]
	}
	for {
		lo, last, err := c.member()
		if err != nil {
			return err
		}
		if last {
			break
		}
		hi := lo
		if len(c.src) > 1 && c.src[0] == '-' && c.src[1] != ']' {
			c.src = c.src[1:]
			if hi, _, err = c.member(); err != nil {
				return err
			}
		}
		if hi < lo {
			return fmt.Errorf("the range %c-%c runs backwards", lo, hi)
		}
		cl.ranges = append(cl.ranges, [2]rune{lo, hi})
	}
	if len(cl.ranges) == 0 {
		return errors.New("no character between [ and ]")
	}
	c.emit(opClass, int32(len(c.glob.classes)))
	c.glob.classes = append(c.glob.classes, cl)
	return nil
}

// member takes one character of a class; last is true for the bracket that
// closes it.
func (c *compiler) member() (r rune, last bool, err error) {
	r, ok := c.next()
	switch {
	case !ok:
		return 0, false, errors.New("[ without ]")
	case r == ']':
		return 0, true, nil
	case r == '\\':
		r, err = c.escaped()
	}
	return r, false, err
}

// simplify names the shape of the pattern and the text that every match
// contains.
func (g *glob) simplify() (shape, string) {
	prog := g.prog[:len(g.prog)-1] // without opMatch
	if text, ok := literal(prog); ok && text != "" {
		return shapeLiteral, text
	}
	if n := len(prog); n > 1 && prog[0].op == opStar {
		if text, ok := literal(prog[1:]); ok && !containsSlash(text) {
			return shapeSuffix, text
		}
	} else if n > 1 && prog[n-1].op == opStar {
		if text, ok := literal(prog[:n-1]); ok {
			return shapePrefix, text
		}
	}
	return shapeGlob, longestLiteral(prog)
}

func containsSlash(s string) bool {
	for i := range len(s) {
		if s[i] == '/' {
			return true
		}
	}
	return false
}

// literal returns the text of a program that consists of characters only.
func literal(prog []inst) (string, bool) {
	var text []byte
	for _, in := range prog {
		if in.op != opChar {
			return "", false
		}
		text = appendChar(text, in.arg)
	}
	return string(text), true
}

// longestLiteral returns the longest run of characters that stands outside all
// alternatives.
func longestLiteral(prog []inst) string {
	var best, run []byte
	for pc := 0; pc < len(prog); pc++ {
		switch in := prog[pc]; in.op {
		case opChar:
			run = appendChar(run, in.arg)
			if len(run) > len(best) {
				best = append(best[:0], run...)
			}
		case opFork, opJump:
			// Nothing from here to the end of the alternatives is common
			// to all matches, and what follows them is left unused.
			return string(best)
		default:
			run = run[:0]
		}
	}
	return string(best)
}

// appendChar appends a character as it stands in a path.
func appendChar(b []byte, r rune) []byte {
	if r >= invalidByte {
		return append(b, byte(r-invalidByte))
	}
	return utf8.AppendRune(b, r)
}
