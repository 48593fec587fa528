package images

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLayout writes an image and reads it as a registry's client would.
func TestLayout(t *testing.T) {
	t.Parallel()
	l := layout(filepath.Join(t.TempDir(), "image"))
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := l.write(runConfig{User: "65532", Entrypoint: []string{"/app/web"}}, func(w *tar.Writer) error {
		return addDistroless(w, program)
	})
	if err != nil {
		t.Fatal(err)
	}
	index, err := readJSON[manifest](filepath.Join(string(l), indexFile))
	if err != nil {
		t.Fatal(err)
	}
	image, err := readJSON[manifest](l.blob(index.Manifests[0].Digest))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range append(image.Layers, *image.Config, index.Manifests[0]) {
		content, err := os.ReadFile(l.blob(d.Digest))
		if sum := sha256.Sum256(content); err != nil || "sha256:"+hex.EncodeToString(sum[:]) != d.Digest || int64(len(content)) != d.Size {
			t.Errorf("blob %s of %d bytes has %d and sum %x (%v)", d.Digest, d.Size, len(content), sum, err)
		}
	}
	config, err := readJSON[struct {
		Architecture, OS string
		Config           runConfig
		RootFS           struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}](l.blob(image.Config.Digest))
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != runtime.GOARCH || config.OS != "linux" || config.Config.User != "65532" {
		t.Errorf("config %+v", config)
	}
	modes, diffID := readLayer(t, l.blob(image.Layers[0].Digest))
	if config.RootFS.DiffIDs[0] != diffID {
		t.Errorf("the config says the layer is %s, it is %s", config.RootFS.DiffIDs[0], diffID)
	}
	delete(modes, "etc/ssl/certs/ca-certificates.crt") // as the machine has it
	want := map[string]int64{"tmp/": 0o1777, "home/nonroot/": 0o700, "etc/passwd": 0o644, "etc/group": 0o644, "app/web": 0o755}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// readLayer returns the modes of a layer's files and its uncompressed digest.
func readLayer(t *testing.T, name string) (map[string]int64, string) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	stream := io.TeeReader(plain, sum)
	archive := tar.NewReader(stream)
	modes := map[string]int64{}
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Fatal(err)
	}
	return modes, "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func TestAddTree(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"etc", "dev", "usr/share/doc/x"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/passwd", "dev/null", "usr/share/doc/x/copyright"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("passwd", filepath.Join(root, "etc", "link")); err != nil {
		t.Fatal(err)
	}
	l := layout(t.TempDir())
	if err := l.write(runConfig{}, func(w *tar.Writer) error { return addTree(w, root, "", leftOut) }); err != nil {
		t.Fatal(err)
	}
	index, err := readJSON[manifest](filepath.Join(string(l), indexFile))
	if err != nil {
		t.Fatal(err)
	}
	image, err := readJSON[manifest](l.blob(index.Manifests[0].Digest))
	if err != nil {
		t.Fatal(err)
	}
	modes, _ := readLayer(t, l.blob(image.Layers[0].Digest))
	want := map[string]int64{"dev/": 0o755, "etc/": 0o755, "etc/link": 0o777, "etc/passwd": 0o644, "usr/": 0o755, "usr/share/": 0o755, "usr/share/doc/": 0o755}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
