package krew

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// install does what `krew install --archive` does: compares the digest,
// extracts into the store, wants a licence there, and links the binary under
// the name by which kubectl looks for it.
func (p *plugin) install(root, archive string) error {
	f, err := p.platform(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
		return fmt.Errorf("sha256 of %s is not %s", archive, f.SHA256)
	}
	store := filepath.Join(root, "store", p.Metadata.Name, p.Spec.Version)
	bin := filepath.Join(root, "bin")
	for _, dir := range []string{store, bin} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := extract(store, data); err != nil {
		return fmt.Errorf("extracting %s: %w", archive, err)
	}
	if _, err := os.Stat(filepath.Join(store, "LICENSE")); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(store, f.Bin))
	if err != nil {
		return err
	}
	if info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not executable", f.Bin)
	}
	name := "kubectl-" + strings.ReplaceAll(p.Metadata.Name, "-", "_")
	return os.Symlink(filepath.Join(store, f.Bin), filepath.Join(bin, name))
}

func (p *plugin) platform(system, arch string) (platform, error) {
	for _, f := range p.Spec.Platforms {
		if f.Selector.MatchLabels["os"] == system && f.Selector.MatchLabels["arch"] == arch {
			return f, nil
		}
	}
	return platform{}, fmt.Errorf("no archive for %s/%s", system, arch)
}

func extract(dir string, archive []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	uncompressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	entries := tar.NewReader(uncompressed)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(entries)
		if err != nil {
			return err
		}
		if err := root.WriteFile(header.Name, text, os.FileMode(header.Mode)); err != nil {
			return err
		}
	}
}
