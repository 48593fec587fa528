package arch

import "go/ast"

// Budgets of the product's code. Tests keep the budget for files, twice as
// wide; tables may make their functions long.
const (
	maxFile       = 400
	maxTestFile   = 2 * maxFile
	maxFunction   = 80
	maxParameters = 5
	maxFields     = 12
	maxMethods    = 4
	maxOwnImports = 12
)

func budgetRules() []rule {
	return []rule{
		{"file", "a file is read in one sitting", checkFiles},
		{"function", "a function is read at one glance", checkFunctions},
		{"parameters", "nobody remembers the order of more", checkParameters},
		{"fields", "a type with behaviour and more state than this is two types", checkFields},
		{"interface", "the bigger the interface, the weaker the abstraction", checkInterfaces},
		{"own-imports", "a package that needs more of ours than this knows too much", checkOwnImports},
	}
}

func checkFiles(m *module) []finding {
	var found []finding
	m.files(func(_ *pkg, f *source) {
		limit := maxFile
		if f.test {
			limit = maxTestFile
		}
		if f.lines > limit {
			found = append(found, in(f.path, "%d lines, at most %d", f.lines, limit))
		}
	})
	return found
}

func checkFunctions(m *module) []finding {
	return m.functions(func(fn *ast.FuncDecl) []finding {
		lines := m.fset.Position(fn.End()).Line - m.fset.Position(fn.Pos()).Line + 1
		if lines <= maxFunction {
			return nil
		}
		return []finding{m.at(fn.Pos(), "%s has %d lines, at most %d", fn.Name.Name, lines, maxFunction)}
	})
}

func checkParameters(m *module) []finding {
	return m.functions(func(fn *ast.FuncDecl) []finding {
		if n := fn.Type.Params.NumFields(); n > maxParameters {
			return []finding{m.at(fn.Pos(), "%s has %d parameters, at most %d", fn.Name.Name, n, maxParameters)}
		}
		return nil
	})
}

// functions checks every function of the product.
func (m *module) functions(check func(fn *ast.FuncDecl) []finding) []finding {
	var found []finding
	m.product(func(_ *pkg, f *source) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				found = append(found, check(fn)...)
			}
		}
	})
	return found
}

func checkFields(m *module) []finding {
	return m.types(func(p *pkg, t *ast.TypeSpec) []finding {
		s, ok := t.Type.(*ast.StructType)
		if !ok || len(p.methods()[t.Name.Name]) == 0 || s.Fields.NumFields() <= maxFields {
			return nil
		}
		return []finding{m.at(t.Pos(), "%s has methods and %d fields, at most %d", t.Name.Name, s.Fields.NumFields(), maxFields)}
	})
}

func checkInterfaces(m *module) []finding {
	return m.types(func(_ *pkg, t *ast.TypeSpec) []finding {
		i, ok := t.Type.(*ast.InterfaceType)
		if !ok || i.Methods.NumFields() <= maxMethods {
			return nil
		}
		return []finding{m.at(t.Pos(), "%s has %d methods, at most %d", t.Name.Name, i.Methods.NumFields(), maxMethods)}
	})
}

// types checks every named type of the product.
func (m *module) types(check func(p *pkg, t *ast.TypeSpec) []finding) []finding {
	var found []finding
	m.product(func(p *pkg, f *source) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if t, ok := n.(*ast.TypeSpec); ok {
				found = append(found, check(p, t)...)
			}
			return true
		})
	})
	return found
}

func checkOwnImports(m *module) []finding {
	var found []finding
	for _, p := range m.packages {
		own := map[string]bool{}
		for _, f := range p.files {
			for _, i := range f.imports {
				if _, ok := m.own(i.path); ok && !f.test {
					own[i.path] = true
				}
			}
		}
		if len(own) > maxOwnImports {
			found = append(found, in(p.files[0].path, "package %s imports %d packages of ours, at most %d", p.name, len(own), maxOwnImports))
		}
	}
	return found
}
