package arch

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

func documentRules() []rule {
	return []rule{
		{"package-comment", "the first thing a reader looks for is what the package is", checkPackageComments},
		{"doc-comment", "an exported name is a promise, and the comment is its text", checkDocComments},
		{"links", "", checkLinks},
		{"wire", "the specification is what another implementation is written from", checkWire},
	}
}

func checkPackageComments(m *module) []finding {
	var found []finding
	for _, p := range m.packages {
		if !slices.ContainsFunc(p.files, func(f *source) bool { return f.ast.Doc != nil }) {
			found = append(found, m.at(p.files[0].ast.Name.Pos(), "package %s has no comment", p.dir))
		}
	}
	return found
}

// checkDocComments asks nothing of methods whose contract is that of error or
// fmt.Stringer.
func checkDocComments(m *module) []finding {
	var found []finding
	m.product(func(p *pkg, f *source) {
		if p.name == "main" {
			return
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				known := d.Recv != nil && slices.Contains([]string{"Error", "Unwrap", "String"}, d.Name.Name)
				public := d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d)))
				if d.Doc == nil && public && !known {
					found = append(found, m.at(d.Pos(), "%s has no comment", d.Name.Name))
				}
			case *ast.GenDecl:
				for _, name := range undocumented(d) {
					found = append(found, m.at(name.Pos(), "%s has no comment", name.Name))
				}
			}
		}
	})
	return found
}

// undocumented returns the exported names of a declaration that have no
// comment of their own and, in a group, none on the group.
func undocumented(d *ast.GenDecl) []*ast.Ident {
	if d.Doc != nil {
		return nil
	}
	var names []*ast.Ident
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			if s.Doc != nil || s.Comment != nil {
				continue
			}
			for _, name := range s.Names {
				if name.IsExported() {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// checkLinks follows the relative links of every Markdown file, and the
// mentions of functions in the form path/file.go:Func or path/file.go:Type.Method.
func checkLinks(m *module) []finding {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mention := regexp.MustCompile(`([\w./-]+\.go):([A-Za-z_][\w.]*\w)`)
	var found []finding
	for _, doc := range m.documents {
		text, err := fs.ReadFile(m.fsys, doc)
		if err != nil {
			found = append(found, in(doc, "%v", err))
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			report := func(format string, args ...any) {
				found = append(found, finding{path: doc, line: i + 1, text: fmt.Sprintf(format, args...)})
			}
			for _, l := range link.FindAllStringSubmatch(line, -1) {
				target, fragment, _ := strings.Cut(l[1], "#")
				switch {
				case strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:"):
				case regexp.MustCompile(`^L\d`).MatchString(fragment):
					report("the link %s names a line, and lines move: name the function", l[1])
				case target != "" && !m.exists(path.Join(path.Dir(doc), target)):
					report("the link %s leads nowhere", l[1])
				}
			}
			for _, f := range mention.FindAllStringSubmatch(line, -1) {
				if !m.declares(f[1], f[2]) {
					report("%s declares no %s", f[1], f[2])
				}
			}
		}
	}
	return found
}

// declares says whether a Go file has a function, a method (Type.Method or
// Method), a type, a constant or a variable of that name.
func (m *module) declares(file, name string) bool {
	p := m.pkgAt(path.Dir(file))
	if p == nil {
		return false
	}
	var names []string
	for _, f := range p.files {
		if f.path != file {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names = append(names, d.Name.Name)
				if d.Recv != nil {
					names = append(names, receiver(d)+"."+d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						names = append(names, s.Name.Name)
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names = append(names, n.Name)
						}
					}
				}
			}
		}
	}
	return slices.Contains(names, name)
}

// checkWire looks for every exported constant of syncproto in its SPEC.md: the
// name and the value on one line.
func checkWire(m *module) []finding {
	const spec = "syncproto/SPEC.md"
	p := m.pkgAt("syncproto")
	if p == nil {
		return []finding{in("syncproto", "the package is missing")}
	}
	text, err := fs.ReadFile(m.fsys, spec)
	if err != nil {
		return []finding{in(spec, "%v", err)}
	}
	lines := strings.Split(string(text), "\n")
	var found []finding
	for _, c := range m.constants(p) {
		word := regexp.MustCompile(`\b` + c.Name() + `\b`)
		named := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !word.MatchString(l) })
		valued := slices.ContainsFunc(named, func(l string) bool {
			rest := word.ReplaceAllString(l, "")
			return slices.ContainsFunc(spellings(c.Val()), func(s string) bool {
				return regexp.MustCompile(`(^|[^\w])` + regexp.QuoteMeta(s) + `($|[^\w])`).MatchString(rest)
			})
		})
		switch {
		case len(named) == 0:
			found = append(found, m.at(c.Pos(), "%s is not in %s", c.Name(), spec))
		case !valued:
			found = append(found, m.at(c.Pos(), "%s is in %s without its value %s on the same line", c.Name(), spec, c.Val()))
		}
	}
	return found
}

// constants evaluates the exported constants of a package. Imports are not
// followed: what depends on one has no value and is left out.
func (m *module) constants(p *pkg) []*types.Const {
	var files []*ast.File
	for _, f := range p.files {
		if !f.test {
			files = append(files, f.ast)
		}
	}
	// Without an importer there are errors, and a package all the same.
	config := types.Config{Error: func(error) {}, IgnoreFuncBodies: true}
	checked, _ := config.Check(p.dir, m.fset, files, nil)
	var constants []*types.Const
	for _, name := range checked.Scope().Names() {
		c, ok := checked.Scope().Lookup(name).(*types.Const)
		if ok && c.Exported() && c.Val().Kind() != constant.Unknown {
			constants = append(constants, c)
		}
	}
	slices.SortFunc(constants, func(a, b *types.Const) int { return int(a.Pos() - b.Pos()) })
	return constants
}

// spellings are the ways in which a document may write a value.
func spellings(v constant.Value) []string {
	if v.Kind() == constant.String {
		return []string{constant.StringVal(v)}
	}
	all := []string{v.ExactString()}
	if v.Kind() != constant.Int {
		return all
	}
	n, exact := constant.Uint64Val(v)
	if !exact {
		return all
	}
	all = append(all, fmt.Sprintf("0x%x", n), fmt.Sprintf("0x%02x", n), fmt.Sprintf("0x%02X", n), fmt.Sprintf("0x%04x", n))
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if size := uint64(1) << (10 * (i + 1)); n > 0 && n%size == 0 {
			all = append(all, fmt.Sprintf("%d %s", n/size, unit))
		}
	}
	return all
}
