package ignore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func tree(paths ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, p := range paths {
		fsys[p] = &fstest.MapFile{}
	}
	return fsys
}

func TestDefaults(t *testing.T) {
	for _, tt := range []struct {
		name          string
		files         string
		ignored, kept string
	}{
		{
			"nothing", "README",
			".git .git/config sub/.git .DS_Store a/.main.go.swp main.go~ .#main.go #main.go#",
			"README src target build vendor .env .gitignore app.log lib dist .swp.go deps bin obj out .cache",
		},
		{
			"what no sources are called", "README",
			"node_modules a/b/c/d/e/node_modules/x __pycache__ a/__pycache__/x.pyc .direnv/x .nfs000000000123 .fuse_hidden0001",
			"node_modules.md src/node_modulesx pycache nfs000",
		},
		{
			"node", "package.json src/x.js",
			"node_modules node_modules/a/b packages/x/node_modules .next/cache .angular/cache bower_components/x .yarn/unplugged/x",
			"dist build lib out public package.json src .npmrc .yarn .yarn/cache/x.zip .pnp.cjs .env .vscode tsconfig.tsbuildinfo",
		},
		{
			"python", "requirements-dev.txt",
			"__pycache__ a/__pycache__/x.pyc a.pyc a.pyo .venv/bin/python .mypy_cache x.egg-info",
			"lib build var app.log .env env venv dist a.py local_settings.py db.sqlite3 pyc",
		},
		{"virtual environment by another name", "setup.py a/b/myenv/pyvenv.cfg a/b/myenv/bin/x", "a/b/myenv a/b/myenv/bin/x", "bin env a/myenv"},
		{"scripts", "tools/gen.py main.c", ".venv/x tools/.mypy_cache", "tools build env lib"},
		{"go", "go.mod build/build.go target/t.go vendor/x/y.go", "__debug_bin123", "build build/build.go target/t.go vendor vendor/x/y.go bin x.test x.so a.out"},
		{"rust", "Cargo.toml src/target/mod.rs", "target/debug/x", "src/target src/target/mod.rs"},
		{
			"maven modules", "pom.xml core/pom.xml core/src/main/java/target/X.java apps/web/pom.xml",
			"target core/target/x apps/web/target", "core/src/main/java/target/X.java apps/target",
		},
		{"gradle", "build.gradle.kts app/build.gradle", "build .gradle app/build app/.gradle gradle/.gradle .kotlin/x", "buildSrc app/src/build gradle gradle/wrapper.jar"},
		{"gradle modules", "settings.gradle features/a/api/build.gradle", ".gradle features/a/api/build", "build features/build features/a/build"},
		{"php", "composer.json", ".git .phpunit.cache/x", "vendor vendor/a"},
		{"ruby", "Gemfile", ".bundle vendor/bundle/ruby tmp/cache/x", "vendor tmp tmp/other log coverage pkg"},
		{".net", "src/App/App.csproj", "src/App/obj src/App/bin/Debug/x", "bin obj src/App/bin src/App/bin/tool"},
		{"monorepo", "web/package.json api/go.mod ml/pyproject.toml", "web/node_modules ml/__pycache__", "api/vendor"},
		{"a name that looks like a pattern", "a[1]{b}/Cargo.toml", "a[1]{b}/target", "a1b/target"},
		{"elixir", "mix.exs apps/a/mix.exs", "_build/x deps/x apps/a/deps", "lib/deps priv"},
		{"clojure", "project.clj", "target .cpcache/x", "src/target"},
		{"zig", "build.zig", ".zig-cache/x zig-out/bin", "src/zig-out build"},
		{"cmake", "CMakeLists.txt", "cmake-build-debug/x", "build cmake out"},
		{"bazel", "MODULE.bazel", "bazel-bin bazel-out", "bazel pkg/bazel-bin"},
		{"flutter", "pubspec.yaml", "build .dart_tool", "lib/build"},
		{"terraform", "infra/terragrunt.hcl", "infra/.terraform/x .terragrunt-cache", "infra/terraform.tfstate infra/.terraform.lock.hcl"},
		{"a folder is no marker", "Cargo.toml/x", ".git", "target"},
		{"three levels down", "a/b/c/Cargo.toml", "a/b/c/target", "a/b/target"},
		{"too deep", "a/b/c/d/Cargo.toml", ".git", "a/b/c/d/target"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Load(tree(strings.Fields(tt.files)...))
			if err != nil {
				t.Fatal(err)
			}
			for p := range strings.FieldsSeq(tt.ignored) {
				if r := m.Match(p, false); !r.Ignored || r.File != DefaultsName {
					t.Errorf("%q is not ignored: %+v", p, r)
				}
			}
			for p := range strings.FieldsSeq(tt.kept) {
				if r := m.Match(p, false); r.Ignored {
					t.Errorf("%q is ignored by %q", p, r.Pattern)
				}
			}
		})
	}
}

