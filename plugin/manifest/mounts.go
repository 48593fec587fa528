package manifest

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
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

// secrets reads a list of LOCAL_PATH:REMOTE_PATH or LOCAL_PATH:REMOTE_PATH:MODE,
// the mode in octal.
func (d *devReader) secrets(v value) {
	const readable = 0o644
	for _, item := range v.items() {
		s, ok := item.expanded()
		if !ok {
			continue
		}
		letter := drive(s)
		parts := strings.Split(s[len(letter):], ":")
		secret := Secret{Mode: readable}
		ok = (len(parts) == 2 || len(parts) == 3) && letter+parts[0] != "" && path.IsAbs(parts[1])
		if ok && len(parts) == 3 {
			mode, err := strconv.ParseUint(parts[2], 8, 9)
			secret.Mode, ok = int32(mode), err == nil
		}
		if !ok {
			item.fail("secrets must follow the syntax 'LOCAL_PATH:REMOTE_PATH:MODE', such as token:/run/token:600, not %q", s)
			continue
		}
		secret.Local = d.p.local(letter + parts[0])
		if d.p.opts.Stat != nil {
			checkSecret(item, d.p.opts.Stat, secret.Local)
		}
		if secret.Remote, ok = d.target(item, parts[1]); ok {
			d.dev.Secrets = append(d.dev.Secrets, secret)
		}
	}
}

// checkSecret makes sure that a secret is a file that a Secret can hold.
func checkSecret(v value, stat func(string) (fs.FileInfo, error), local string) {
	info, err := stat(local)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.fail("the file %q does not exist; create it or change the path", local)
	case err != nil:
		v.fail("the file %q cannot be read: %v", local, err)
	case !info.Mode().IsRegular():
		v.fail("%q is not a file; a secret is one file", local)
	case info.Size() > corev1.MaxSecretSize:
		v.fail("the file %q has %d bytes; a Secret of Kubernetes holds at most %d", local, info.Size(), corev1.MaxSecretSize)
	}
}
