package workload

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
)

// Volumes of the clone's pod.
const (
	volumeBin       = "okteto-bin"
	volumeRun       = "okteto-run"
	volumeWorkspace = "okteto-workspace"
	volumeImage     = "okteto-image"
)

// placesDir is where our containers have the workspace's parts, each by its
// number: in one another, as in the dev container, each would show in the other
// as the folder on which it is mounted.
const placesDir = "/var/okteto/places"

// place is one part of the workspace: a sync root or an entry of `volumes`.
type place struct {
	path, subPath string
	root          bool
}

// placesOf returns the workspace's parts.
func placesOf(s *Spec) ([]place, error) {
	roots := s.Roots
	if roots == nil {
		for _, f := range s.Dev.Sync {
			roots = append(roots, f.Remote)
		}
	}
	var places []place
	seen := map[string]bool{}
	add := func(p, subPath string, root bool) error {
		if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
			return fmt.Errorf("%q cannot be mounted: use an absolute, clean path below /", p)
		}
		if !seen[p] {
			seen[p] = true
			places = append(places, place{p, subPath, root})
		}
		return nil
	}
	for _, r := range roots {
		if err := add(r, config.RootFolder(r), true); err != nil {
			return nil, err
		}
	}
	for _, v := range s.Dev.Volumes {
		if err := add(v, config.VolumeFolder(v), false); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// wantsClaim tells whether the workspace lives on a claim.
func wantsClaim(d *manifest.Dev) bool { return d.PersistentVolume.Enabled || len(d.Volumes) > 0 }

// mountPlaces mounts the workspace and the agent in the dev container. It
// returns the mounts that are inside a sync root without being the root's.
func mountPlaces(dev *corev1.Container, places []place) ([]string, error) {
	var excluded []string
	own := workspaceMounts(places)
	for _, m := range dev.VolumeMounts {
		at := path.Clean(m.MountPath)
		if at == config.BinDir || at == config.RunDir {
			return nil, &MountError{Path: at, Volume: m.Name}
		}
		for _, p := range places {
			if p.path == at {
				return nil, &MountError{Path: at, Volume: m.Name}
			}
		}
		own = append(own, corev1.VolumeMount{MountPath: at})
	}
	for _, m := range own {
		for _, p := range places {
			isRoot := slices.ContainsFunc(places, func(o place) bool { return o.root && o.path == m.MountPath })
			if p.root && !isRoot && strings.HasPrefix(m.MountPath, p.path+"/") && !slices.Contains(excluded, m.MountPath) {
				excluded = append(excluded, m.MountPath)
			}
		}
	}
	slices.Sort(excluded)
	dev.VolumeMounts = append(dev.VolumeMounts,
		corev1.VolumeMount{Name: volumeBin, MountPath: config.BinDir, ReadOnly: true},
		corev1.VolumeMount{Name: volumeRun, MountPath: config.RunDir})
	dev.VolumeMounts = append(dev.VolumeMounts, workspaceMounts(places)...)
	return excluded, nil
}

// workspaceMounts mounts the workspace's parts where they belong.
func workspaceMounts(places []place) []corev1.VolumeMount {
	var ms []corev1.VolumeMount
	for _, p := range places {
		ms = append(ms, corev1.VolumeMount{Name: volumeWorkspace, MountPath: p.path, SubPath: p.subPath})
	}
	return ms
}

// numberedMounts mounts the workspace's parts below placesDir.
func numberedMounts(places []place) []corev1.VolumeMount {
	ms := workspaceMounts(places)
	for i := range ms {
		ms[i].MountPath = placesDir + "/" + strconv.Itoa(i)
	}
	return ms
}

// seeds tells how a fresh workspace gets the image's files: from an image
// volume, or else by an init container; neither when there is no workspace.
func seeds(s *Spec, places []place) (byVolume, byContainer bool) {
	return len(places) > 0 && s.ImageVolumes, len(places) > 0 && !s.ImageVolumes
}

func renderVolumes(spec *corev1.PodSpec, s *Spec, dev *corev1.Container, places []place) {
	empty := func(name string) {
		v := corev1.Volume{Name: name}
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		spec.Volumes = append(spec.Volumes, v)
	}
	empty(volumeBin)
	empty(volumeRun)
	if wantsClaim(&s.Dev) {
		v := corev1.Volume{Name: volumeWorkspace}
		v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(s.Dev.Name)}
		spec.Volumes = append(spec.Volumes, v)
	} else {
		empty(volumeWorkspace)
	}
	if byVolume, _ := seeds(s, places); byVolume {
		v := corev1.Volume{Name: volumeImage}
		v.Image = &corev1.ImageVolumeSource{Reference: dev.Image, PullPolicy: dev.ImagePullPolicy}
		spec.Volumes = append(spec.Volumes, v)
	}
}

