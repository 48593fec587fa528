package manifest

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// agentDir is where the agent lives in the dev container.
const agentDir = "/var/okteto"

// sync reads a list of folders, or an object with settings: mode and gitignore
// are ours alone, others are of Okteto's sync engine.
func (d *devReader) sync(v value) {
	if !v.isMap() {
		d.syncList(v)
		return
	}
	mode := SyncMode("")
	v.object([]field{
		{"folders", "Folders to sync, as local:remote.", isList(isAnyOf(isText, isObject)), d.syncList},
		{"mode", "Of all folders that name none.", isOneOf(syncModes()...), func(v value) {
			mode = v.syncMode()
			d.ofMain(v)
		}},
		{"gitignore", "Let the .gitignore files in the folders count.", isBoolean, func(v value) {
			d.dev.GitIgnore, _ = v.boolean()
			d.ofMain(v)
		}},
		{"compression", "Known, but not applied.", isBoolean, later(func(v value) { v.boolean() })},
		{"verbose", "Known, but not applied.", isBoolean, later(func(v value) { v.boolean() })},
		{"rescanInterval", "Known, but not applied.", isInteger, later(func(v value) { v.integer() })},
	})
	for i := range d.dev.Sync {
		if f := &d.dev.Sync[i]; f.Mode == "" {
			f.Mode = mode
		}
	}
}

// syncMode reads which side of a sync may change the other.
func (v value) syncMode() SyncMode {
	s, _ := v.oneOf(syncModes()...)
	return SyncMode(s)
}

func syncModes() []string { return []string{string(SyncTwoWay), string(SyncPush), string(SyncPull)} }

func (d *devReader) syncList(v value) {
	if !v.isList() {
		d.synced = true
		v.want("a list of localPath:remotePath")
		return
	}
	for _, item := range v.items() {
		d.synced = true
		if item.isMap() {
			d.syncFolder(item)
		} else if s, ok := item.expanded(); ok {
			d.syncItem(item, s, "")
		}
	}
}

// syncFolder adds a folder with a mode of its own, which Okteto does not have.
func (d *devReader) syncFolder(v value) {
	var at value
	var text string
	var mode SyncMode
	var found bool
	v.object([]field{
		{"path", "The folder, as local:remote.", isText, func(v value) {
			at = v
			text, found = v.expanded()
		}},
		{"mode", "two-way, or one way.", isOneOf(syncModes()...), func(v value) {
			mode = v.syncMode()
			d.ofMain(v)
		}},
	})
	switch {
	case found:
		d.syncItem(at, text, mode)
	case at.node == nil:
		v.fail("needs a path: localPath:remotePath")
	}
}

// syncItem adds one localPath:remotePath.
func (d *devReader) syncItem(v value, s string, mode SyncMode) {
	letter := drive(s)
	local, remote, ok := strings.Cut(s[len(letter):], ":")
	local = letter + local
	if !ok || local == "" || remote == "" || strings.Contains(remote, ":") {
		v.fail("must follow the syntax 'localPath:remotePath', such as .:/app, not %q", s)
		return
	}
	target, ok := d.target(v, remote)
	if !ok {
		return
	}
	local = d.p.local(local)
	if d.p.opts.Stat != nil {
		checkFolder(v, d.p.opts.Stat, local)
	}
	d.dev.Sync = append(d.dev.Sync, SyncFolder{Local: local, Remote: target, Mode: mode})
}

// onDrive tells a Windows path with its drive, such as C:\x or C:/x; on every
// system, since a manifest is shared.
func onDrive(s string) bool {
	if len(s) < 3 || s[1] != ':' || s[2] != '\\' && s[2] != '/' {
		return false
	}
	c := s[0] | 0x20 // lower case
	return 'a' <= c && c <= 'z'
}

// drive returns the drive that a text of parts between colons begins with, such
// as "C:", whose colon separates nothing. The text "a:/b" begins with the
// folder a: only a backslash or a further colon make it a drive.
func drive(s string) string {
	if !onDrive(s) || s[2] == '/' && !strings.Contains(s[2:], ":") {
		return ""
	}
	return s[:2]
}

// checkFolder makes sure that what is synced is a folder.
func checkFolder(v value, stat func(string) (fs.FileInfo, error), local string) {
	info, err := stat(local)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.fail("the folder %q does not exist; create it or change the path", local)
	case err != nil:
		v.fail("the folder %q cannot be read: %v", local, err)
	case !info.IsDir():
		v.fail("%q is a file, not a folder", local)
	}
}

// target checks a path of the dev container that will be a mount, and
// remembers it.
func (d *devReader) target(v value, remote string) (string, bool) {
	if !path.IsAbs(remote) {
		v.fail("the remote path %q must be absolute, such as /app", remote)
		return "", false
	}
	remote = path.Clean(remote)
	switch {
	case remote == "/":
		v.fail("the remote path must not be \"/\": it would replace the whole file system of the container")
		return "", false
	case remote == agentDir || strings.HasPrefix(remote, agentDir+"/"):
		v.fail("the remote path %q is the agent's own; choose another", remote)
		return "", false
	}
	d.targets = append(d.targets, target{remote, v})
	return remote, true
}

