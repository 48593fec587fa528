package workload

import (
	"fmt"
	"path"
	"strconv"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
)

// volumeExternal is followed by a number in the names of the pod's volumes for
// claims that exist already.
const volumeExternal = "okteto-external-"

// mountExternal mounts claims that exist already in the dev container. A volume
// that the pod has for a claim is used again: not every driver mounts a claim
// twice in one pod.
func mountExternal(spec *corev1.PodSpec, dev *corev1.Container, d *manifest.Dev) error {
	for _, e := range d.ExternalVolumes {
		if wantsClaim(d) && e.Claim == claimName(d.Name) {
			return fmt.Errorf("claim %q is the workspace's own: use `volumes` to keep folders on it", e.Claim)
		}
		if err := freeMount(dev, e.Mount); err != nil {
			return err
		}
		dev.VolumeMounts = append(dev.VolumeMounts, corev1.VolumeMount{
			Name: volumeOf(spec, e.Claim), MountPath: e.Mount, SubPath: e.SubPath,
		})
	}
	return nil
}

// freeMount refuses a path where the container has something mounted already.
func freeMount(c *corev1.Container, at string) error {
	for _, m := range c.VolumeMounts {
		if path.Clean(m.MountPath) == at {
			return &MountError{Path: at, Volume: m.Name}
		}
	}
	return nil
}

// volumeOf returns the name of the pod's volume for a claim, and adds one where
// there is none that can be written to.
func volumeOf(spec *corev1.PodSpec, claim string) string {
	names := map[string]bool{}
	for _, v := range spec.Volumes {
		if c := v.PersistentVolumeClaim; c != nil && c.ClaimName == claim && !c.ReadOnly {
			return v.Name
		}
		names[v.Name] = true
	}
	number := 0
	for names[volumeExternal+strconv.Itoa(number)] {
		number++
	}
	v := corev1.Volume{Name: volumeExternal + strconv.Itoa(number)}
	v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}
	spec.Volumes = append(spec.Volumes, v)
	return v.Name
}
