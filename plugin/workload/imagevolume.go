package workload

import (
	"errors"
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Whether a pod can mount an image as a volume is for three to say: the API
// server by its version and its feature gate, policies, and the node's kubelet
// and container runtime. Nothing tells what all of them say but trying. A
// workspace is therefore seeded from an image volume where the version allows
// it, and by an init container, which works anywhere, once something about the
// image volume was refused. The clone remembers that, so that it is tried once.

// AboutImageVolume tells whether a failure of Swap or Wait may be due to the
// image volume of the clone, so that it is worth trying without.
func AboutImageVolume(err error) bool {
	var refused *RefusedError
	if errors.As(err, &refused) {
		// Policies have their own words.
		return strings.Contains(strings.ToLower(refused.Message), "volume")
	}
	var pod *PodError
	if !errors.As(err, &pod) {
		return deniedField(err)
	}
	switch pod.Reason {
	case reasonFailedMount:
		return strings.Contains(pod.Message, volumeImage)
	case "CreateContainerError", "CreateContainerConfigError", "RunContainerError":
		// Runtimes fail in many ways at a mount that they do not know. The
		// sidecar is all that has it.
		return pod.Container == config.SidecarContainer
	}
	return false
}

// deniedField tells whether the API server finds a volume without a source: it
// drops fields whose feature gate is off.
func deniedField(err error) bool {
	var s apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &s) || s.Status().Details == nil {
		return false
	}
	for _, cause := range s.Status().Details.Causes {
		if strings.HasPrefix(cause.Field, "spec.template.spec.volumes[") {
			return true
		}
	}
	return false
}

// reasonFailedMount is the reason of the kubelet's events about volumes.
const reasonFailedMount = "FailedMount"

// unknownVolume tells that the kubelet does not know what an image volume is.
func unknownVolume(msg string) bool {
	return strings.Contains(msg, `"`+volumeImage+`"`) && strings.Contains(msg, "no volume plugin matched")
}

// seededByContainer tells whether a clone does without an image volume.
func seededByContainer(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == config.SeedContainer })
}
