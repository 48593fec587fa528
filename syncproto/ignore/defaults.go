package ignore

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Bounds of what Defaults looks into.
const (
	maxSearched = 512 // folders
	maxDepth    = 3   // levels below the root
)

// Defaults returns the lines of an ignore file for a tree that has none. They
// depend on what the tree is made with: it looks for the files by which tools
// know their projects, in the root and three levels below it, and what is near
// first.
//
// Only what a tool makes and makes again is named: version control data,
// installed packages, caches, build output. A name that sources may have as
// well, such as build or target, is ignored only beside the project file of
// the tool that owns it. Vendored packages, logs, environment files and folders
// called lib, dist or bin stay in sync.
func Defaults(fsys fs.FS) []string {
	d := defaults{fsys: fsys, known: projects(), left: maxSearched}
	d.add(
		"// What is never wanted on the other side.",
		".git", ".hg", ".svn", ".jj", "node_modules", ".direnv",
		"(?d)__pycache__", "(?d).DS_Store", "(?d)Thumbs.db", "(?d).nfs0*", "(?d).fuse_hidden*",
		"// What editors keep beside a file while they write it.",
		".*.sw[opx]", "*~", ".#*", `\#*#`, "*___jb_tmp___", "*___jb_old___",
	)
	for level, depth := []string{"."}, 0; len(level) > 0 && depth <= maxDepth; depth++ {
		var below []string
		for _, dir := range level {
			below = append(below, d.search(dir)...)
		}
		level = below
	}
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
			lines: []string{
				".pnpm-store", ".yarn/unplugged", "bower_components",
				".angular", ".astro", ".docusaurus", ".expo", ".next", ".nuxt", ".output", ".svelte-kit",
				".eslintcache", ".nyc_output", ".parcel-cache", ".stylelintcache", ".turbo", ".vite",
			},
		},
		{
			tool:    "Python",
			markers: []string{"*.py", "*.ipynb", "pyproject.toml", "requirements*.txt", "setup.cfg", "Pipfile", "tox.ini"},
			lines: []string{
				"(?d)*.py[co]", ".venv", "__pypackages__", "*.egg-info", ".eggs",
				".hypothesis", ".mypy_cache", ".pytest_cache", ".pytype", ".ruff_cache", ".tox", ".nox", ".ipynb_checkpoints",
			},
		},
		{tool: "Go", markers: []string{"go.mod", "go.work"}, lines: []string{"__debug_bin*"}},
		{tool: "Rust", markers: []string{"Cargo.toml"}, beside: []string{"target"}},
		{tool: "Maven", markers: []string{"pom.xml"}, beside: []string{"target"}},
		{tool: "Gradle", markers: []string{"settings.gradle", "settings.gradle.kts"}, lines: []string{".gradle", ".kotlin"}},
		{
			tool:    "Gradle",
			markers: []string{"build.gradle", "build.gradle.kts"},
			lines:   []string{".gradle", ".kotlin"}, beside: []string{"build"},
		},
		{tool: "sbt", markers: []string{"build.sbt"}, lines: []string{".bloop", ".bsp", ".metals"}, beside: []string{"target", "project/target"}},
		{
			tool:    "Clojure",
			markers: []string{"project.clj", "deps.edn", "shadow-cljs.edn"},
			lines:   []string{".cpcache", ".shadow-cljs"}, beside: []string{"target"},
		},
		{tool: "PHP", markers: []string{"composer.json"}, lines: []string{".php-cs-fixer.cache", ".phpunit.cache", ".phpunit.result.cache"}},
		{tool: "Ruby", markers: []string{"Gemfile"}, beside: []string{".bundle", "vendor/bundle", "tmp/cache", "tmp/pids"}},
		{
			tool:    ".NET",
			markers: []string{"*.csproj", "*.fsproj", "*.vbproj"},
			lines:   []string{".vs"}, beside: []string{"obj", "bin/Debug", "bin/Release"},
		},
		{tool: "Elixir", markers: []string{"mix.exs"}, lines: []string{".elixir_ls"}, beside: []string{"_build", "deps"}},
		{tool: "Erlang, OCaml", markers: []string{"rebar.config", "dune-project"}, beside: []string{"_build"}},
		{tool: "Haskell", markers: []string{"stack.yaml", "*.cabal"}, lines: []string{".stack-work"}, beside: []string{"dist-newstyle"}},
		{tool: "Swift", markers: []string{"Package.swift"}, beside: []string{".build"}},
		{tool: "Dart", markers: []string{"pubspec.yaml"}, lines: []string{".dart_tool"}, beside: []string{"build"}},
		{tool: "Zig", markers: []string{"build.zig"}, lines: []string{".zig-cache"}, beside: []string{"zig-cache", "zig-out"}},
		{tool: "CMake", markers: []string{"CMakeLists.txt"}, lines: []string{"cmake-build-*"}},
		{
			tool:    "Bazel",
			markers: []string{"MODULE.bazel", "WORKSPACE", "WORKSPACE.bazel"},
			beside:  []string{"bazel-bin", "bazel-out", "bazel-testlogs"},
		},
		{tool: "Terraform", markers: []string{"*.tf", "terragrunt.hcl"}, lines: []string{".terraform", ".terragrunt-cache"}},
	}
}

// defaults collects lines, each once.
type defaults struct {
	fsys  fs.FS
	known []project
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

// search looks at one folder and returns those in it that are worth a look. What
// cannot be read adds nothing: the scan that follows reports it.
func (d *defaults) search(dir string) (below []string) {
	if d.left == 0 {
		return nil
	}
	d.left--
	entries, err := fs.ReadDir(d.fsys, dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.Name() == "pyvenv.cfg" && dir != "." {
			// A virtual environment of Python, under whatever name.
			d.add(Quote(dir))
			return nil
		}
	}
	for _, p := range d.known {
		if p.marks(entries) {
			d.add("// " + p.tool)
			d.add(p.lines...)
			for _, name := range p.beside {
				d.add(Quote(path.Join(dir, name)))
			}
		}
	}
	for _, e := range entries {
		sub := path.Join(dir, e.Name())
		if e.IsDir() && !othersProject(e.Name()) && !slices.Contains(d.lines, Quote(sub)) {
			below = append(below, sub)
		}
	}
	return below
}

// othersProject reports whether what is in a folder of that name was made
// elsewhere or by a tool.
func othersProject(name string) bool {
	return strings.HasPrefix(name, ".") || name == "node_modules" || name == "vendor"
}

// marks reports whether one of the entries of a folder, which are sorted by name,
// is a file that marks the project.
func (p *project) marks(entries []fs.DirEntry) bool {
	for _, m := range p.markers {
		if !strings.Contains(m, "*") {
			at, found := slices.BinarySearchFunc(entries, m, func(e fs.DirEntry, name string) int { return strings.Compare(e.Name(), name) })
			if found && !entries[at].IsDir() {
				return true
			}
			continue
		}
		for _, e := range entries {
			if ok, err := path.Match(m, e.Name()); ok && err == nil && !e.IsDir() {
				return true
			}
		}
	}
	return false
}
