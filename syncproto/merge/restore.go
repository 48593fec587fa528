package merge

import (
	"maps"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Restore returns what must be done, in this order, so that a tree has the
// entries of want again; absent ones are deleted. have is the tree now, and
// below names the paths of it that lie under any of some folders. What is in
// the way goes, marked to be kept in the trash; a folder that holds anything
// which is not in want stays.
func Restore(want map[string]tree.Entry, have View, below func(dirs map[string]bool) []string) []syncproto.Change {
	goal := maps.Clone(want)
	for p, e := range want {
		if !e.Exists() {
			continue
		}
		if underFile(p, want) {
			delete(goal, p) // it was made in the batch, and went with it
			continue
		}
		for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
			if !isDir(have(a)) && !isDir(goal[a]) {
				goal[a] = tree.Entry{Type: syncproto.EntryDir, Mode: 0o755}
			}
		}
	}
	cleared := map[string]bool{}
	for p, e := range goal {
		if isDir(have(p)) && !isDir(e) {
			cleared[p] = true
		}
	}
	if len(cleared) > 0 {
		clearFolders(goal, want, cleared, below(cleared))
	}
	s := steps{cleared: map[string]bool{}}
	for _, p := range slices.Sorted(maps.Keys(goal)) {
		s.add(p, &verdict{laptop: have(p), pod: goal[p], want: goal[p]}, Laptop, false)
	}
	var changes []syncproto.Change
	for _, c := range s.list() {
		changes = append(changes, c.Change)
	}
	return changes
}

// underFile reports whether something above p is to be a file or symlink.
func underFile(p string, want map[string]tree.Entry) bool {
	for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
		if e := want[a]; e.Exists() && !isDir(e) {
			return true
		}
	}
	return false
}

// clearFolders deals with what is in folders that are to go: where a file takes
// the place it goes too, and where nothing does the folder stays for it.
func clearFolders(goal, want map[string]tree.Entry, cleared map[string]bool, inside []string) {
	for _, p := range inside {
		replaced := false
		for a := tree.Parent(p); a != "" && !replaced; a = tree.Parent(a) {
			replaced = cleared[a] && goal[a].Exists()
		}
		if replaced {
			goal[p] = tree.Entry{}
			continue
		}
		if e, asked := want[p]; asked && !e.Exists() {
			continue
		}
		for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
			if cleared[a] {
				delete(goal, a)
			}
		}
	}
}
