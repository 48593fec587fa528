package images

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Media types and file names of the OCI image specification 1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	layoutFile   = "oci-layout"
	indexFile    = "index.json"
)

// descriptor points to a blob.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// manifest names the config and the layers of an image. An index is one, too,
// with Manifests in place of both.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
}

// runConfig is how the containers of an image run.
type runConfig struct {
	User       string   `json:"User,omitempty"`
	Env        []string `json:"Env,omitempty"`
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
	WorkingDir string   `json:"WorkingDir,omitempty"`
}

// layout is an OCI image layout folder.
type layout string

func (l layout) blob(digest string) string {
	return filepath.Join(string(l), "blobs", "sha256", digest[len("sha256:"):])
}

// write makes the layout of an image with one layer.
func (l layout) write(config runConfig, layer func(*tar.Writer) error) error {
	if err := os.MkdirAll(filepath.Join(string(l), "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	layerBlob, diffID, err := l.addLayer(layer)
	if err != nil {
		return fmt.Errorf("writing the layer: %w", err)
	}
	configBlob, err := l.addJSON(typeConfig, map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{diffID}},
	})
	if err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	image, err := l.addJSON(typeManifest, manifest{
		SchemaVersion: 2, MediaType: typeManifest, Config: &configBlob, Layers: []descriptor{layerBlob},
	})
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	index, err := json.Marshal(manifest{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{image}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(string(l), indexFile), index, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(string(l), layoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// addJSON stores a value as a blob.
func (l layout) addJSON(mediaType string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.Sum256(content)
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(content))}
	return d, os.WriteFile(l.blob(d.Digest), content, 0o644)
}

// addLayer stores what fill writes as a compressed layer and returns the
// digest of the uncompressed one, too.
func (l layout) addLayer(fill func(*tar.Writer) error) (descriptor, string, error) {
	file, err := os.CreateTemp(string(l), "layer-")
	if err != nil {
		return descriptor{}, "", err
	}
	defer file.Close()
	compressed, plain := sha256.New(), sha256.New()
	zip, err := gzip.NewWriterLevel(io.MultiWriter(file, compressed), gzip.BestSpeed)
	if err != nil {
		return descriptor{}, "", err
	}
	archive := tar.NewWriter(io.MultiWriter(zip, plain))
	if err := fill(archive); err != nil {
		return descriptor{}, "", err
	}
	if err := archive.Close(); err != nil {
		return descriptor{}, "", err
	}
	if err := zip.Close(); err != nil {
		return descriptor{}, "", err
	}
	info, err := file.Stat()
	if err != nil {
		return descriptor{}, "", err
	}
	d := descriptor{MediaType: typeLayer, Digest: "sha256:" + hex.EncodeToString(compressed.Sum(nil)), Size: info.Size()}
	return d, "sha256:" + hex.EncodeToString(plain.Sum(nil)), os.Rename(file.Name(), l.blob(d.Digest))
}

// readJSON reads one of the layout's JSON files.
func readJSON[T any](path string) (T, error) {
	var value T
	content, err := os.ReadFile(path)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(content, &value); err != nil {
		return value, fmt.Errorf("reading %q: %w", path, err)
	}
	return value, nil
}
