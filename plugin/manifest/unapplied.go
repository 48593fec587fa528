package manifest

import "slices"

// later wraps the check of a field that this version knows but does not apply:
// a mistake in it is still a mistake.
func later(check func(value)) func(value) {
	return func(v value) {
		check(v)
		v.warn("is known, but this version does not apply it")
	}
}

// checkServices reads further development containers, only to check them. What
// is doubtful in them does not matter as long as they are not applied.
func (d *devReader) checkServices(v value) {
	warnings := len(d.p.warnings)
	for _, item := range v.items() {
		service := &devReader{p: d.p, dev: newDev(""), at: item, service: true}
		service.read(item)
	}
	d.p.warnings = d.p.warnings[:warnings]
}

// serviceFields replaces the fields that services do not have by a refusal.
func serviceFields(fields []field) []field {
	refused := []string{"autocreate", "envFiles", "externalVolumes", "forward", "initContainer", "interface", "lifecycle",
		"mode", "persistentVolume", "priorityClassName", "probes", "remote", "reverse", "secrets", "securityContext",
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
