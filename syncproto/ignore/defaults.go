package ignore

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxSearched bounds the number of folders that Defaults looks into.
const maxSearched = 256

// Defaults returns the lines of an ignore file for a tree that has none. They
// depend on what the tree is made with: it looks for the files by which tools
// know their projects, in the root and two levels below it.
//
// Only what a tool makes and makes again is named: version control data,
// installed packages, caches, build output. A name that sources may have as
// well, such as build or target, is ignored only beside the project file of
// the tool that owns it. Vendored packages, logs, environment files and folders
// called lib, dist or bin stay in sync.
func Defaults(fsys fs.FS) []string {
	d := defaults{fsys: fsys, left: maxSearched}
	d.add(
		"// What is never wanted on the other side.",
		".git", ".hg", ".svn", ".jj",
		"(?d).DS_Store", "(?d)Thumbs.db",
		"// What editors keep beside a file while they write it.",
		".*.sw[opx]", "*~", ".#*", `\#*#`, "*___jb_tmp___", "*___jb_old___",
	)
	d.search(".", 2)
	return d.lines
}

// A project says what to ignore where a tool's project file is.
type project struct {
	tool    string
	markers []string // names or path.Match patterns
	lines   []string // patterns for the whole tree
	beside  []string // paths relative to the folder of the marker
}

func projects() []project {
	return []project{
		{
			tool: "Node.js", markers: []string{"package.json"},
			lines: []string{"node_modules", ".pnpm-store", ".next", ".nuxt", ".svelte-kit", ".turbo", ".parcel-cache", ".eslintcache"},
		},
		{
			tool:    "Python",
			markers: []string{"pyproject.toml", "requirements*.txt", "setup.py", "setup.cfg", "Pipfile", "tox.ini", "manage.py"},
			lines: []string{
				"(?d)__pycache__", "(?d)*.py[co]", ".venv", "*.egg-info",
				".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".ipynb_checkpoints",
			},
		},
		{tool: "Go", markers: []string{"go.mod", "go.work"}, lines: []string{"__debug_bin*"}},
		{tool: "Rust", markers: []string{"Cargo.toml"}, beside: []string{"target"}},
		{tool: "Maven", markers: []string{"pom.xml"}, beside: []string{"target"}},
		{
			tool:    "Gradle",
			markers: []string{"build.gradle", "build.gradle.kts"},
			lines:   []string{".gradle"}, beside: []string{"build"},
		},
		{tool: "sbt", markers: []string{"build.sbt"}, lines: []string{".bloop", ".metals"}, beside: []string{"target", "project/target"}},
		{tool: "Ruby", markers: []string{"Gemfile"}, beside: []string{".bundle", "vendor/bundle", "tmp/cache", "tmp/pids"}},
		{
			tool:    ".NET",
			markers: []string{"*.csproj", "*.fsproj", "*.vbproj"},
			lines:   []string{".vs"}, beside: []string{"obj", "bin/Debug", "bin/Release"},
		},
		{tool: "Elixir", markers: []string{"mix.exs"}, lines: []string{".elixir_ls"}, beside: []string{"_build"}},
		{tool: "Haskell", markers: []string{"stack.yaml", "*.cabal"}, lines: []string{".stack-work"}, beside: []string{"dist-newstyle"}},
		{tool: "Swift", markers: []string{"Package.swift"}, beside: []string{".build"}},
		{tool: "Dart", markers: []string{"pubspec.yaml"}, lines: []string{".dart_tool"}},
		{tool: "Terraform", markers: []string{"*.tf"}, lines: []string{".terraform"}},
	}
}

// defaults collects lines, each once.
type defaults struct {
	fsys  fs.FS
	left  int // folders that may still be looked into
	lines []string
}

func (d *defaults) add(lines ...string) {
	for _, line := range lines {
		if !slices.Contains(d.lines, line) {
			d.lines = append(d.lines, line)
		}
	}
}

// search looks at one folder and those below it, depth levels down. What
// cannot be read adds nothing: the scan that follows reports it.
func (d *defaults) search(dir string, depth int) {
	if d.left == 0 {
		return
	}
	d.left--
	entries, err := fs.ReadDir(d.fsys, dir)
	if err != nil {
		return
	}
	for _, p := range projects() {
		if p.marks(entries) {
			d.add("// " + p.tool)
			d.add(p.lines...)
			for _, name := range p.beside {
				d.add(Quote(path.Join(dir, name)))
			}
		}
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules" {
			continue
		}
		sub := path.Join(dir, e.Name())
		if _, err := fs.Stat(d.fsys, path.Join(sub, "pyvenv.cfg")); err == nil {
			// A virtual environment of Python under a name of its own.
			d.add(Quote(sub))
		} else if depth > 0 {
			d.search(sub, depth-1)
		}
	}
}

// marks reports whether one of the entries is a file that marks the project.
func (p *project) marks(entries []fs.DirEntry) bool {
	for _, e := range entries {
		for _, m := range p.markers {
			if ok, err := path.Match(m, e.Name()); ok && err == nil && !e.IsDir() {
				return true
			}
		}
	}
	return false
}
