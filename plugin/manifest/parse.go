package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options say where a manifest comes from and how to reach what it names.
type Options struct {
	// Path is the manifest's path, for messages.
	Path string
	// Dir is the absolute folder that relative paths refer to.
	Dir string
	// Lookup finds variables; nil knows none.
	Lookup Lookup
	// Stat tells whether a sync folder exists, as os.Stat; nil skips the
	// check.
	Stat func(path string) (fs.FileInfo, error)
	// ReadFile reads an env file, as os.ReadFile; nil leaves env files
	// unread.
	ReadFile func(path string) ([]byte, error)
}

// Parse reads the text of a manifest and checks it. All that is wrong with it
// is in one *InvalidError; what is only doubtful is in Manifest.Warnings. A
// manifest without a dev section is valid; Select refuses it.
func Parse(data []byte, opts Options) (*Manifest, error) {
	p := &parser{opts: opts, m: &Manifest{
		Path: opts.Path, Dir: opts.Dir, Dev: map[string]*Dev{}, Sections: map[string]*yaml.Node{},
	}}
	root, err := p.document(data)
	if err != nil {
		return nil, err
	}
	p.root(value{p: p, node: root})
	if len(p.problems) > 0 {
		return nil, &InvalidError{Path: opts.Path, Problems: sorted(p.problems), Reason: p.reason}
	}
	for _, w := range sorted(p.warnings) {
		p.m.Warnings = append(p.m.Warnings, w.in(displayName(opts.Path)))
	}
	return p.m, nil
}

// parser is one run over a manifest. It gathers findings instead of stopping at
// the first one.
type parser struct {
	opts     Options
	m        *Manifest
	problems []Problem
	warnings []Problem
	reason   error
	// devs are the development containers in the order of the file;
	// forwards are the local ports of the root forwards.
	devs     []*devReader
	forwards []placedPort
}

// placedPort is a local port, or socket, with the place that names it.
type placedPort struct {
	localEnd
	at value
}

// localEnd is what a forward binds.
type localEnd struct {
	port     int
	protocol Protocol
	socket   string
}

// document turns the text into one plain tree.
func (p *parser) document(data []byte) (*yaml.Node, error) {
	var doc, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && empty(&doc) {
		return nil, p.invalid(ErrEmpty, Problem{Message: "no content detected: the manifest is empty; " +
			"it needs a \"dev\" section with at least one development container"})
	}
	if err != nil {
		return nil, p.invalid(ErrNotYAML, syntaxProblem(data, err))
	}
	if err := decoder.Decode(&next); err == nil {
		return nil, p.invalid(ErrNotYAML, Problem{Line: next.Line, Message: "a second YAML document begins here; " +
			"a manifest is one document"})
	} else if !errors.Is(err, io.EOF) {
		return nil, p.invalid(ErrNotYAML, syntaxProblem(data, err))
	}
	g := &grower{open: map[*yaml.Node]bool{}}
	root, err := g.grow(doc.Content[0], 0)
	if bound := (*boundError)(nil); errors.As(err, &bound) {
		return nil, p.invalid(nil, bound.Problem)
	}
	p.problems = g.problems
	if root.Kind != yaml.MappingNode {
		return nil, p.invalid(ErrNoKnownKey, problemAt(root, "the manifest must be a map with keys such as \"dev\", not %s", kindOf(root)))
	}
	return root, nil
}

// empty tells whether a document holds nothing.
func empty(doc *yaml.Node) bool {
	if len(doc.Content) == 0 {
		return true
	}
	root := doc.Content[0]
	return root.Kind == yaml.ScalarNode && root.Tag == "!!null" || root.Kind == yaml.MappingNode && len(root.Content) == 0
}

func (p *parser) invalid(reason error, problem Problem) error {
	return &InvalidError{Path: p.opts.Path, Problems: []Problem{problem}, Reason: reason}
}

// syntaxProblem takes the line out of an error of the YAML library, which
// writes it as "yaml: line 3: what is wrong". It leaves the line out for an
// alias without its anchor, which is easy to find again.
func syntaxProblem(data []byte, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	p := Problem{}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				p.Line, text = line, what
			}
		}
	}
	if name, ok := strings.CutPrefix(text, "unknown anchor '"); ok && p.Line == 0 {
		name, _, _ = strings.Cut(name, "'")
		if before, _, ok := bytes.Cut(data, []byte("*"+name)); ok {
			p.Line = 1 + bytes.Count(before, []byte("\n"))
		}
	}
	p.Message = "not valid YAML: " + text
	return p
}

