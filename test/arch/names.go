package arch

import (
	"path"
	"regexp"
)

func nameRules() []rule {
	return []rule{
		{"alias", "an alias for a package of ours says that one of the two names is wrong", checkAlias},
		{"package-name", "a package is named for what it provides", checkPackageName},
	}
}

func checkAlias(m *module) []finding {
	var found []finding
	m.files(func(_ *pkg, f *source) {
		for _, i := range f.imports {
			if dir, ok := m.own(i.path); ok && i.alias != "" {
				found = append(found, m.at(i.pos, "%s is imported as %s", dir, i.alias))
			}
		}
	})
	return found
}

func checkPackageName(m *module) []finding {
	drawer := regexp.MustCompile(`^(base|types|model|models|misc|shared|common)$|(util|utils|helper|helpers)$`)
	standard := map[string]string{}
	m.files(func(_ *pkg, f *source) {
		for _, i := range f.imports {
			if m.standard(i.path) {
				standard[path.Base(i.path)] = i.path
			}
		}
	})
	var found []finding
	for _, p := range m.packages {
		first := p.files[0]
		switch {
		case drawer.MatchString(p.name):
			found = append(found, m.at(first.ast.Name.Pos(), "%s is the name of a drawer", p.name))
		case standard[p.name] != "":
			found = append(found, m.at(first.ast.Name.Pos(), "%s is also the name of %s, which we import", p.name, standard[p.name]))
		case p.name != path.Base(p.dir) && p.name != "main" && p.dir != ".":
			found = append(found, m.at(first.ast.Name.Pos(), "package %s is in a folder called %s", p.name, path.Base(p.dir)))
		}
	}
	return found
}
