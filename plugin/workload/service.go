package workload

import (
	"fmt"
	"path"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServiceSpec returns what the clone of a service is made from, beside the
// original: a further workload of the dev environment that runs its code by
// itself, without the agent. Swap takes it as it takes that of the dev
// environment.
func ServiceSpec(main, service *manifest.Dev, holder string) Spec {
	s := Spec{Dev: *service, Holder: holder, Main: main}
	// By this label the original is known for a service's, too.
	s.Dev.Metadata.Labels = merged(s.Dev.Metadata.Labels, map[string]string{LabelDetached: main.Name})
	return s
}

// devOf returns the dev environment that labels name, and whether they are of
// one of its services.
func devOf(labels map[string]string) (dev string, service bool) {
	if dev := labels[LabelInteractive]; dev != "" {
		return dev, false
	}
	dev = labels[LabelDetached]
	return dev, dev != ""
}

// Joined returns a Spec whose pods have a further container for a service, of the
// same workload.
func Joined(s Spec, service *manifest.Dev) (Spec, error) {
	switch have, want := s.Dev.Replicas, service.Replicas; {
	case s.Main == nil && deref(want, 1) != 1:
		return s, fmt.Errorf("the service %q is a container of the development container's pod, of which there is one: leave `replicas` out", service.Container)
	case s.Main != nil && have != nil && want != nil && *have != *want:
		return s, fmt.Errorf("containers of one workload cannot have %d replicas and %d: give `replicas` once", *have, *want)
	case s.Main != nil && have == nil:
		s.Dev.Replicas = want
	}
	s.Beside = append(slices.Clone(s.Beside), service)
	s.Dev.Metadata.Labels = merged(service.Metadata.Labels, s.Dev.Metadata.Labels)
	s.Dev.Metadata.Annotations = merged(service.Metadata.Annotations, s.Dev.Metadata.Annotations)
	return s, nil
}

// cloneService returns the clone of a service, of whose pods the container i
// runs the code, and those that are beside it.
func cloneService(w *Workload, i int, s *Spec) (*Rendered, error) {
	n, err := serviceReplicas(w, s.Dev.Replicas)
	if err != nil {
		return nil, err
	}
	t := w.Template.DeepCopy()
	renderIdentity(w, t)
	renderPods(&t.Spec, s)
	if err := renderServices(w, t, append([]*manifest.Dev{&s.Dev}, s.Beside...)); err != nil {
		return nil, err
	}
	if shares(s) {
		v := corev1.Volume{Name: volumeWorkspace}
		v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(s.Dev.Name)}
		t.Spec.Volumes = append(t.Spec.Volumes, v)
		gather(t, s.Main)
	}
	renderMeta(w, t, &s.Dev)
	delete(t.Labels, LabelInteractive)
	hash, err := digest(t)
	if err != nil {
		return nil, err
	}
	t.Annotations[AnnotationTemplate] = hash
	d := deployment(w, s, t)
	detach(d.Labels)
	detach(d.Spec.Selector.MatchLabels)
	d.Spec.Replicas = &n
	return &Rendered{Clone: d, Container: t.Spec.Containers[i].Name, Hash: hash}, nil
}

// detach makes labels of a dev environment's pod those of a service's.
func detach(labels map[string]string) {
	labels[LabelDetached] = labels[LabelInteractive]
	delete(labels, LabelInteractive)
}

// serviceReplicas returns how many pods a service has: as many as the original,
// where those are told from each other by nothing.
func serviceReplicas(w *Workload, want *int32) (int32, error) {
	n, ok := before(w)
	switch {
	case w.pod != nil:
		return deref(want, 1), nil
	case w.Stateful != nil && deref(want, 1) > 1:
		return 0, fmt.Errorf("%s cannot have %d replicas as a service: it is one pod, with the name and the claims of the first; leave `replicas` out", w, *want)
	case want != nil:
		return *want, nil
	case !ok:
		return 0, fmt.Errorf("%w, or set `replicas` in the manifest", lost(w))
	case w.Stateful != nil || !w.gate().counted:
		return min(n, 1), nil
	}
	return n, nil
}

// renderServices turns containers into those of services, each another one than
// those that are taken.
func renderServices(w *Workload, t *corev1.PodTemplateSpec, all []*manifest.Dev, taken ...int) error {
	for _, d := range all {
		i, err := containerIndex(w, d.Container)
		if err != nil {
			return err
		}
		c := &t.Spec.Containers[i]
		if slices.Contains(taken, i) {
			return fmt.Errorf("the container %q of %s is named twice: each service of one workload needs a `container` of its own", c.Name, w)
		}
		taken = append(taken, i)
		renderContainer(c, d)
		if len(d.Command.Argv) > 0 {
			c.Command, c.Args = argv(d.Command), nil
		}
		if d.Args != nil {
			c.Args = d.Args
		}
		c.Env = mergeEnv(c.Env, d.Environment)
		if err := mountShared(c, d.Shared); err != nil {
			return err
		}
	}
	return nil
}

// mountShared mounts folders of the workspace.
func mountShared(c *corev1.Container, shared []manifest.Shared) error {
	for _, f := range shared {
		if err := freeMount(c, f.Remote); err != nil {
			return err
		}
		folder := config.RootFolder(f.Root)
		if f.Volume {
			folder = config.VolumeFolder(f.Root)
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{
			Name: volumeWorkspace, MountPath: f.Remote, SubPath: path.Join(folder, f.Sub),
		})
	}
	return nil
}

// forOneNode tells whether a dev environment's claim is for the pods of one node.
func forOneNode(main *manifest.Dev) bool {
	return main.PersistentVolume.AccessMode != corev1.ReadWriteMany
}

// gather keeps the pods that share the claim on one node, where no other can
// mount it. The first of them may go where it likes.
func gather(t *corev1.PodTemplateSpec, main *manifest.Dev) {
	if !forOneNode(main) {
		return
	}
	together := map[string]string{LabelVolume: main.Name}
	t.Labels = merged(t.Labels, together)
	a := t.Spec.Affinity.DeepCopy()
	if a == nil {
		a = &corev1.Affinity{}
	}
	if a.PodAffinity == nil {
		a.PodAffinity = &corev1.PodAffinity{}
	}
	a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(
		a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, corev1.PodAffinityTerm{
			LabelSelector: &metav1.LabelSelector{MatchLabels: together}, TopologyKey: corev1.LabelHostname,
		})
	t.Spec.Affinity = a
}
