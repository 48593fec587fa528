package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a manifest, which a hostile or broken file hits long before memory
// does.
const (
	// maxDepth bounds how deep lists and maps may be nested.
	maxDepth = 100
	// maxNodes bounds the nodes once every alias is replaced by what it
	// stands for.
	maxNodes = 100_000
	// maxText bounds their text in bytes, and maxKey that of one key, which
	// every message about what is below it repeats.
	maxText = 4 << 20
	maxKey  = 1024
	// maxMessage bounds a message in bytes.
	maxMessage = 1000
)

// grower copies a parsed document into a plain tree: aliases replaced by what
// they stand for, merge keys applied, every key a scalar that occurs once.
type grower struct {
	problems []Problem
	// nodes and text count what was copied; open are the nodes being
	// copied, to see an anchor that holds itself.
	nodes, text int
	open        map[*yaml.Node]bool
}

// problemAt makes a problem at the place of a node. A message that quotes a
// large value is cut.
func problemAt(n *yaml.Node, format string, args ...any) Problem {
	message := fmt.Sprintf(format, args...)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return Problem{Line: n.Line, Column: n.Column, Message: message}
}

// boundError stops the copying at once.
type boundError struct{ Problem }

func (e *boundError) Error() string { return e.Message }

// grow copies a node. The error is a *boundError; what can be copied despite a
// mistake goes to the problems.
func (g *grower) grow(n *yaml.Node, depth int) (*yaml.Node, error) {
	g.nodes++
	g.text += len(n.Value)
	switch {
	case g.nodes > maxNodes:
		return nil, &boundError{problemAt(n, "the manifest has more than %d values once its aliases are replaced", maxNodes)}
	case g.text > maxText:
		return nil, &boundError{problemAt(n, "the manifest has more than %d bytes of text once its aliases are replaced", maxText)}
	case depth > maxDepth:
		return nil, &boundError{problemAt(n, "lists and maps are nested more than %d deep", maxDepth)}
	case g.open[n]:
		return nil, &boundError{problemAt(n, "the anchor %q contains itself", n.Anchor)}
	case n.Kind == yaml.AliasNode:
		return g.grow(n.Alias, depth)
	}
	plain := *n
	plain.Anchor, plain.Alias, plain.Content = "", nil, nil
	if n.Kind == yaml.ScalarNode {
		return &plain, nil
	}
	g.open[n] = true
	defer delete(g.open, n)
	if n.Kind == yaml.MappingNode {
		return &plain, g.growMap(&plain, n, depth)
	}
	for _, c := range n.Content {
		p, err := g.grow(c, depth+1)
		if err != nil {
			return nil, err
		}
		plain.Content = append(plain.Content, p)
	}
	return &plain, nil
}

// growMap copies the entries of a map: its own first, then those that merge
// keys bring and that it has not set itself.
func (g *grower) growMap(plain, n *yaml.Node, depth int) error {
	lines := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := g.grow(n.Content[i], depth+1)
		if err != nil {
			return err
		}
		value, err := g.grow(n.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		line, twice := lines[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			g.problems = append(g.problems, problemAt(n.Content[i], "a key must be text"))
		case len(key.Value) > maxKey:
			g.problems = append(g.problems, problemAt(key, "a key must have at most %d bytes", maxKey))
		case key.Tag == "!!merge":
			merges = append(merges, value)
		case twice:
			g.problems = append(g.problems, problemAt(key, "key %q is already set on line %d", key.Value, line))
		default:
			lines[key.Value] = key.Line
			plain.Content = append(plain.Content, key, value)
		}
	}
	for _, m := range merges {
		g.merge(plain, m, lines)
	}
	return nil
}

// merge adds the entries of a map, or of a list of maps, that are not set yet.
func (g *grower) merge(plain, from *yaml.Node, set map[string]int) {
	switch from.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(from.Content); i += 2 {
			key := from.Content[i]
			if _, ok := set[key.Value]; !ok {
				set[key.Value] = key.Line
				plain.Content = append(plain.Content, key, from.Content[i+1])
			}
		}
	case yaml.SequenceNode:
		for _, m := range from.Content {
			if m.Kind != yaml.MappingNode {
				g.problems = append(g.problems, problemAt(m, "the merge key << needs maps, not %s", kindOf(m)))
				continue
			}
			g.merge(plain, m, set)
		}
	default:
		g.problems = append(g.problems, problemAt(from, "the merge key << needs a map or a list of maps, not %s", kindOf(from)))
	}
}
