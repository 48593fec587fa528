package arch

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is a parsed Go module without its nested modules, and with the files
// of all operating systems and build tags.
type module struct {
	fsys fs.FS
	fset *token.FileSet
	// path is the module path of go.mod.
	path string
	// packages are sorted by folder.
	packages []*pkg
	// documents are the paths of the Markdown files, sorted.
	documents []string
}

// pkg is one folder of Go files. An external test package (package x_test)
// counts as a part of the package that it tests.
type pkg struct {
	// dir is relative to the module's root, "." for the root itself.
	dir   string
	name  string
	files []*source
}

// source is one Go file.
type source struct {
	// path is relative to the module's root.
	path    string
	test    bool
	lines   int
	ast     *ast.File
	imports []imported
}

// imported is one import of a file.
type imported struct {
	path string
	// alias is the name that the import gives, empty without one.
	alias string
	pos   token.Pos
}

// load parses the module at the root of fsys. It leaves out what the go
// command leaves out: testdata, hidden folders and nested modules.
func load(fsys fs.FS) (*module, error) {
	gomod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("reading go.mod: %w", err)
	}
	m := &module{fsys: fsys, fset: token.NewFileSet()}
	first, _, _ := strings.Cut(string(gomod), "\n")
	m.path = strings.TrimSpace(strings.TrimPrefix(first, "module "))
	byDir := map[string]*pkg{}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // Deleted while we walk.
		case err != nil:
			return err
		case d.IsDir():
			return m.enter(name)
		case path.Ext(name) == ".md":
			m.documents = append(m.documents, name)
		case path.Ext(name) == ".go":
			return m.parse(byDir, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading the module: %w", err)
	}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		m.packages = append(m.packages, byDir[dir])
	}
	return m, nil
}

// enter says whether to walk into a folder.
func (m *module) enter(dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if m.exists(path.Join(dir, "go.mod")) {
		return fs.SkipDir
	}
	return nil
}

func (m *module) parse(byDir map[string]*pkg, name string) error {
	text, err := fs.ReadFile(m.fsys, name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	f, err := parser.ParseFile(m.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parsing %s: %w", name, err)
	}
	src := &source{
		path:  name,
		test:  strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(text, []byte("\n")),
		ast:   f,
	}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("parsing %s: import %s: %w", name, spec.Path.Value, err)
		}
		i := imported{path: p, pos: spec.Pos()}
		if spec.Name != nil {
			i.alias = spec.Name.Name
		}
		src.imports = append(src.imports, i)
	}
	dir := path.Dir(name)
	p := byDir[dir]
	if p == nil {
		p = &pkg{dir: dir, name: strings.TrimSuffix(f.Name.Name, "_test")}
		byDir[dir] = p
	}
	p.files = append(p.files, src)
	return nil
}

func (m *module) exists(name string) bool {
	_, err := fs.Stat(m.fsys, name)
	return err == nil
}

// pkgAt returns the package in a folder, nil without one.
func (m *module) pkgAt(dir string) *pkg {
	for _, p := range m.packages {
		if p.dir == dir {
			return p
		}
	}
	return nil
}

// files visits every Go file, tests included, with its package.
func (m *module) files(visit func(p *pkg, f *source)) {
	for _, p := range m.packages {
		for _, f := range p.files {
			visit(p, f)
		}
	}
}

// product visits every Go file of the product: no tests.
func (m *module) product(visit func(p *pkg, f *source)) {
	m.files(func(p *pkg, f *source) {
		if !f.test {
			visit(p, f)
		}
	})
}

// own returns the folder of an import of this module; ok is false for any
// other import.
func (m *module) own(importPath string) (dir string, ok bool) {
	if importPath == m.path {
		return ".", true
	}
	return strings.CutPrefix(importPath, m.path+"/")
}

// standard says whether an import is of the standard library: those have no
// dot in their first element.
func (m *module) standard(importPath string) bool {
	if _, own := m.own(importPath); own {
		return false
	}
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// matches says whether a slash-separated path is what the pattern names:
// "a/..." is a and all below it, "..." is everything, else it is one path.
func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == prefix || strings.HasPrefix(name, prefix+"/")
	}
	return name == pattern
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// uses visits each mention of a member of an imported package, such as
// os.Exit, as (os, Exit).
func (f *source) uses(root ast.Node, visit func(importPath, name string, at token.Pos)) {
	names := map[string]string{}
	for _, i := range f.imports {
		name := i.alias
		if name == "" {
			name = path.Base(i.path)
		}
		names[name] = i.path
	}
	ast.Inspect(root, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && names[x.Name] != "" {
				visit(names[x.Name], sel.Sel.Name, sel.Pos())
			}
		}
		return true
	})
}
