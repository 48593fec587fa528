package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is one node of the manifest, with the path that messages call it by.
// Its methods read it as one type or another; what does not fit becomes a
// problem of the parser, so that one run finds all of them.
type value struct {
	p    *parser
	node *yaml.Node
	// key is the node of the key that it stands under; nil in a list.
	key  *yaml.Node
	path string
	// asked is where object leaves its fields instead of reading them, for the
	// schema; nil when a manifest is read.
	asked *[]field
}

// field is a known key of a map: what editors say of it, what may stand there
// as far as a schema can tell, and what reads it. That is not called for a key
// without a value, which is as good as absent.
type field struct {
	name  string
	about string
	shape shape
	read  func(value)
}

// fail adds a problem at the value.
func (v value) fail(format string, args ...any) {
	v.p.problems = append(v.p.problems, problemAt(v.node, "%q: %s", v.path, fmt.Sprintf(format, args...)))
}

// want adds the problem that the value is of another type than what it must be.
func (v value) want(what string) {
	v.p.problems = append(v.p.problems, problemAt(v.node, "%q must be %s, not %s", v.path, what, kindOf(v.node)))
}

// atKey is the value at the place of its key, for problems of the whole.
func (v value) atKey() value {
	v.node = v.key
	return v
}

// warn adds a finding that stops nothing, at the line of the key.
func (v value) warn(format string, args ...any) {
	at := v.node
	if v.key != nil {
		at = v.key
	}
	v.p.warnings = append(v.p.warnings, problemAt(at, "%q %s", v.path, fmt.Sprintf(format, args...)))
}

// kindOf says what a node is, as messages put it.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "empty"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return n.Value
	default:
		return fmt.Sprintf("the text %q", n.Value)
	}
}

func (v value) null() bool   { return v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null" }
func (v value) scalar() bool { return v.node.Kind == yaml.ScalarNode && v.node.Tag != "!!null" }
func (v value) isMap() bool  { return v.node.Kind == yaml.MappingNode }
func (v value) isList() bool { return v.node.Kind == yaml.SequenceNode }

// text reads any scalar as it is written: a version such as 1.0 needs no
// quotes.
func (v value) text() (string, bool) {
	if !v.scalar() {
		v.want("text")
		return "", false
	}
	return v.node.Value, true
}

// expanded reads a text and replaces its variables.
func (v value) expanded() (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	return v.expand(s)
}

// expand replaces the variables of a part of the value.
func (v value) expand(s string) (string, bool) {
	out, err := Expand(s, v.p.opts.Lookup)
	if err != nil {
		v.fail("%v", err)
		return "", false
	}
	return out, true
}

// boolean reads a boolean of YAML 1.1, which has yes and on as well.
func (v value) boolean() (bool, bool) {
	if v.scalar() && v.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		switch strings.ToLower(v.node.Value) {
		case "true", "yes", "on":
			return true, true
		case "false", "no", "off":
			return false, true
		}
	}
	v.want("true or false")
	return false, false
}

// integer reads a whole number.
func (v value) integer() (int64, bool) {
	var n int64
	if v.scalar() && v.node.Tag == "!!int" && v.node.Decode(&n) == nil {
		return n, true
	}
	v.want("a whole number")
	return 0, false
}

// port reads a whole number from 1 to 65535.
func (v value) port() (int, bool) {
	n, ok := v.integer()
	if !ok {
		return 0, false
	}
	if n < 1 || n > 65535 {
		v.fail("port %d is not between 1 and 65535", n)
		return 0, false
	}
	return int(n), true
}

// oneOf reads a text that must be one of a few.
func (v value) oneOf(known ...string) (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	if !slices.Contains(known, s) {
		v.fail("must be %s, not %q", quoted(known, " or "), s)
		return "", false
	}
	return s, true
}

// items reads a list.
func (v value) items() []value {
	if !v.isList() {
		v.want("a list")
		return nil
	}
	out := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		out[i] = value{p: v.p, node: n, path: v.path + "[" + strconv.Itoa(i) + "]", asked: v.asked}
	}
	return out
}

// itemsOrOne reads a list, or one scalar as a list of one.
func (v value) itemsOrOne() []value {
	if v.scalar() {
		return []value{v}
	}
	if !v.isList() {
		v.want("text or a list")
		return nil
	}
	return v.items()
}

// texts reads a text or a list of texts.
func (v value) texts() []string {
	var out []string
	for _, item := range v.itemsOrOne() {
		if s, ok := item.text(); ok {
			out = append(out, s)
		}
	}
	return out
}

// entries reads a map, in the order of the file.
func (v value) entries() []value {
	if !v.isMap() {
		v.want("a map")
		return nil
	}
	var out []value
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		path := key.Value
		if v.path != "" {
			path = v.path + "." + path
		}
		out = append(out, value{p: v.p, node: v.node.Content[i+1], key: key, path: path})
	}
	return out
}

// object reads a map whose keys are known. A key that is not is a problem, with
// the name that was probably meant.
func (v value) object(fields []field) {
	if v.asked != nil {
		*v.asked = fields
		return
	}
	for _, e := range v.entries() {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.key.Value })
		switch {
		case i < 0:
			e.unknown(v.path, fields)
		case !e.null():
			fields[i].read(e)
		}
	}
}

// unknown adds the problem that the entry's key is not one of the fields.
func (v value) unknown(owner string, fields []field) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	v.unknownName(owner, names)
}

// unknownName adds the problem that the entry's key is not one of the names.
func (v value) unknownName(owner string, names []string) {
	const few = 8
	name := v.key.Value
	text := fmt.Sprintf("field %q is not a property of the manifest", name)
	if owner != "" {
		text = fmt.Sprintf("field %q is not a property of %q", name, owner)
	}
	near := Nearest(name, names)
	switch {
	case len(near) > 0:
		text += "; did you mean " + quoted(near, " or ") + "?"
	case v.p.hint(owner, name) != "":
		text += "; " + v.p.hint(owner, name)
	case len(names) <= few:
		text += "; it has " + quoted(names, ", ")
	}
	v.p.problems = append(v.p.problems, problemAt(v.key, "%s", text))
}
