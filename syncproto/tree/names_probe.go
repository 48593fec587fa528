package tree

import (
	"crypto/rand"
	"os"
	"runtime"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// ProbeNames finds out the file system's rules for names, by way of temporary
// files, and keeps to them from then on: it must be called before the root is
// used by others. Where no file can be made, the usual rules of the operating
// system are taken.
func (r *Root) ProbeNames() Names {
	windows := runtime.GOOS == "windows"
	usual := windows || runtime.GOOS == "darwin"
	r.names = Names{FoldCase: usual, FoldForm: runtime.GOOS == "darwin", UTF8: usual, Reserved: windows}
	random := rand.Text()
	name := syncproto.TempPrefix + random
	const composed, decomposed = "\u00e9", "e\u0301"
	if !r.canMake(name + composed) {
		return r.names
	}
	defer func() { _ = r.Remove(name + composed) }()
	is := func(other string) bool {
		_, err := r.Lstat(other)
		return err == nil
	}
	r.names.FoldCase = is(syncproto.TempPrefix + strings.ToLower(random) + composed)
	r.names.FoldForm = is(name + decomposed)
	if !windows { // there, a colon leads to a stream of the file
		r.names.UTF8 = !r.canMakeAndRemove(name + "\xff")
		r.names.Reserved = !r.canMakeAndRemove(name + ":")
	}
	return r.names
}

func (r *Root) canMake(name string) bool {
	f, err := r.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

func (r *Root) canMakeAndRemove(name string) bool { return r.canMake(name) && r.Remove(name) == nil }

// Names returns the rules that ProbeNames found.
func (r *Root) Names() Names { return r.names }

// Aliased reports whether what is found in dir by name has another name, which
// is one with it here: the two differ in case, say.
func (r *Root) Aliased(dir *os.Root, name string) bool {
	if !r.names.Folds() {
		return false
	}
	if _, err := dir.Lstat(name); err != nil {
		return false
	}
	f, err := dir.Open(".")
	if err != nil {
		return false
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return false
	}
	for _, d := range list {
		if d.Name() == name {
			return false
		}
	}
	return true
}

// aliased is Aliased for a whole path.
func (r *Root) aliased(p string) bool {
	if !r.names.Folds() {
		return false
	}
	for end := range len(p) + 1 {
		if end < len(p) && p[end] != '/' {
			continue
		}
		dir, name := Parent(p[:end]), p[:end]
		if dir != "" {
			name = name[len(dir)+1:]
		} else {
			dir = "."
		}
		folder, err := r.OpenRoot(dir)
		if err != nil {
			return false
		}
		aliased := r.Aliased(folder, name)
		_ = folder.Close()
		if aliased {
			return true
		}
	}
	return false
}
