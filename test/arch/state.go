package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

func stateRules() []rule {
	return []rule{
		{"init", "what runs before main cannot be chosen, ordered or tested", checkInit},
		{"global", "a variable of a package is shared by everyone who never asked for it", checkGlobals},
		{"setenv", "the environment is not a bus: pass a value", checkSetenv},
		{"exit", "only main ends the process: return an error", checkExit},
		{"background", "a context comes from the caller, so that the caller can end it", checkBackground},
		{"sleep", "a sleep is too long or too short and hears no one: wait for the event, or use testing/synctest", checkSleep},
		{"rooted", "what the other side names is written under os.Root, or it could escape", checkRooted},
	}
}

func checkInit(m *module) []finding {
	var found []finding
	m.files(func(_ *pkg, f *source) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, m.at(fn.Pos(), "func init"))
			}
		}
	})
	return found
}

// checkGlobals allows what cannot change or is not read: the blank name,
// sentinel errors and embedded files. Tests may have flags and tables.
func checkGlobals(m *module) []finding {
	var found []finding
	m.product(func(_ *pkg, f *source) {
		for _, d := range f.ast.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR || embedded(group.Doc) {
				continue
			}
			for _, spec := range group.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok || embedded(v.Doc) || f.sentinel(v) {
					continue
				}
				for _, name := range v.Names {
					if name.Name != "_" {
						found = append(found, m.at(name.Pos(), "var %s", name.Name))
					}
				}
			}
		}
	})
	return found
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// sentinel says whether a variable is an error that is made once and compared
// with.
func (f *source) sentinel(v *ast.ValueSpec) bool {
	made := 0
	for _, value := range v.Values {
		call, ok := value.(*ast.CallExpr)
		if !ok {
			return false
		}
		f.uses(call.Fun, func(importPath, name string, _ token.Pos) {
			if importPath == "errors" && name == "New" || importPath == "fmt" && name == "Errorf" {
				made++
			}
		})
	}
	return made > 0 && made == len(v.Names) && strings.HasPrefix(strings.ToLower(v.Names[0].Name), "err")
}

func checkSetenv(m *module) []finding {
	return m.mentions(m.files, func(_ *source, importPath, name string) bool {
		return importPath == "os" && slices.Contains([]string{"Setenv", "Unsetenv", "Clearenv", "Chdir"}, name)
	})
}

// checkExit leaves out main functions, and tests, whose TestMain may have to.
func checkExit(m *module) []finding {
	return m.mentions(m.product, func(f *source, importPath, name string) bool {
		if f.ast.Name.Name == "main" && strings.HasSuffix(f.path, "main.go") {
			return false
		}
		return importPath == "os" && name == "Exit" ||
			importPath == "log" && (strings.HasPrefix(name, "Fatal") || strings.HasPrefix(name, "Panic"))
	})
}

func checkBackground(m *module) []finding {
	return m.mentions(m.product, func(f *source, importPath, name string) bool {
		return f.ast.Name.Name != "main" && importPath == "context" && (name == "Background" || name == "TO"+"DO")
	})
}

// checkSleep leaves out the tests that wait for processes that are not ours and
// tell no events, and the bubbles of testing/synctest, where time is not real.
func checkSleep(m *module) []finding {
	var found []finding
	m.files(func(p *pkg, f *source) {
		if matchesAny([]string{"test/e2e/...", "test/interop/...", "test/faults/...", "test/bench/...", "test/lab/...", "test/demo/..."}, p.dir) {
			return
		}
		bubbles := f.bubbles()
		f.uses(f.ast, func(importPath, name string, at token.Pos) {
			inside := slices.ContainsFunc(bubbles, func(b ast.Node) bool { return b.Pos() <= at && at < b.End() })
			if importPath == "time" && name == "Sleep" && !inside {
				found = append(found, m.at(at, "time.Sleep"))
			}
		})
	})
	return found
}

// bubbles returns the calls of synctest.Test.
func (f *source) bubbles() []ast.Node {
	var calls []ast.Node
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			f.uses(call.Fun, func(importPath, name string, _ token.Pos) {
				if importPath == "testing/synctest" && name == "Test" {
					calls = append(calls, call)
				}
			})
		}
		return true
	})
	return calls
}

// checkRooted leaves out os.MkdirAll, which makes the root itself.
func checkRooted(m *module) []finding {
	writers := []string{"Create", "CreateTemp", "WriteFile", "OpenFile", "Rename", "Remove", "RemoveAll", "Mkdir",
		"MkdirTemp", "Symlink", "Link", "Chmod", "Chown", "Lchown", "Chtimes", "Truncate"}
	var found []finding
	m.product(func(p *pkg, f *source) {
		if !matchesAny([]string{"agent/receiver", "syncproto/stage"}, p.dir) {
			return
		}
		f.uses(f.ast, func(importPath, name string, at token.Pos) {
			if importPath == "os" && slices.Contains(writers, name) {
				found = append(found, m.at(at, "os.%s", name))
			}
		})
	})
	return found
}

// mentions finds the members of imported packages that the predicate accepts.
func (m *module) mentions(visit func(func(*pkg, *source)), wrong func(f *source, importPath, name string) bool) []finding {
	var found []finding
	visit(func(_ *pkg, f *source) {
		f.uses(f.ast, func(importPath, name string, at token.Pos) {
			if wrong(f, importPath, name) {
				found = append(found, m.at(at, "%s.%s", importPath, name))
			}
		})
	})
	return found
}
