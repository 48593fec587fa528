package manifest

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// defaultTarget is where files go when nothing says where.
const defaultTarget = "/okteto"

// Names returns the names of the development containers, sorted.
func (m *Manifest) Names() []string {
	return slices.Sorted(maps.Keys(m.Dev))
}

// Select returns the development container of a name, as it is written in the
// manifest or sanitised; with an empty name the only one. Otherwise the error
// is ErrNoDev, an *UnknownDevError or a *ChooseDevError.
func (m *Manifest) Select(name string) (*Dev, error) {
	names := m.Names()
	if len(names) == 0 {
		return nil, &InvalidError{Path: m.Path, Reason: ErrNoDev, Problems: []Problem{{
			Message: "your manifest doesn't have a \"dev\" section; add one, such as\n" +
				"  dev:\n    <workload>:\n      sync:\n        - .:/app"}}}
	}
	if name == "" {
		if len(names) > 1 {
			return nil, &ChooseDevError{Path: m.Path, Known: names}
		}
		return m.Dev[names[0]], nil
	}
	for _, n := range []string{name, sanitise(name)} {
		if dev, ok := m.Dev[n]; ok {
			return dev, nil
		}
	}
	return nil, &UnknownDevError{Path: m.Path, Name: name, Known: names}
}

// Default returns the manifest of `up` without a manifest: the absolute folder
// dir is synced to the container's workdir, or to /okteto where the container
// has none or the root of its file system.
func Default(workload, workdir, dir string) *Manifest {
	name := strings.ReplaceAll(sanitise(workload), ".", "-")
	dev := newDev(name)
	dev.Workload = workload
	target := workdir
	if target == "" || target == "/" {
		target = defaultTarget
	}
	dev.Workdir = target
	dev.Sync = []SyncFolder{{Local: filepath.Clean(dir), Remote: target}}
	return &Manifest{Dir: filepath.Clean(dir), Dev: map[string]*Dev{name: dev}}
}
