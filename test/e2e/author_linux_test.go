//go:build e2e

package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a storm writes: most of it by the laptop's user. The samples tell how
// much of that has arrived.
const (
	treeFiles = 9000
	madeFiles = 1000
	samples   = 100
	perFolder = 100
)

func treePath(i int) string { return fmt.Sprintf("tree/%02d/%d.txt", i/perFolder, i) }
func madePath(i int) string { return fmt.Sprintf("made/%02d/%d.txt", i/perFolder, i) }

func sample(i int) int { return treeFiles/samples*i + treeFiles/samples/2 }
func isSample(i int) bool {
	return i%(treeFiles/samples) == treeFiles/samples/2
}

// treeText returns what a file of the tree has after a storm: a few kilobytes;
// one in a thousand is so large that it travels in pieces.
func treeText(i, round int) []byte {
	size := i * 37 % 4096
	if i%1000 == 500 {
		size = 300_000 + i*40
	}
	return text(fmt.Sprintf("laptop %s %d", treePath(i), round), size)
}

func madeText(i, round int) []byte {
	return text(fmt.Sprintf("pod %s %d", madePath(i), round), i*37%4096)
}

// text returns a content unlike all others, whose first line says whose it is.
func text(name string, size int) []byte {
	b := append([]byte(name), '\n')
	rest := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256(b)).Read(rest)
	return append(b, rest...)
}

// digest identifies a content.
type digest [sha256.Size]byte

// author is a user on one side. What he writes, and does not overwrite or remove
// himself, is owed to him.
type author struct {
	side string
	root *os.Root

	// skew is by how much his clock is off.
	skew time.Duration

	mu     sync.Mutex
	edits  int
	now    map[string]digest // what he wrote last, by path
	edited map[string]bool   // paths that storms leave alone
	owed   map[digest]string
	failed error
}

func newAuthor(side string, root *os.Root) *author {
	return &author{side: side, root: root, now: map[string]digest{}, edited: map[string]bool{}, owed: map[digest]string{}}
}

// wrote takes a content into the books, and what he had there before off them.
func (u *author) wrote(p string, b []byte) {
	u.removed(p)
	d := digest(sha256.Sum256(b))
	u.now[p], u.owed[d] = d, p
}

func (u *author) removed(p string) {
	delete(u.owed, u.now[p])
	delete(u.now, p)
}

// do keeps the first error of what a user does.
func (u *author) do(err error) bool {
	if err != nil && u.failed == nil {
		u.failed = fmt.Errorf("%s: %w", u.side, err)
	}
	return err == nil
}

// storm writes files in place.
func (u *author) storm(n, round int, at func(int) string, content func(i, round int) []byte) {
	for i := range n {
		b := content(i, round)
		u.mu.Lock()
		if p := at(i); !u.edited[p] {
			mode := fs.FileMode(0o644)
			if i%10 == 0 {
				mode = 0o755
			}
			if u.do(u.root.MkdirAll(path.Dir(p), 0o755)) && u.do(u.root.WriteFile(p, b, mode)) {
				u.wrote(p, b)
			}
		}
		u.mu.Unlock()
	}
}

// keep has storms leave a file alone from now on.
func (u *author) keep(p string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.edited[p] = true
}

// replace writes beside a file and renames, as careful programs do.
func (u *author) replace(p string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.edits++
	b := text(fmt.Sprintf("%s's edit %d of %s", u.side, u.edits, p), u.edits*11%3000)
	beside := path.Join(path.Dir(p), fmt.Sprintf(".%s-%d~", u.side, u.edits))
	at := time.Now().Add(u.skew)
	if u.do(u.root.MkdirAll(path.Dir(p), 0o755)) && u.do(u.root.WriteFile(beside, b, 0o644)) &&
		u.do(u.root.Chtimes(beside, at, at)) && u.do(u.root.Rename(beside, p)) {
		u.wrote(p, b)
	}
}

// remove removes a file, if it is there.
func (u *author) remove(p string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.root.Remove(p) == nil {
		u.removed(p)
	}
}

// odd makes what is no plain file with a plain name.
func (u *author) odd() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range perFolder {
		link := fmt.Sprintf("odd/links/%d", i)
		_ = u.do(u.root.MkdirAll(path.Dir(link), 0o755)) && u.do(u.root.Symlink("../../"+treePath(i), link))
		_ = u.do(u.root.MkdirAll(fmt.Sprintf("odd/empty/%d", i), 0o700))
	}
	u.do(u.root.WriteFile("odd/a name\nof two lines: ü", nil, 0o400))
}

// rename renames a file, if it is there.
func (u *author) rename(p, to string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	_ = u.root.Rename(p, to)
}

// chmod changes a file's mode, if it is there.
func (u *author) chmod(p string, mode fs.FileMode) {
	u.mu.Lock()
	defer u.mu.Unlock()
	_ = u.root.Chmod(p, mode)
}

// lost returns what is owed and not among what is kept.
func (u *author) lost(kept digests) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var lost []string
	for d, p := range u.owed {
		if !kept[d] {
			lost = append(lost, p)
		}
	}
	if u.failed != nil {
		lost = append(lost, u.failed.Error())
	}
	slices.Sort(lost)
	return lost
}

// entries describes every entry of the author's side: names, types, modes and
// digests.
func (u *author) entries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	walk(t, u.root, func(p string, info fs.FileInfo) {
		all[p] = info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			b, err := u.root.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(string(b[:min(len(b), 80)]), "\n")
			all[p] += fmt.Sprintf(" %d bytes, %x, %q", len(b), sha256.Sum256(b), line)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := u.root.Readlink(p)
			if err != nil {
				t.Fatal(err)
			}
			all[p] += " -> " + to
		}
	})
	return all
}

// digests are the contents that are kept somewhere.
type digests map[digest]bool

// add adds those of all files below a folder.
func (d digests) add(t *testing.T, root *os.Root) {
	t.Helper()
	walk(t, root, func(p string, info fs.FileInfo) {
		if info.Mode().IsRegular() {
			b, err := root.ReadFile(p)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			d[sha256.Sum256(b)] = true
		}
	})
}

// walk visits all that is below a folder but for what vanishes meanwhile, as
// temporary files do.
func walk(t *testing.T, root *os.Root, visit func(p string, info fs.FileInfo)) {
	t.Helper()
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err == nil && p != ".":
			visit(p, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// difference describes how the sides differ, "" for not at all.
func difference(laptop, pod map[string]string) string {
	const most = 40
	var lines []string
	all := maps.Clone(laptop)
	maps.Copy(all, pod)
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if laptop[p] != pod[p] {
			lines = append(lines, fmt.Sprintf("\t%q: laptop %s; pod %s", p, laptop[p], pod[p]))
		}
	}
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("\tand %d more", len(lines)-most))
	}
	return strings.Join(lines, "\n")
}
