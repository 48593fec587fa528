package merge

import (
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// sides returns what the source of a mirror has, and what the mirror has.
func (v *verdict) sides(mirror Side) (source, have tree.Entry) {
	if mirror == Pod {
		return v.laptop, v.pod
	}
	return v.pod, v.laptop
}

// mirror decides a path where one side becomes what the other one is. What only
// the mirror has, and may keep, is its own.
func (v *verdict) mirror(mirror Side, mayKeep bool) {
	source, have := v.sides(mirror)
	v.want = source
	v.own = mayKeep && !source.Exists() && have.Exists() && !v.base.Exists()
}

// settleOwn makes what a mirror has for itself and what it mirrors fit
// together: a folder with something of its own in it stays, as its own too; a
// file of the source in the place of such a folder wins.
func (m *merger) settleOwn(mirror Side) {
	m.judgeOwnBelow(mirror)
	for p, v := range m.verdicts {
		if v.own && !m.reaches(p, mirror) {
			v.own = false
		}
	}
	var stay []string
	for p, v := range m.verdicts {
		if v.own {
			stay = append(stay, p)
		}
	}
	for _, p := range stay {
		for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
			v := m.verdicts[a]
			if v == nil {
				v = m.look(a)
			}
			source, have := v.sides(mirror)
			if source.Exists() || !have.Exists() {
				break
			}
			v.want, v.own = source, true
			m.verdicts[a] = v
		}
	}
}

// judgeOwnBelow judges what the mirror has for itself in folders that are to
// go, which nobody else asked about.
func (m *merger) judgeOwnBelow(mirror Side) {
	going := map[string]bool{}
	for p, v := range m.verdicts {
		if _, have := v.sides(mirror); isDir(have) && !isDir(v.want) {
			going[p] = true
		}
	}
	if len(going) == 0 {
		return
	}
	for p := range m.in.Own {
		for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
			if going[a] {
				m.judge(p)
				break
			}
		}
	}
}

// reaches reports whether p can exist beside what the source has: nothing above
// it is a file there.
func (m *merger) reaches(p string, mirror Side) bool {
	for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
		v := m.verdicts[a]
		if v == nil {
			v = m.look(a)
		}
		if source, _ := v.sides(mirror); source.Exists() && !isDir(source) {
			return false
		}
	}
	return true
}

// keepOwn notes that the mirror has p for itself.
func (p *Plan) keepOwn(path string, v *verdict, known bool) {
	if v.base.Exists() {
		p.Agreed = append(p.Agreed, syncproto.Item{Path: path})
	}
	if !known {
		p.Own = append(p.Own, path)
	}
}
