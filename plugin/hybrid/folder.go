package hybrid

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
)

// MountsVariable names the folder to the local process.
const MountsVariable = "OKTETO_MOUNTS"

// Bounds of all mounts together: their bytes, and their files with the folders that
// they are in.
const (
	MaxFolder = 16 << 20
	MaxFiles  = 16 << 10
)

// dataLink is the link whose replacement is that of a whole volume at once.
const dataLink = "..data"

// Folder has on this machine what Kubernetes mounts into the dev container, each
// mount at its path there. Who reads it while a mount is replaced sees all that was
// or all that is, as in the pod: what Kubernetes does there with a link is done
// here too. Nothing of what the pod tells is written outside.
type Folder struct {
	path string
	root *os.Root
	// links is false where links are not for every user: files are replaced one
	// by one there.
	links bool
	// paths are the mounts of the pod, told is what is here of them.
	paths []string
	told  map[string]told
}

// told is a mount that is here.
type told struct {
	digest      [sha256.Size]byte
	size, count int
}

// OpenFolder makes the folder in another one, which is the user's alone and belongs
// to one environment: what is in there was left behind by a process that was killed.
func OpenFolder(in string) (*Folder, error) {
	if err := os.RemoveAll(in); err != nil {
		return nil, fmt.Errorf("removing mounts that were left behind: %w", err)
	}
	if err := os.MkdirAll(in, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the mounts: %w", err)
	}
	f := &Folder{links: runtime.GOOS != "windows", told: map[string]told{}}
	err := outsideGit(in)
	if err == nil {
		f.path, err = os.MkdirTemp(in, "")
	}
	if err == nil {
		f.root, err = os.OpenRoot(f.path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the folder of the mounts: %w", err), os.RemoveAll(in))
	}
	return f, nil
}

// outsideGit refuses a folder whose files might be committed.
func outsideGit(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return fmt.Errorf("%s is in the git tree %s, where Secrets must not be: set OKTETO_FOLDER to another folder", dir, at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// Path is where the folder is.
func (f *Folder) Path() string { return f.path }

// Close removes the folder.
func (f *Folder) Close() error {
	err := errors.Join(f.root.Close(), os.RemoveAll(f.path))
	_ = os.Remove(filepath.Dir(f.path)) // unless another session has its own there by now
	return err
}

// Keep says which mounts the pod has by now, and removes the others.
func (f *Folder) Keep(paths []string) error {
	var gone error
	for _, p := range f.paths {
		if !slices.Contains(paths, p) {
			gone = errors.Join(gone, f.root.RemoveAll(place(p)))
			clear(f.told) // what was below it, or hidden by it, is not here
		}
	}
	f.paths = paths
	return gone
}

// Set brings the folder up to what was told of a mount. When that fails, what was
// there stays.
func (f *Folder) Set(m mounts.Mount) error {
	if err := f.check(m); err != nil {
		return err
	}
	digest := sha256.New()
	if err := json.NewEncoder(digest).Encode(m); err != nil {
		return fmt.Errorf("reading what was told of %s: %w", m.Path, err)
	}
	now := told{[sha256.Size]byte(digest.Sum(nil)), m.Size(), m.Count()}
	if f.told[m.Path] == now {
		return nil
	}
	size, count := now.size-f.told[m.Path].size, now.count-f.told[m.Path].count
	for _, t := range f.told {
		size, count = size+t.size, count+t.count
	}
	if size > MaxFolder || count > MaxFiles {
		return fmt.Errorf("%s is left out: the mounts have more than %d MiB or %d files", m.Path, MaxFolder>>20, MaxFiles)
	}
	set := f.setVolume
	switch {
	case m.Single:
		set = f.setFile
	case !f.links:
		set = f.setEach
	}
	if err := set(place(m.Path), m.Files); err != nil {
		return fmt.Errorf("writing what is mounted at %s: %w", m.Path, err)
	}
	f.told[m.Path] = now
	return nil
}

// check refuses what was not asked for, and what cannot be.
func (f *Folder) check(m mounts.Mount) error {
	switch {
	case !slices.Contains(f.paths, m.Path):
		return fmt.Errorf("the agent tells of %q, which is no mount", m.Path)
	case !filepath.IsLocal(filepath.FromSlash(place(m.Path))) || place(m.Path) == ".":
		return fmt.Errorf("%q is no place of a mount", m.Path)
	case m.Problem != "":
		return fmt.Errorf("%s is not here: %s", m.Path, m.Problem)
	}
	return m.Verify()
}

// place returns where a mount of the pod is in the folder.
func place(mount string) string {
	return path.Clean(strings.TrimPrefix(path.Clean("/"+mount), "/"))
}

// setFile replaces a mount that is one file. There is none when the container's
// user may not read it.
func (f *Folder) setFile(at string, files []mounts.File) error {
	if len(files) == 0 {
		return f.root.RemoveAll(at)
	}
	return f.put(at, files[0])
}

// put replaces a file, or a folder by one.
func (f *Folder) put(at string, file mounts.File) error {
	if info, err := f.root.Lstat(at); err == nil && info.IsDir() {
		if err := f.root.RemoveAll(at); err != nil {
			return err
		}
	}
	if err := f.root.MkdirAll(path.Dir(at), 0o700); err != nil {
		return err
	}
	next := path.Join(path.Dir(at), ".."+rand.Text())
	err := f.write(next, file)
	if err == nil {
		err = f.root.Rename(next, at)
	}
	if err != nil {
		return errors.Join(err, f.root.RemoveAll(next))
	}
	return nil
}

// write writes a new file, for this user alone: what its owner in the pod may do.
func (f *Folder) write(at string, file mounts.File) error {
	w, err := f.root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(file.Content)
	if f.links { // elsewhere a file that is read only could not be replaced
		err = errors.Join(err, w.Chmod(file.Mode&0o700|0o400))
	}
	return errors.Join(err, w.Close())
}

// setVolume replaces a volume at once: all files are written into a folder of their
// own, then one link leads there instead of to the old one.
func (f *Folder) setVolume(at string, files []mounts.File) error {
	if info, err := f.root.Lstat(at); err == nil && !info.IsDir() {
		if err := f.root.Remove(at); err != nil {
			return err
		}
	}
	if err := f.root.MkdirAll(at, 0o700); err != nil {
		return err
	}
	next := ".." + rand.Text()
	err := f.fill(path.Join(at, next), files)
	if err == nil {
		err = f.lead(path.Join(at, dataLink), next)
	}
	if err != nil {
		return errors.Join(err, f.root.RemoveAll(path.Join(at, next)))
	}
	return f.show(at, next, files)
}

func (f *Folder) fill(dir string, files []mounts.File) error {
	if err := f.root.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, file := range files {
		at := path.Join(dir, file.Name)
		if err := f.root.MkdirAll(path.Dir(at), 0o700); err != nil {
			return err
		}
		if err := f.write(at, file); err != nil {
			return err
		}
	}
	return nil
}

// lead makes a link lead elsewhere, at once.
func (f *Folder) lead(link, to string) error {
	next := path.Join(path.Dir(link), ".."+rand.Text())
	if err := f.root.Symlink(to, next); err != nil {
		return err
	}
	if err := f.root.Rename(next, link); err != nil {
		return errors.Join(err, f.root.Remove(next))
	}
	return nil
}

// show gives what is in a volume its names, and removes what is there no more.
func (f *Folder) show(at, now string, files []mounts.File) error {
	names, others := firstNames(files), f.below(at)
	for name := range names {
		if others[name] {
			continue
		}
		if info, err := f.root.Lstat(path.Join(at, name)); err == nil && info.Mode().Type() == fs.ModeSymlink {
			continue
		}
		if err := f.root.RemoveAll(path.Join(at, name)); err != nil {
			return err
		}
		if err := f.root.Symlink(path.Join(dataLink, name), path.Join(at, name)); err != nil {
			return err
		}
	}
	entries, err := fs.ReadDir(f.root.FS(), at)
	for _, e := range entries {
		name := e.Name()
		if name != dataLink && name != now && !names[name] && !others[name] {
			err = errors.Join(err, f.root.RemoveAll(path.Join(at, name)))
		}
	}
	return err
}

// setEach removes the files that are in a volume no more, and replaces the others
// one by one.
func (f *Folder) setEach(at string, files []mounts.File) error {
	if err := f.root.MkdirAll(at, 0o700); err != nil {
		return err
	}
	others, named := f.below(at), map[string]mounts.File{}
	for _, file := range files {
		if first, _, _ := strings.Cut(file.Name, "/"); !others[first] {
			named[path.Join(at, file.Name)] = file
		}
	}
	err := fs.WalkDir(f.root.FS(), at, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path.Dir(name) == at && others[d.Name()] && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || path.Dir(name) == at && others[d.Name()]:
			return nil
		}
		if _, stays := named[name]; stays {
			return nil
		}
		return f.root.Remove(name)
	})
	for name, file := range named {
		err = errors.Join(err, f.put(name, file))
	}
	return err
}

// firstNames are the names that stand in the volume itself.
func firstNames(files []mounts.File) map[string]bool {
	names := map[string]bool{}
	for _, file := range files {
		first, _, _ := strings.Cut(file.Name, "/")
		names[first] = true
	}
	return names
}

// below are the names in a volume where other mounts are, or lead to.
func (f *Folder) below(at string) map[string]bool {
	names := map[string]bool{}
	for _, p := range f.paths {
		if rest, ok := strings.CutPrefix(place(p), at+"/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			names[first] = true
		}
	}
	return names
}
