package arch

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// maxMain is the number of lines of a main.go of a command.
const maxMain = 40

func shapeRules() []rule {
	return []rule{
		{"main", "main is an adapter: signals, one call, one exit", checkMain},
		{"command", "every command fills its options, checks them, runs them", checkCommand},
		{"pure", "what only computes can be tested with tables and trusted", checkPure},
	}
}

func checkMain(m *module) []finding {
	var found []finding
	m.product(func(p *pkg, f *source) {
		if matches("cmd/...", p.dir) && f.lines > maxMain {
			found = append(found, in(f.path, "%d lines, at most %d", f.lines, maxMain))
		}
	})
	return found
}

// checkCommand looks at the files of plugin that have a constructor newXCmd;
// the root runs nothing itself.
func checkCommand(m *module) []finding {
	plugin := m.pkgAt("plugin")
	if plugin == nil {
		return []finding{in("plugin", "the package is missing")}
	}
	methods := plugin.methods()
	constructor := regexp.MustCompile(`^new([A-Z]\w*)Cmd$`)
	var found []finding
	for _, f := range plugin.files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			match := constructor.FindStringSubmatch(fn.Name.Name)
			if match == nil || match[1] == "Root" {
				continue
			}
			options := strings.ToLower(match[1][:1]) + match[1][1:] + "Options"
			for _, name := range []string{"Complete", "Validate", "Run"} {
				if !slices.Contains(methods[options], name) {
					found = append(found, m.at(fn.Pos(), "%s has no method %s on %s", fn.Name.Name, name, options))
				}
			}
		}
	}
	return found
}

// methods returns the names of the methods by the name of their type.
func (p *pkg) methods() map[string][]string {
	names := map[string][]string{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				recv := receiver(fn)
				names[recv] = append(names[recv], fn.Name.Name)
			}
		}
	}
	return names
}

// receiver returns the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// core is a row of the pure core: the files of a folder that only compute.
type core struct {
	dir string
	// only are the names of the pure files; nil means all of the folder.
	only []string
	// except are the names of the files that are its edge.
	except []string
}

func pureCore() []core {
	return []core{
		{dir: "plugin/manifest", except: []string{"load.go"}},
		{dir: "plugin/workload", only: []string{"inject.go", "service.go", "restore.go", "container.go", "workspace.go", "external.go", "autodown.go", "near.go"}},
		{dir: "restore"},
		{dir: "syncproto/merge"},
		{dir: "syncproto/ignore"},
	}
}

// checkPure also fails when a file or package that the table names is gone,
// since the rule would else be kept by nobody.
func checkPure(m *module) []finding {
	impure := regexp.MustCompile(`^(os|os/.*|net|net/http|syscall|k8s\.io/client-go(/.*)?|golang\.org/x/sys/.*)$`)
	var found []finding
	for _, c := range pureCore() {
		p := m.pkgAt(c.dir)
		if p == nil {
			found = append(found, in(c.dir, "the package is missing, yet pureCore() names it"))
			continue
		}
		for _, name := range slices.Concat(c.only, c.except) {
			if !m.exists(path.Join(c.dir, name)) {
				found = append(found, in(path.Join(c.dir, name), "the file is missing, yet pureCore() names it"))
			}
		}
		for _, f := range p.files {
			name := path.Base(f.path)
			if f.test || slices.Contains(c.except, name) || c.only != nil && !slices.Contains(c.only, name) {
				continue
			}
			for _, i := range f.imports {
				if impure.MatchString(i.path) {
					found = append(found, m.at(i.pos, "a pure file imports %s", i.path))
				}
			}
			f.uses(f.ast, func(importPath, name string, at token.Pos) {
				if importPath == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "NewTimer"}, name) {
					found = append(found, m.at(at, "a pure file calls time.%s", name))
				}
			})
		}
	}
	return found
}
