package manifest

import (
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// readServices reads the further workloads of a development container.
func (d *devReader) readServices(v value) {
	for _, item := range v.items() {
		service := &devReader{p: d.p, dev: &Dev{}, at: item, service: true}
		service.read(item)
		d.services = append(d.services, service)
	}
}

// serviceFields replaces the fields that services do not have by a refusal.
func serviceFields(fields []field) []field {
	refused := []string{"autoDown", "autocreate", "envFiles", "externalVolumes", "forward", "initContainer", "interface", "lifecycle",
		"mode", "network", "persistentVolume", "priorityClassName", "probes", "remote", "reverse", "secrets", "securityContext",
		"serviceAccount", "services", "sshServerPort", "timeout"}
	out := slices.Clone(fields)
	for i, f := range out {
		if slices.Contains(refused, f.name) {
			out[i].shape = nil
			out[i].read = func(v value) { v.fail("%q is not supported in \"services\"", f.name) }
		}
	}
	return out
}

// ofMain warns of a setting of sync that only the development container has.
func (d *devReader) ofMain(v value) {
	if d.service {
		v.warn("has no effect: the services share the folders of the development container, with its settings")
	}
}

// finishServices gives the services what they have from the development
// container: its name, its timeouts, its priority, and folders.
func (d *devReader) finishServices() {
	for _, s := range d.services {
		if s.at.isMap() && s.dev.Workload == "" && len(s.dev.Selector) == 0 {
			s.at.fail("needs a \"name\" or a \"selector\": a service is a further workload")
		}
		s.dev.Name, s.dev.Timeout = d.dev.Name, d.dev.Timeout
		s.dev.Pod.PriorityClassName = d.dev.Pod.PriorityClassName
		s.share(d.dev)
		d.dev.Services = append(d.dev.Services, s.dev)
	}
}

// share finds the synced folders of a service among those of the development
// container, and puts its volumes beside that one's.
func (d *devReader) share(main *Dev) {
	for _, f := range d.dev.Sync {
		root, sub, ok := within(main.Sync, f.Local)
		switch {
		case ok:
			d.dev.Shared = append(d.dev.Shared, Shared{Root: root, Sub: sub, Remote: f.Remote})
		case len(main.Sync) > 0:
			i := slices.IndexFunc(d.targets, func(t target) bool { return t.path == f.Remote })
			d.targets[i].at.fail("the folder %q must be a synced folder of the development container, or in one: that is where the services have their code from", f.Local)
		}
	}
	for _, v := range d.dev.Volumes {
		d.dev.Shared = append(d.dev.Shared, Shared{Root: v, Volume: true, Remote: v})
	}
	d.dev.Sync, d.dev.Volumes = nil, nil
}

// within returns the remote root of the innermost synced folder that a local
// folder is, or is in, and where it is in that.
func within(folders []SyncFolder, local string) (root, sub string, ok bool) {
	for _, f := range folders {
		rel, err := filepath.Rel(f.Local, local)
		if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			continue
		}
		if rel = filepath.ToSlash(rel); !ok || len(rel) < len(sub) {
			root, sub, ok = f.Remote, rel, true
		}
	}
	return root, sub, ok
}

// Sharing tells whether services have folders of a development container's
// claim.
func Sharing(d *Dev) bool {
	return slices.ContainsFunc(d.Services, func(s *Dev) bool { return len(s.Shared) > 0 })
}

// checkSharing finds claims that no second pod can use.
func (d *devReader) checkSharing() {
	switch pv := d.dev.PersistentVolume; {
	case d.claim == nil || !Sharing(d.dev):
	case !pv.Enabled:
		d.claim.fail("must be true to work with \"services\", which have their code from the claim")
	case pv.AccessMode == corev1.ReadWriteOncePod:
		d.claim.fail("the access mode ReadWriteOncePod is for one pod: \"services\" need ReadWriteOnce, which is for one node, or ReadWriteMany")
	}
}