// What is there to find again is never removed for the sake of a folder.
func TestDefaultsNeverRemoveARepository(t *testing.T) {
	var markers []string
	for _, p := range projects() {
		for _, m := range p.markers {
			markers = append(markers, strings.ReplaceAll(m, "*", "x"))
		}
	}
	m, err := Load(tree(markers...))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{".git", ".hg", ".venv", "node_modules", "target", ".terraform"} {
		if r := m.Match(p, true); !r.Ignored || r.Deletable {
			t.Errorf("%s: %+v", p, r)
		}
	}
	if r := m.Match("__pycache__", true); !r.Deletable {
		t.Errorf("__pycache__: %+v", r)
	}
}

// What lies near is looked into first, whatever the order of names.
func TestDefaultsLooksAtWhatIsNearFirst(t *testing.T) {
	fsys := tree("zoo/Cargo.toml", "pom.xml")
	for i := range 2 * maxSearched {
		fsys[fmt.Sprintf("assets/d%04d/x", i)] = &fstest.MapFile{}
		fsys[fmt.Sprintf("target/d%04d/x", i)] = &fstest.MapFile{}
	}
	lines := Defaults(fsys)
	for _, want := range []string{"/zoo/target", "/target"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%s is not among %q", want, lines)
		}
	}
}

// What is ignored is not looked into.
func TestDefaultsDoesNotLookIntoOutput(t *testing.T) {
	lines := Defaults(tree("Cargo.toml", "target/package/x/Cargo.toml", "node_modules/x/pom.xml", "env/pyvenv.cfg", "env/share/Gemfile"))
	for _, line := range lines {
		if strings.HasPrefix(line, "/target/") || strings.HasPrefix(line, "/node_modules/") || strings.HasPrefix(line, "/env/") {
			t.Errorf("%s is among the lines", line)
		}
	}
}

func TestDefaultsLooksIntoAFewFolders(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range 2 * maxSearched {
		fsys[fmt.Sprintf("d%04d/Cargo.toml", i)] = &fstest.MapFile{}
	}
	found := 0
	for _, line := range Defaults(fsys) {
		if strings.HasSuffix(line, "/target") {
			found++
		}
	}
	if found != maxSearched-1 { // the root is one of them
		t.Errorf("%d projects found", found)
	}
}

// An ignore file, even an empty one, replaces the defaults; one that cannot be
// read is an error, because the defaults may be the opposite of what it says.
func TestLoad(t *testing.T) {
	m, err := Load(fstest.MapFS{FileName: {}, "package.json": {}})
	if err != nil || m.Match("node_modules", true).Ignored {
		t.Errorf("empty file: %v", err)
	}
	if _, err := Load(broken{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable file: %v", err)
	}
}

type broken struct{}

func (broken) Open(string) (fs.File, error) { return nil, fs.ErrPermission }
