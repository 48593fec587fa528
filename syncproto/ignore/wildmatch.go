package ignore

import (
	"errors"
	"fmt"
	"strings"
)

// compileWild compiles a pattern of git's wildmatch, as gitignore uses it. Git
// compares bytes: a question mark is one byte, and so is a member of a class.
//
// Two asterisks cross slashes only where they fill a whole path element: in
// front, where **/ is also nothing, at the end, and between two slashes.
// Elsewhere they are as good as one.
func compileWild(src string) (*glob, error) {
	c := wildCompiler{src: src}
	for c.at < len(src) {
		b := src[c.at]
		c.at++
		switch b {
		case '\\':
			if c.at == len(src) {
				return nil, errors.New("nothing follows the backslash")
			}
			c.emit(opChar, byteChar(src[c.at]))
			c.at++
		case '?':
			c.emit(opAny, 0)
		case '*':
			c.stars()
		case '[':
			if err := c.class(); err != nil {
				return nil, err
			}
		default:
			c.emit(opChar, byteChar(b))
		}
	}
	c.emit(opMatch, 0)
	c.glob.bytes = true
	return &c.glob, nil
}

// byteChar is the character of a byte on its own, as decode has it.
func byteChar(b byte) rune {
	if b < 0x80 {
		return rune(b)
	}
	return invalidByte + rune(b)
}

// A wildCompiler translates one pattern of wildmatch.
type wildCompiler struct {
	src  string
	at   int // what was taken so far
	glob glob
}

func (c *wildCompiler) emit(op opcode, arg int32) {
	c.glob.prog = append(c.glob.prog, inst{op, arg})
}

// stars compiles a run of asterisks, the first of which is taken.
func (c *wildCompiler) stars() {
	begin := c.at - 1
	for c.at < len(c.src) && c.src[c.at] == '*' {
		c.at++
	}
	rest := c.src[c.at:]
	deep := c.at-begin > 1 && (begin == 0 || c.src[begin-1] == '/') &&
		(rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`))
	switch {
	case !deep:
		c.emit(opStar, 0)
	case rest != "" && rest[0] == '/':
		// Any folders, or none: fork 1; **; /; 1:
		c.emit(opFork, int32(len(c.glob.prog)+3))
		c.emit(opDeep, 0)
		c.emit(opChar, '/')
		c.at++
	default:
		c.emit(opDeep, 0)
	}
}

// class compiles [a-z], whose opening bracket is taken. A bracket that closes
// it cannot be its first member; a range that runs backwards is empty.
func (c *wildCompiler) class() error {
	var cl class
	if c.at < len(c.src) && (c.src[c.at] == '!' || c.src[c.at] == '^') {
		cl.negated = true
		c.at++
	}
	// prev is the member before, from which a range may start; 0 for none.
	for prev, first := byte(0), true; ; first = false {
		b, err := c.take()
		if err != nil {
			return err
		}
		switch {
		case b == ']' && !first:
			c.emit(opClass, int32(len(c.glob.classes)))
			c.glob.classes = append(c.glob.classes, cl)
			return nil
		case b == '-' && prev != 0 && c.at < len(c.src) && c.src[c.at] != ']':
			last, err := c.member()
			if err != nil {
				return err
			}
			cl.ranges = append(cl.ranges, [2]rune{byteChar(prev), byteChar(last)})
			prev = 0
		case b == '[' && strings.HasPrefix(c.src[c.at:], ":"):
			named, err := c.named(&cl)
			if err != nil {
				return err
			}
			if prev = 0; !named {
				prev = b
				cl.ranges = append(cl.ranges, [2]rune{'[', '['})
			}
		default:
			if b == '\\' {
				if b, err = c.take(); err != nil {
					return err
				}
			}
			cl.ranges = append(cl.ranges, [2]rune{byteChar(b), byteChar(b)})
			prev = b
		}
	}
}

// take takes one byte inside a class.
func (c *wildCompiler) take() (byte, error) {
	if c.at == len(c.src) {
		return 0, errors.New("[ without ]")
	}
	c.at++
	return c.src[c.at-1], nil
}

// member takes one member of a class, which may be escaped.
func (c *wildCompiler) member() (byte, error) {
	b, err := c.take()
	if err == nil && b == '\\' {
		return c.take()
	}
	return b, err
}

// named takes [:name:], whose bracket is taken; false if it is none.
func (c *wildCompiler) named(cl *class) (bool, error) {
	rest := c.src[c.at+1:]
	end := strings.IndexByte(rest, ']')
	if end < 0 {
		return false, errors.New("[ without ]")
	}
	if end == 0 || rest[end-1] != ':' {
		return false, nil
	}
	ranges, ok := posixClass(rest[:end-1])
	if !ok {
		return false, fmt.Errorf("there is no class [:%s:]", rest[:end-1])
	}
	cl.ranges = append(cl.ranges, ranges...)
	c.at += 1 + end + 1
	return true, nil
}

// posixClass returns the members of a class as git has it: of ASCII only, and
// white space without form feed and vertical tab.
func posixClass(name string) ([][2]rune, bool) {
	upper, lower, digit := [2]rune{'A', 'Z'}, [2]rune{'a', 'z'}, [2]rune{'0', '9'}
	punct := [][2]rune{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}
	switch name {
	case "alnum":
		return [][2]rune{upper, lower, digit}, true
	case "alpha":
		return [][2]rune{upper, lower}, true
	case "blank":
		return [][2]rune{{' ', ' '}, {'\t', '\t'}}, true
	case "cntrl":
		return [][2]rune{{0, 0x1f}, {0x7f, 0x7f}}, true
	case "digit":
		return [][2]rune{digit}, true
	case "graph":
		return [][2]rune{{'!', '~'}}, true
	case "lower":
		return [][2]rune{lower}, true
	case "print":
		return [][2]rune{{' ', '~'}}, true
	case "punct":
		return punct, true
	case "space":
		return [][2]rune{{' ', ' '}, {'\t', '\n'}, {'\r', '\r'}}, true
	case "upper":
		return [][2]rune{upper}, true
	case "xdigit":
		return [][2]rune{digit, {'A', 'F'}, {'a', 'f'}}, true
	default:
		return nil, false
	}
}
