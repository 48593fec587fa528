// Package arch holds the repository to its architecture: import directions,
// names, hidden state, budgets and documents. The rules are plain functions
// over the parsed source, so that they need neither a build nor a network; the
// tests run them over this repository, and each of them over a planted
// violation in testdata, because a rule that cannot fail is worth nothing.
//
// A rule is waived for one file by one line in waivers.txt, with its reason.
// A waiver that waives nothing is itself a failure.
package arch

import (
	"fmt"
	"go/token"
)

// rule is one thing that the repository promises.
type rule struct {
	// name is what a waiver and a file in testdata call it.
	name string
	// why is the reason, which every failure repeats.
	why string
	// check returns the places where the module breaks the rule.
	check func(m *module) []finding
}

// finding is one place where a rule is broken.
type finding struct {
	rule string
	path string
	line int
	text string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.path, f.line, f.rule, f.text)
}

// rules returns every rule, in the order in which they are reported.
func rules() []rule {
	var all []rule
	all = append(all, importRules()...)
	all = append(all, nameRules()...)
	all = append(all, stateRules()...)
	all = append(all, shapeRules()...)
	all = append(all, budgetRules()...)
	all = append(all, documentRules()...)
	return all
}

// run applies one rule and completes its findings with name and reason.
func (r rule) run(m *module) []finding {
	found := r.check(m)
	for i := range found {
		found[i].rule = r.name
		if r.why != "" {
			found[i].text += ": " + r.why
		}
	}
	return found
}

// at makes a finding at a position of a parsed file.
func (m *module) at(pos token.Pos, format string, args ...any) finding {
	p := m.fset.Position(pos)
	return finding{path: p.Filename, line: p.Line, text: fmt.Sprintf(format, args...)}
}

// in makes a finding that concerns a file as a whole.
func in(path, format string, args ...any) finding {
	return finding{path: path, line: 1, text: fmt.Sprintf(format, args...)}
}
