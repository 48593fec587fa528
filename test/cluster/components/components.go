// Package components compiles the programs of the test cluster. Each one is
// in a Go module of its own below this folder, so that the dependencies of
// Kubernetes, containerd, BuildKit, the registry and CoreDNS stay out of the
// product's go.mod.
package components

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// keepUnused is how long a compiled module that nobody used stays cached.
const keepUnused = 14 * 24 * time.Hour

// module is a nested Go module and what to compile in it.
type module struct {
	dir      string            // below the source folder
	packages []string          // as `go build` takes them; "tool" is what go.mod says
	programs []string          // what comes out
	stamps   map[string]string // string variables that the linker sets
	module   string            // stamps one of them with this dependency's version
}

func modules() []module {
	return []module{
		{
			dir: "kubernetes", packages: []string{".", "tool"}, programs: []string{"kubernetes", "kubectl"},
			module: "k8s.io/kubernetes",
			stamps: map[string]string{
				"k8s.io/component-base/version.gitVersion":   "v${version}",
				"k8s.io/component-base/version.gitMajor":     "${major}",
				"k8s.io/component-base/version.gitMinor":     "${minor}",
				"k8s.io/component-base/version.gitTreeState": "clean",
			},
		},
		{
			dir: "containerd", packages: []string{"tool"}, programs: []string{"containerd", "containerd-shim-runc-v2", "ctr"},
			module: "github.com/containerd/containerd/v2",
			stamps: map[string]string{"github.com/containerd/containerd/v2/version.Version": "${version}"},
		},
		{
			dir: "registry", packages: []string{"."}, programs: []string{"registry"},
			module: "github.com/distribution/distribution/v3",
			stamps: map[string]string{"github.com/distribution/distribution/v3/version.version": "${version}"},
		},
		{
			dir: "buildkit", packages: []string{"tool"}, programs: []string{"buildkitd", "buildctl"},
			module: "github.com/moby/buildkit",
			stamps: map[string]string{"github.com/moby/buildkit/version.Version": "${version}"},
		},
		{dir: "addons", packages: []string{"."}, programs: []string{"addons"}, module: "github.com/coredns/coredns"},
	}
}

// Programs are the compiled programs: where each one is, by name.
type Programs map[string]string

// Compile compiles what is not in the cache folder yet and says on progress
// what it does. source is the folder of the nested modules.
//
// A compiled module is kept under a name made of its own sources, go.mod and
// go.sum, the Go version and the architecture; one that was not used for two
// weeks is removed when its successor is compiled.
func Compile(ctx context.Context, source, cache string, progress func(format string, args ...any)) (Programs, error) {
	programs := Programs{}
	for _, m := range modules() {
		sum, err := Key(os.DirFS(filepath.Join(source, m.dir)))
		if err != nil {
			return nil, fmt.Errorf("keying module %q: %w", m.dir, err)
		}
		bin := filepath.Join(cache, m.dir+"-"+sum)
		err = Once(bin, func(tmp string) error {
			progress("compiling %s (minutes, only the first time)", m.dir)
			start := time.Now()
			if err := m.compile(ctx, filepath.Join(source, m.dir), tmp); err != nil {
				return err
			}
			progress("compiled %s in %s", m.dir, time.Since(start).Round(time.Second))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("compiling %s: %w", m.dir, err)
		}
		for _, name := range m.programs {
			programs[name] = filepath.Join(bin, name)
		}
	}
	return programs, nil
}

// compile builds the module's programs into the folder bin.
func (m module) compile(ctx context.Context, source, bin string) error {
	version, err := goTool(ctx, source, "list", "-m", "-f", "{{.Version}}", m.module)
	if err != nil {
		return err
	}
	args := append([]string{"build", "-trimpath", "-ldflags", m.ldflags(strings.TrimSpace(version)), "-o", bin + "/"}, m.packages...)
	_, err = goTool(ctx, source, args...)
	return err
}

// ldflags strips the programs and stamps them with their version, "v1.2.3".
func (m module) ldflags(version string) string {
	version = strings.TrimPrefix(version, "v")
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	values := strings.NewReplacer("${version}", version, "${major}", major, "${minor}", minor)
	flags := "-s -w"
	for _, name := range slices.Sorted(maps.Keys(m.stamps)) {
		flags += " -X " + name + "=" + values.Replace(m.stamps[name])
	}
	return flags
}

// goTool runs the go command in dir, for static programs, and returns what it
// printed; an error has the end of its messages.
func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		text := bytes.TrimSpace(stderr.Bytes())
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, text[max(0, len(text)-2000):])
	}
	return stdout.String(), nil
}

// Build compiles packages of the product's own module into the folder bin.
func Build(ctx context.Context, dir, bin string, packages ...string) error {
	_, err := goTool(ctx, dir, append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", bin + "/"}, packages...)...)
	return err
}

// Key digests all regular files of a tree and what else a build depends on:
// the Go version, the architecture, and any further strings. Tests are left
// out. A nil tree has no files.
func Key(tree fs.FS, more ...string) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %q\n", runtime.Version(), runtime.GOARCH, more)
	if tree == nil {
		return hex.EncodeToString(sum.Sum(nil))[:12], nil
	}
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := tree.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, path, info.Size())
		_, err = io.Copy(sum, file)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:12], err
}