// renderInit puts our containers before the original's init containers: the
// sidecar first, so that its hook has installed the agent before anything
// that needs it.
func renderInit(spec *corev1.PodSpec, s *Spec, dev *corev1.Container, places []place, excluded []string) {
	ours := []corev1.Container{sidecar(spec, s, dev, places, excluded)}
	if _, byContainer := seeds(s, places); byContainer {
		ours = append(ours, seed(dev, places))
	}
	spec.InitContainers = append(ours, spec.InitContainers...)
}

// sidecar returns the agent's container. Its postStart hook installs the
// runner: the kubelet starts the dev container only when the hook has ended,
// which is a second faster than an init container.
func sidecar(spec *corev1.PodSpec, s *Spec, dev *corev1.Container, places []place, excluded []string) corev1.Container {
	args := config.Sidecar{Port: s.Dev.SSHServerPort, Excluded: excluded}
	if s.AuthorizedKey != "" {
		args.AuthorizedKeys = []string{s.AuthorizedKey}
	}
	for _, p := range places {
		if p.root {
			args.Roots = append(args.Roots, config.Root{Path: p.path})
		} else {
			args.Volumes = append(args.Volumes, p.path)
		}
	}
	mounts := []corev1.VolumeMount{
		{Name: volumeBin, MountPath: config.BinDir},
		{Name: volumeRun, MountPath: config.RunDir},
		{Name: volumeWorkspace, MountPath: config.WorkspaceDir},
	}
	// For these the kubelet makes the folders, with the permissions of the
	// volume, before the sidecar starts. It does not use them.
	mounts = append(mounts, numberedMounts(places)...)
	if byVolume, _ := seeds(s, places); byVolume {
		args.SeedFrom = config.ImageDir
		mounts = append(mounts, corev1.VolumeMount{Name: volumeImage, MountPath: config.ImageDir, ReadOnly: true})
	}
	install := &corev1.ExecAction{Command: append([]string{config.ImagePath}, config.Install{Dir: config.BinDir, Folders: foldersBeside(s)}.Args()...)}
	return corev1.Container{
		Name:            config.SidecarContainer,
		Image:           agentImage(s),
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{config.ImagePath},
		Args:            args.Args(),
		RestartPolicy:   new(corev1.ContainerRestartPolicyAlways),
		Lifecycle:       &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: install}},
		VolumeMounts:    mounts,
		Resources:       sidecarResources(dev, s.Dev.Agent.Resources, s.Least),
		SecurityContext: sidecarSecurity(dev.SecurityContext, spec.SecurityContext, s.ImageUser),
	}
}

// foldersBeside are the folders in synced folders that other containers of the pod
// mount, as the sidecar sees them.
func foldersBeside(s *Spec) (folders []string) {
	for _, d := range s.Beside {
		for _, f := range d.Shared {
			if !f.Volume && f.Sub != "." {
				folders = append(folders, path.Join(config.WorkspaceDir, config.RootFolder(f.Root), f.Sub))
			}
		}
	}
	return folders
}

// agentImage returns the agent's image.
func agentImage(s *Spec) string {
	if s.Dev.Agent.Image != "" {
		return s.Dev.Agent.Image
	}
	return s.AgentImage
}

// seed returns the init container that copies the image's files into the
// workspace on servers without image volumes. It is the dev container in all
// that decides about users and policies.
func seed(dev *corev1.Container, places []place) corev1.Container {
	mounts := []corev1.VolumeMount{{Name: volumeBin, MountPath: config.BinDir, ReadOnly: true}}
	var args config.Seed
	for i, m := range numberedMounts(places) {
		mounts = append(mounts, m)
		args.Copies = append(args.Copies, config.Copy{From: places[i].path, To: m.MountPath})
	}
	return corev1.Container{
		Name:            config.SeedContainer,
		Image:           dev.Image,
		ImagePullPolicy: dev.ImagePullPolicy,
		Command:         []string{config.BinDir + "/agent"},
		Args:            args.Args(),
		VolumeMounts:    mounts,
		Resources:       *dev.Resources.DeepCopy(),
		SecurityContext: dev.SecurityContext.DeepCopy(),
	}
}