// checkTargets finds remote paths that are used twice.
func (d *devReader) checkTargets() {
	seen := map[string]bool{}
	for _, t := range d.targets {
		if seen[t.path] {
			t.at.fail("the remote path %q is listed multiple times, please check \"sync\", \"volumes\", \"externalVolumes\" and \"secrets\"", t.path)
		}
		seen[t.path] = true
	}
}

// defaultSync syncs the manifest's folder to the workdir when no folder is
// named.
func (d *devReader) defaultSync() {
	switch {
	case d.synced || d.workdirAt.node != nil && d.dev.Workdir == "":
		// What is wrong with them has been said.
	case d.service && d.dev.Workdir != "":
		d.at.fail("\"workdir\" is not supported to define the synchronized folders of \"services\"; use \"sync\" instead")
	case d.service:
	case d.dev.Workdir == "":
		d.at.fail("\"sync\" is missing: say which folder goes where, such as [\".:/app\"], or set \"workdir\"")
	default:
		if remote, ok := d.target(d.workdirAt, d.dev.Workdir); ok {
			d.dev.Sync = []SyncFolder{{Local: d.p.local("."), Remote: remote}}
		}
	}
}

// volumes reads remote paths. The form local:remote is from before sync.
func (d *devReader) volumes(v value) {
	for _, item := range v.items() {
		s, ok := item.text()
		if !ok {
			continue
		}
		if strings.Contains(s[len(drive(s)):], ":") {
			item.warn("is deprecated with a local path: put %q under \"sync\"", s)
			d.synced = true
			d.syncItem(item, s, "")
			continue
		}
		if remote, ok := d.target(item, s); ok {
			d.dev.Volumes = append(d.dev.Volumes, remote)
		}
	}
}

// persistentVolume reads the claim of the workspace.
func (d *devReader) persistentVolume(v value) {
	pv := &d.dev.PersistentVolume
	pv.Enabled = true
	d.claim = &v
	v.object([]field{
		{"accessMode", "ReadWriteOnce when unset.", isOneOf(string(corev1.ReadWriteOnce), string(corev1.ReadWriteOncePod), string(corev1.ReadWriteMany)), func(v value) {
			s, _ := v.oneOf(string(corev1.ReadWriteOnce), string(corev1.ReadWriteOncePod), string(corev1.ReadWriteMany))
			pv.AccessMode = corev1.PersistentVolumeAccessMode(s)
		}},
		{"annotations", "Annotations of the claim.", isPairs, func(v value) { pv.Annotations = v.annotations() }},
		{"enabled", "true when the section is there.", isBoolean, func(v value) {
			pv.Enabled, _ = v.boolean()
			d.claim = &v
		}},
		{"labels", "Labels of the claim.", isPairs, func(v value) { pv.Labels = v.labels(false) }},
		{"size", "5Gi when unset.", isQuantity, func(v value) {
			if q, ok := v.quantity(); ok && q.IsZero() {
				v.fail("the size of a volume must be more than 0")
			}
			pv.Size = v.node.Value
		}},
		{"storageClass", "The cluster's default when unset.", isText, func(v value) { pv.StorageClass, _ = v.text() }},
		{"volumeMode", "Filesystem is the only mode.", isOneOf(string(corev1.PersistentVolumeFilesystem)), func(v value) {
			s, _ := v.text()
			if s != string(corev1.PersistentVolumeFilesystem) {
				v.fail("must be \"Filesystem\", since files are synced to it, not %q", s)
			}
			pv.VolumeMode = corev1.PersistentVolumeFilesystem
		}},
	})
}

// finishClaim decides whether there is a claim and fills in its defaults.
func (d *devReader) finishClaim() {
	pv := &d.dev.PersistentVolume
	switch {
	case d.claim != nil && !pv.Enabled:
		if len(d.dev.Volumes) > 0 {
			d.claim.fail("must be true to work with \"volumes\", which live on the claim")
		}
		*pv = PersistentVolume{}
		return
	case d.claim == nil && len(d.dev.Volumes) == 0 && !Sharing(d.dev):
		return
	}
	pv.Enabled = true
	if pv.AccessMode == "" {
		pv.AccessMode = corev1.ReadWriteOnce
	}
	if pv.VolumeMode == "" {
		pv.VolumeMode = corev1.PersistentVolumeFilesystem
	}
	if pv.Size == "" {
		pv.Size = d.defaultSize()
	}
}

// defaultSize is 5Gi, or what the variable that Okteto has for it says.
func (d *devReader) defaultSize() string {
	const unset = "5Gi"
	if d.p.opts.Lookup == nil {
		return unset
	}
	s, ok := d.p.opts.Lookup("OKTETO_DEV_PERSISTENT_VOLUME_SIZE")
	if !ok || s == "" {
		return unset
	}
	if q, err := resource.ParseQuantity(s); err != nil || q.Sign() <= 0 {
		d.at.warn("has the default size %s for its volume: the variable OKTETO_DEV_PERSISTENT_VOLUME_SIZE is %q, not a size such as 10Gi", unset, s)
		return unset
	}
	return s
}
