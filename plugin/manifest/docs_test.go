package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs checks that docs/manifest.md has a row for every field.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "manifest.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := &parser{m: &Manifest{}}
	fields := append(p.rootFields(), (&devReader{p: p}).fields()...)
	for _, f := range fields {
		if !strings.Contains(string(text), "\n| `"+f.name+"` |") {
			t.Errorf("docs/manifest.md has no row for %s", f.name)
		}
	}
}
