// Package mounts is the contract between the plugin and the agent about what
// Kubernetes mounts into the dev container from its objects: ConfigMaps, Secrets,
// fields of the pod and tokens. PROTOCOL.md beside this file is the specification.
package mounts

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// Type says what the payload of a frame is.
type Type byte

// The types of frames.
const (
	// Ask is the client's only one: Request.
	Ask Type = 1
	// Told is how one mount is: Mount.
	Told Type = 2
)

// Limits of the protocol. Kubernetes bounds one object to 1 MiB; a projected
// volume puts several together.
const (
	// MaxPaths bounds the mounts of a request.
	MaxPaths = 1024
	// MaxFiles bounds the files of one mount, with the folders that they are in.
	MaxFiles = 4096
	// MaxName bounds a name, and MaxProblem a problem, in bytes.
	MaxName    = 1024
	MaxProblem = 4096
	// MaxContent bounds the names and contents of one mount in bytes.
	MaxContent = 4 << 20
	// MaxAsk and MaxTold bound the payloads of the frames.
	MaxAsk  = 256 << 10
	MaxTold = 8 << 20
)

// Request asks for mounts.
type Request struct {
	// Paths are where they are in the dev container, as its pod names them.
	Paths []string `json:"paths"`
}

// Mount is how a mount is at a moment.
type Mount struct {
	// Path is as it was asked for.
	Path string `json:"path"`
	// Problem says why nothing is known of it; empty otherwise.
	Problem string `json:"problem,omitempty"`
	// Single means that it is one file, whose name is empty.
	Single bool `json:"single,omitempty"`
	// Files are all files in it, by name.
	Files []File `json:"files,omitempty"`
	// Unreadable are the names of those that the container's user may not read.
	Unreadable []string `json:"unreadable,omitempty"`
}

// File is a file of a mount.
type File struct {
	// Name is relative to the mount and separated by slashes.
	Name string `json:"name"`
	// Mode are the permission bits.
	Mode fs.FileMode `json:"mode"`
	// Content is all that is in it.
	Content []byte `json:"content"`
}

// NewRequest renders a request.
func NewRequest(r Request) ([]byte, error) { return frame.JSON(Ask, r, MaxAsk) }

// ReadRequest reads what the client asks for.
func ReadRequest(from io.Reader) (Request, error) {
	var r Request
	if err := read(from, Ask, &r); err != nil {
		return Request{}, err
	}
	if len(r.Paths) > MaxPaths {
		return Request{}, fmt.Errorf("%d mounts are asked for, at most %d are possible", len(r.Paths), MaxPaths)
	}
	for _, p := range r.Paths {
		if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
			return Request{}, fmt.Errorf("%q is no place of a mount", p)
		}
	}
	return r, nil
}

// NewMount renders what is told of a mount.
func NewMount(m Mount) ([]byte, error) { return frame.JSON(Told, m, MaxTold) }

// ReadMount reads what is told of a mount, which keeps the limits, and whose names
// lead nowhere but below it.
func ReadMount(from io.Reader) (Mount, error) {
	var m Mount
	if err := read(from, Told, &m); err != nil {
		return Mount{}, err
	}
	return m, m.Verify()
}

func read(from io.Reader, want Type, message any) error {
	t, payload, err := frame.Read(from, limit)
	if err != nil {
		return err
	}
	return frame.Decode(t, want, payload, message)
}

// limit returns the largest payload of a type: 0 for unknown ones.
func limit(t Type) uint32 {
	switch t {
	case Ask:
		return MaxAsk
	case Told:
		return MaxTold
	}
	return 0
}

// Verify refuses what is beyond the limits, and names that no kubelet makes.
func (m *Mount) Verify() error {
	switch count, size := m.Count(), m.Size(); {
	case count > MaxFiles:
		return fmt.Errorf("%s has %d files and folders: at most %d are possible", m.Path, count, MaxFiles)
	case size > MaxContent:
		return fmt.Errorf("%s has %d bytes: at most %d are possible", m.Path, size, MaxContent)
	case len(m.Problem) > MaxProblem:
		return fmt.Errorf("%s has a problem of %d bytes: at most %d are possible", m.Path, len(m.Problem), MaxProblem)
	case m.Problem != "" && len(m.Files) > 0:
		return fmt.Errorf("%s has files and none", m.Path)
	case m.Single && (len(m.Files) > 1 || len(m.Files) == 1 && m.Files[0].Name != ""):
		return fmt.Errorf("%s is one file and several", m.Path)
	}
	names := slices.Clone(m.Unreadable)
	for _, f := range m.Files {
		names = append(names, f.Name)
		if f.Mode&^fs.ModePerm != 0 {
			return fmt.Errorf("%s has a file of mode %v", m.Path, f.Mode)
		}
	}
	for _, name := range names {
		if err := checkName(name); err != nil && (!m.Single || name != "") {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
	}
	return nil
}

// Count is how many files it has, with the folders that they are in: as many as
// their names have words.
func (m *Mount) Count() (n int) {
	for _, f := range m.Files {
		n += 1 + strings.Count(f.Name, "/")
	}
	return n + len(m.Unreadable)
}

// Size is how many bytes the names and contents have.
func (m *Mount) Size() (n int) {
	for _, f := range m.Files {
		n += len(f.Name) + len(f.Content)
	}
	return n
}

// checkName refuses a name that is not below its mount, or that stands for the
// machinery of the kubelet, which begins with two dots.
func checkName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("a name has %d bytes: at most %d are possible", len(name), MaxName)
	}
	first, _, _ := strings.Cut(name, "/")
	if !fs.ValidPath(name) || name == "." || strings.HasPrefix(first, "..") {
		return fmt.Errorf("%q is no name of a file", name)
	}
	return nil
}
