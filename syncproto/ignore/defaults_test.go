package ignore

import (
	"errors"
	"fmt"
	"io/fs"
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
			"README src node_modules target build vendor .env .gitignore app.log lib dist .swp.go",
		},
		{
			"node", "package.json src/x.js",
			"node_modules node_modules/a/b packages/x/node_modules .next/cache",
			"dist build lib package.json src .npmrc .yarn .env",
		},
		{
			"python", "requirements-dev.txt",
			"__pycache__ a/__pycache__/x.pyc a.pyc a.pyo .venv/bin/python .mypy_cache x.egg-info",
			"lib build var app.log .env env venv dist a.py local_settings.py db.sqlite3 pyc",
		},
		{"virtual environment by another name", "setup.py myenv/pyvenv.cfg myenv/bin/x", "myenv myenv/bin/x", "bin env a/myenv"},
		{"go", "go.mod vendor/x/y.go", "__debug_bin123", "vendor vendor/x/y.go bin x.test x.so a.out"},
		{"rust", "Cargo.toml src/target/mod.rs", "target/debug/x", "src/target src/target/mod.rs"},
		{
			"maven modules", "pom.xml core/pom.xml core/src/main/java/target/X.java apps/web/pom.xml",
			"target core/target/x apps/web/target", "core/src/main/java/target/X.java apps/target",
		},
		{"gradle", "build.gradle.kts app/build.gradle", "build .gradle app/build app/.gradle gradle/.gradle", "buildSrc app/src/build gradle gradle/wrapper.jar"},
		{"php", "composer.json", ".git", "vendor vendor/a"},
		{"ruby", "Gemfile", ".bundle vendor/bundle/ruby tmp/cache/x", "vendor tmp tmp/other log coverage pkg"},
		{".net", "src/App/App.csproj", "src/App/obj src/App/bin/Debug/x", "bin obj src/App/bin src/App/bin/tool"},
		{"monorepo", "web/package.json api/go.mod ml/pyproject.toml", "web/node_modules ml/__pycache__", "api/vendor"},
		{"a name that looks like a pattern", "a[1]{b}/Cargo.toml", "a[1]{b}/target", "a1b/target"},
		{"a folder is no marker", "Cargo.toml/x", ".git", "target"},
		{"too deep", "a/b/c/Cargo.toml", ".git", "a/b/c/target"},
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
