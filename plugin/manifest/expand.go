package manifest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxNesting bounds how deep defaults may stand inside defaults.
const maxNesting = 50

// Lookup returns the value of a variable of the laptop's environment, and
// whether it is set; os.LookupEnv is one. A nil Lookup knows no variable.
type Lookup = func(name string) (string, bool)

// Expand replaces the variables of a text by their values, with the notation
// of the POSIX shell (IEEE Std 1003.1, 2.6.2 Parameter Expansion):
//
//	$V ${V}            the value, empty when unset
//	${V:-word} ${V-word}  the word when V is unset or empty; without the colon, when unset
//	${V:=word} ${V=word}  the same: nothing is assigned
//	${V:+word} ${V+word}  the word when V is set and not empty; without the colon, when set
//	${V:?word} ${V?word}  an error that shows the word, when V is unset or empty; when unset
//	${#V}              the length of the value in characters
//	$$                 one $
//
// Words are expanded too, and only when they are used. A $ that begins none of
// these stays as it is, so that a text without $ is never changed. The errors
// say what is wrong and where, without the name of a file.
func Expand(text string, lookup Lookup) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	e := &expansion{text: text, lookup: lookup}
	return e.word(false, true)
}

// expansion is one run over a text.
type expansion struct {
	text    string
	lookup  Lookup
	pos     int
	nesting int
}

// word expands up to the end of the text or, inside braces, up to the closing
// one, which it leaves. When it is not active it only finds the end.
func (e *expansion) word(inner, active bool) (string, error) {
	start := e.pos
	var b strings.Builder
	for e.pos < len(e.text) {
		c := e.text[e.pos]
		if inner && c == '}' {
			return b.String(), nil
		}
		if c != '$' {
			b.WriteByte(c)
			e.pos++
			continue
		}
		s, err := e.dollar(active)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	if inner {
		return "", fmt.Errorf("closing brace expected after %q", e.text[start:])
	}
	return b.String(), nil
}

// dollar expands what begins with the $ at the position.
func (e *expansion) dollar(active bool) (string, error) {
	rest := e.text[e.pos+1:]
	if strings.HasPrefix(rest, "$") {
		e.pos += 2
		return "$", nil
	}
	if strings.HasPrefix(rest, "{") {
		return e.braces(active)
	}
	e.pos++
	name := e.name()
	if name == "" {
		return "$", nil
	}
	value, _ := e.get(name, active)
	return value, nil
}

// braces expands a ${…} at the position.
func (e *expansion) braces(active bool) (string, error) {
	start := e.pos
	e.pos += len("${")
	e.nesting++
	defer func() { e.nesting-- }()
	if e.nesting > maxNesting {
		return "", fmt.Errorf("variables are nested more than %d deep", maxNesting)
	}
	length := strings.HasPrefix(e.text[e.pos:], "#")
	if length {
		e.pos++
	}
	name := e.name()
	if e.pos == len(e.text) {
		return "", fmt.Errorf("closing brace expected after %q", e.text[start:])
	}
	if name == "" {
		return "", fmt.Errorf("a variable name is expected at %q", e.text[start:])
	}
	value, set := e.get(name, active)
	if e.text[e.pos] == '}' {
		e.pos++
		if length {
			value = strconv.Itoa(utf8.RuneCountInString(value))
		}
		return value, nil
	}
	if length {
		return "", fmt.Errorf("closing brace expected after %q", e.text[start:e.pos])
	}
	return e.operator(name, value, set, active)
}

// operator applies the operator at the position, with its word and the closing
// brace, to a variable.
func (e *expansion) operator(name, value string, set, active bool) (string, error) {
	rest := e.text[e.pos:]
	colon := strings.HasPrefix(rest, ":")
	state := "not set"
	if colon {
		rest = rest[1:]
		if set && value == "" {
			set, state = false, "empty"
		}
		e.pos++
	}
	if rest == "" || !strings.Contains("-=+?", rest[:1]) {
		return "", fmt.Errorf("one of the operators :- := :+ :? or a closing brace is expected after %q", "${"+name)
	}
	e.pos++
	op := rest[0]
	useWord := set == (op == '+')
	word, err := e.word(true, active && useWord)
	if err != nil {
		return "", err
	}
	e.pos++ // the closing brace
	switch {
	case !active:
		return "", nil
	case op == '?' && !set && word == "":
		return "", fmt.Errorf("variable %s is %s", name, state)
	case op == '?' && !set:
		return "", fmt.Errorf("variable %s is %s: %s", name, state, word)
	case useWord:
		return word, nil
	case op == '+':
		return "", nil
	default:
		return value, nil
	}
}

// name reads a variable's name at the position: letters, digits and
// underscores, not beginning with a digit. It may be empty.
func (e *expansion) name() string {
	start := e.pos
	for e.pos < len(e.text) {
		c := e.text[e.pos]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || e.pos == start) {
			break
		}
		e.pos++
	}
	return e.text[start:e.pos]
}

func (e *expansion) get(name string, active bool) (string, bool) {
	if !active || e.lookup == nil {
		return "", false
	}
	return e.lookup(name)
}
