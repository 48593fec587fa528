package manifest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// compiled is the schema, ready to validate.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("okteto.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("okteto.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a manifest as editors see it: its aliases and merge keys
// replaced. It is false for a text that is no such tree.
func instance(t *testing.T, text []byte) (any, bool) {
	t.Helper()
	p := &parser{m: &Manifest{}}
	root, err := p.document(text)
	if err != nil || len(p.problems) > 0 {
		return nil, false
	}
	var tree any
	if err := root.Decode(&tree); err != nil {
		return nil, false
	}
	plain, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	return doc, true
}

// TestSchemaTakesGood validates every good manifest of testdata.
func TestSchemaTakesGood(t *testing.T) {
	s := compiled(t)
	for _, file := range manifests(t, "good") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, ok := instance(t, text)
		if !ok {
			t.Errorf("%s is no tree", file)
			continue
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// structural tells the problems that a schema can see: of a type that does not
// fit, or of a field that is not known.
func structural(problem string) bool {
	return regexp.MustCompile(`" must be .*, not (a map|a list|empty|the number|the text|true|false)|is not a property of|is not supported in "services"$`).
		MatchString(problem)
}

// TestSchemaRefusesBad validates every manifest of testdata that is
// structurally bad.
func TestSchemaRefusesBad(t *testing.T) {
	s := compiled(t)
	refused := 0
	for _, file := range manifests(t, "bad") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, ok := instance(t, text)
		bad := false
		for line := range strings.Lines(string(text)) {
			bad = bad || strings.HasPrefix(line, expectMark) && structural(strings.TrimSpace(line))
		}
		if !ok || !bad {
			continue
		}
		refused++
		if s.Validate(doc) == nil {
			t.Errorf("the schema takes %s", file)
		}
	}
	if refused < 10 {
		t.Errorf("only %d of the bad manifests are structurally bad", refused)
	}
}

// TestSchemaAgreesWithReaders gives every field of a development container, and
// every field below it, a value of each kind. What the reader calls another
// type than it wants, the schema refuses; what the schema refuses, the reader
// refuses for one reason or another.
func TestSchemaAgreesWithReaders(t *testing.T) {
	s := compiled(t)
	var paths [][]string
	var walk func(path []string, fields []field)
	walk = func(path []string, fields []field) {
		for _, f := range fields {
			at := append(path[:len(path):len(path)], f.name)
			paths = append(paths, at)
			var below []field
			if f.shape != nil && f.shape(f.read)["anyOf"] != nil || f.shape != nil && f.shape(f.read)["properties"] != nil {
				f.read(value{p: &parser{m: &Manifest{}}, node: &yaml.Node{Kind: yaml.MappingNode}, asked: &below})
			}
			walk(at, below)
		}
	}
	walk(nil, (&devReader{p: &parser{m: &Manifest{}}, dev: newDev("")}).fields())
	if len(paths) < 60 {
		t.Fatalf("only %d fields were found", len(paths))
	}
	for _, path := range paths {
		for _, sample := range []string{"text", "5", "1.5", "-1", "true", "yes", "{}", "{a: b}", "[]", "[a]", "[{a: b}]", "[[a]]", "null"} {
			var b strings.Builder
			b.WriteString("dev:\n  api:\n")
			if path[0] != "sync" {
				b.WriteString("    sync: [.:/app]\n")
			}
			for i, name := range path {
				b.WriteString(strings.Repeat("  ", i+2) + name + ":")
				if i < len(path)-1 {
					b.WriteString("\n")
				}
			}
			b.WriteString(" " + sample + "\n")
			doc, ok := instance(t, []byte(b.String()))
			if !ok {
				t.Fatal(b.String())
			}
			_, err := Parse([]byte(b.String()), testOptions("okteto.yaml"))
			refused := s.Validate(doc)
			switch {
			case refused != nil && err == nil:
				t.Errorf("only the schema refuses\n%s%v", b.String(), refused)
			case refused == nil && err != nil && structural(err.Error()):
				t.Errorf("the schema takes\n%s%v", b.String(), err)
			}
		}
	}
}

// TestSchemaIsPublished compares docs/okteto.schema.json with the schema; with
// -update it is written.
func TestSchemaIsPublished(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "okteto.schema.json")
	got, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if diff := compared(t, path, got); diff != "" {
		t.Errorf("docs/okteto.schema.json is not current; go test ./plugin/manifest -run TestSchemaIsPublished -update (-want +got):\n%s", diff)
	}
}
