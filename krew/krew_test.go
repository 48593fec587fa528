package krew

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"text/template"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// render fills the template as krew-release-bot does: its function
// addURIAndSha expands the tag in the address and adds the archive's digest.
// All archives get the digest of the local one.
func render(t *testing.T, tag, digest string) []byte {
	t.Helper()
	text, err := os.ReadFile("okteto.yaml")
	if err != nil {
		t.Fatal(err)
	}
	add := func(uri, tag string) string {
		return fmt.Sprintf("uri: %s\n    sha256: %s", strings.ReplaceAll(uri, "{{ .TagName }}", tag), digest)
	}
	tmpl, err := template.New("okteto.yaml").Funcs(template.FuncMap{"addURIAndSha": add}).Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, map[string]string{"TagName": tag}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestManifestKeepsTheRules(t *testing.T) {
	digest := strings.Repeat("0", sha256.Size*2)
	p, err := parse(render(t, "v"+config.Version(), digest))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range p.problems() {
		t.Error(problem)
	}
}

// TestRulesCanFail breaks each rule once.
func TestRulesCanFail(t *testing.T) {
	manifest := string(render(t, "v1.2.3", strings.Repeat("a", sha256.Size*2)))
	for _, c := range []struct{ old, replacement, want string }{
		{"v1alpha2", "v1", "apiVersion"},
		{"name: okteto", "name: okt.eto", "name"},
		{"name: okteto", "name: con", "name"},
		{"version: v1.2.3", "version: 1.2.3", "version"},
		{"version: v1.2.3", "version: v1.02.3", "version"},
		{"shortDescription: ", "shortDescription: Rather long because it explains much ", "shortDescription"},
		{"shortDescription: Develop inside a running workload", `shortDescription: ""`, "shortDescription"},
		{"description: |\n", "description: |\n    " + strings.Repeat("long ", 20) + "\n", "description"},
		{"homepage: https", "homepage: http", "homepage"},
		{"uri: https", "uri: http", "uri"},
		{"aaaa\n", "AAAA\n", "sha256"},
		{"aaaa\n", "aaa\n", "sha256"},
		{"bin: kubectl-okteto.exe", "bin: kubectl-okteto", ".exe"},
		{"bin: kubectl-okteto\n", "bin: kubectl-okteto.exe\n", ".exe"},
		{"bin: kubectl-okteto\n", "bin: \"\"\n", "bin"},
		{"os: linux", "os: plan9", "os"},
		{"arch: arm64", "arch: amd64", "same platform"},
		{"arch: amd64", "libc: musl", "selector"},
	} {
		broken := strings.Replace(manifest, c.old, c.replacement, 1)
		p, err := parse([]byte(broken))
		if err != nil {
			t.Fatalf("%s: %v", c.replacement, err)
		}
		if problems := strings.Join(p.problems(), "\n"); !strings.Contains(problems, c.want) {
			t.Errorf("with %q the problems are %q, want one about %s", c.replacement, problems, c.want)
		}
	}
	if _, err := parse([]byte(manifest + "  caveat: none\n")); err == nil {
		t.Error("an unknown field gives no error")
	}
}

// TestInstalls packs the plugin of this system, installs it into an empty root
// as Krew does, and runs it.
func TestInstalls(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Krew makes no symbolic links on Windows")
	}
	archive, digest := pack(t)
	p, err := parse(render(t, "v"+config.Version(), digest))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := p.install(root, archive); err != nil {
		t.Fatal(err)
	}
	kubectl, err := exec.LookPath("kubectl")
	args := []string{kubectl, "okteto", "version"}
	if err != nil {
		t.Log("kubectl is not on PATH: running the plugin by its own name")
		args = []string{filepath.Join(root, "bin", "kubectl-okteto"), "version"}
	}
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = root
	cmd.Env = []string{"PATH=" + filepath.Join(root, "bin"), "HOME=" + root, "KUBECONFIG=" + filepath.Join(root, "none")}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), config.Version()) {
		t.Errorf("%s: %v, and wrote %q; want it to say %s", strings.Join(args, " "), err, out, config.Version())
	}
}

// TestInstallRefuses tries archives that Krew would not install.
func TestInstallRefuses(t *testing.T) {
	plugin, license := file{"kubectl-okteto", 0o755, "binary"}, file{"LICENSE", 0o644, "text"}
	for _, c := range []struct {
		name  string
		files []file
		want  string
	}{
		{"no licence", []file{plugin}, "LICENSE"},
		{"no binary", []file{license}, "kubectl-okteto"},
		{"not executable", []file{{"kubectl-okteto", 0o644, "binary"}, license}, "executable"},
		{"outside", []file{plugin, license, {"../escaped", 0o644, ""}}, "escapes"},
	} {
		archive := filepath.Join(t.TempDir(), "a.tar.gz")
		p, err := parse(render(t, "v1.2.3", write(t, archive, c.files)))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.install(t.TempDir(), archive); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want one about %s", c.name, err, c.want)
		}
	}
	archive := filepath.Join(t.TempDir(), "a.tar.gz")
	write(t, archive, []file{plugin, license})
	p, err := parse(render(t, "v1.2.3", strings.Repeat("0", sha256.Size*2)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.install(t.TempDir(), archive); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("another digest: the error is %v", err)
	}
}

// pack builds the plugin and puts it into a release archive.
func pack(t *testing.T) (archive, digest string) {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "kubectl-okteto")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../cmd/kubectl-okteto")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	var files []file
	for path, mode := range map[string]int64{binary: 0o755, "../LICENSE": 0o644} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{filepath.Base(path), mode, string(text)})
	}
	archive = filepath.Join(dir, fmt.Sprintf("kubectl-okteto_%s_%s.tar.gz", runtime.GOOS, runtime.GOARCH))
	return archive, write(t, archive, files)
}

// file is an entry of an archive.
type file struct {
	name string
	mode int64
	text string
}

// write writes a tar.gz archive and returns its digest.
func write(t *testing.T, archive string, files []file) string {
	t.Helper()
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	compressed := gzip.NewWriter(io.MultiWriter(f, hash))
	packed := tar.NewWriter(compressed)
	for _, entry := range files {
		header := &tar.Header{Name: entry.name, Mode: entry.mode, Size: int64(len(entry.text))}
		if err := packed.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(packed, entry.text); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []io.Closer{packed, compressed, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}
