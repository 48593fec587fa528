package manifest

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// externalVolumes reads a list of name:mountpath or name:subpath:mountpath.
func (d *devReader) externalVolumes(v value) {
	for _, item := range v.items() {
		s, ok := item.expanded()
		if !ok {
			continue
		}
		parts := strings.Split(s, ":")
		last := len(parts) - 1
		if last < 1 || last > 2 || !path.IsAbs(parts[last]) || last == 2 && parts[1] == "" {
			item.fail("external volume must follow the syntax 'name:subpath:mountpath', where subpath is optional, not %q", s)
			continue
		}
		e := ExternalVolume{Claim: parts[0]}
		if problems := validation.IsDNS1123Subdomain(e.Claim); len(problems) > 0 {
			item.fail("%q is not the name of a volume claim: %s", e.Claim, brief(problems))
			continue
		}
		if last == 2 {
			e.SubPath = path.Clean(parts[1])
			if path.IsAbs(e.SubPath) || e.SubPath == ".." || strings.HasPrefix(e.SubPath, "../") {
				item.fail("the subpath %q must be relative, and stay inside the volume", parts[1])
				continue
			}
		}
		if e.Mount, ok = d.target(item, parts[last]); ok {
			d.dev.ExternalVolumes = append(d.dev.ExternalVolumes, e)
		}
	}
}