// root reads the top of the manifest.
func (p *parser) root(v value) {
	fields := p.rootFields()
	known := slices.ContainsFunc(v.entries(), func(e value) bool {
		return slices.ContainsFunc(fields, func(f field) bool { return f.name == e.key.Value })
	})
	if !known {
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.name
		}
		p.reason = ErrNoKnownKey
		p.problems = append(p.problems, Problem{Message: "couldn't detect okteto manifest content: " +
			"a manifest has at least one of the keys " + quoted(names, ", ")})
	}
	v.object(fields)
	for _, d := range p.devs {
		d.checkPorts(p.forwards)
	}
}

func (p *parser) rootFields() []field {
	keep := func(v value) { p.m.Sections[v.key.Value] = v.node }
	return []field{
		{"name", "Name of the application.", isText, func(v value) { p.m.Name, _ = v.text() }},
		{"icon", "Kept.", isAnything, keep},
		{"build", "Images to build. Kept.", isAnything, keep},
		{"deploy", "How to deploy. Kept.", isAnything, keep},
		{"destroy", "How to destroy. Kept.", isAnything, keep},
		{"dependencies", "Other repositories. Kept.", isAnything, keep},
		{"dev", "Development containers by name.", isDevs, p.dev},
		{"test", "Tests. Kept.", isAnything, keep},
		{"external", "External resources. Kept.", isAnything, keep},
		{"forward", "Forwards that every up opens; each leads to a Service.", isList(isAnyOf(isText, isObject)), func(v value) { p.m.Forward, p.forwards = v.forwards(true) }},
	}
}

// dev reads the development containers.
func (p *parser) dev(v value) {
	if !v.isMap() {
		v.want("a map of names to development containers")
		return
	}
	for _, e := range v.entries() {
		name, ok := e.name(e.key.Value)
		if !ok {
			continue
		}
		if _, twice := p.m.Dev[name]; twice {
			e.fail("another development container is called %q too", name)
			continue
		}
		d := &devReader{p: p, dev: newDev(name), at: e.atKey()}
		d.read(e)
		p.m.Dev[name] = d.dev
		p.devs = append(p.devs, d)
	}
}

// newDev returns a development container with the defaults of every field that
// has one.
func newDev(name string) *Dev {
	return &Dev{
		Name:      name,
		Workload:  name,
		Interface: "localhost",
		Command:   Command{Argv: []string{"sh"}},
		Timeout:   Timeout{Default: 60 * time.Second, Resources: 120 * time.Second},
		AutoDown:  8 * time.Hour,
	}
}

// name sanitises a name, with a warning when that changes it, and checks it.
func (v value) name(raw string) (string, bool) {
	name := sanitise(raw)
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		v.fail("invalid name %q: it must consist of lower case letters, digits and '-', "+
			"start and end with a letter or digit, and have at most %d characters", raw, validation.DNS1123LabelMaxLength)
		return "", false
	}
	if name != raw {
		v.warn("has been sanitised: its name is %q", name)
	}
	return name, true
}

// sanitise makes the usual mistakes in a name good.
func sanitise(name string) string {
	return strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(name))
}

// hint says what became of a field that Okteto once had, or where a field
// belongs; it is empty for other names.
func (p *parser) hint(owner, name string) string {
	isDevField := func(f field) bool { return f.name == name }
	inDev := strings.HasPrefix(owner, "dev.") && !strings.ContainsAny(owner[len("dev."):], ".[")
	switch {
	case owner == "" && name == "services":
		return `a Compose file is not read; a manifest has development containers under "dev"`
	case owner == "" && slices.ContainsFunc((&devReader{p: p}).fields(), isDevField):
		return fmt.Sprintf("it belongs to a development container: \"dev.<name>.%s\"", name)
	case !inDev:
		return ""
	case name == "labels" || name == "annotations":
		return `put it under "metadata"`
	case name == "namespace" || name == "context":
		return fmt.Sprintf("use the flag --%s", name)
	case name == "healthchecks":
		return `its successor is "probes"`
	case name == "push":
		return `its successor is the root section "build"`
	case name == "tests":
		return `its successor is the root section "test"`
	default:
		return ""
	}
}
