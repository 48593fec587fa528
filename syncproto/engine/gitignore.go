package engine

import (
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/ignore"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// gitFolder is a root to look for .gitignore files in. It notes which it read,
// so that their changes are noticed.
type gitFolder struct {
	root   *tree.Root
	opened map[string]bool
}

// ReadDir lists a folder.
func (g gitFolder) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := g.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// OpenFile opens a regular file.
func (g gitFolder) OpenFile(name string) (io.ReadCloser, error) {
	g.opened[name] = true
	return tree.OpenFile(g.root, name)
}

// addGit adds what the .gitignore files of the root say.
func (r *rules) addGit(root *tree.Root) (err error) {
	files := gitFolder{root, r.sources}
	r.git = true
	r.matcher, r.problems, err = r.matcher.WithGit(files, func(dir string) bool { return tree.IsTemp(dir) || r.excluded(dir) })
	return err
}

// gitFile reports whether p is a .gitignore file that may have a say.
func (r *rules) gitFile(p string) bool { return r.git && path.Base(p) == ignore.GitFileName }

// complain warns of what is wrong with the ignore files: once, since they are
// read again more often than they change, but again if it comes back.
func (r *replica) complain(problems ...error) {
	text := ""
	if err := errors.Join(problems...); err != nil {
		text = err.Error()
	}
	if r.notes.complain(text) {
		r.cfg.emit(Event{Kind: Warning, Detail: text})
	}
}

// bringsGitFile reports whether p is a folder that is new here and that holds
// .gitignore files: they have to be read before anything else in it is.
func (r *replica) bringsGitFile(p string) bool {
	ru := r.rules.Load()
	if !ru.git || r.entry(p).Type == syncproto.EntryDir {
		return false
	}
	files := gitFolder{root: r.now.Load().root}
	dirs := []string{p}
	for len(dirs) > 0 {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		if ru.judge(dir, true) == tree.Prune {
			continue
		}
		// An error means that it is no folder, or one of which the scan will
		// say what is wrong.
		list, _ := files.ReadDir(dir)
		for _, e := range list {
			if e.Name() == ignore.GitFileName {
				return true
			}
			if e.IsDir() {
				dirs = append(dirs, path.Join(dir, e.Name()))
			}
		}
	}
	return false
}
