package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Spec is what a clone is made from, beside the original.
type Spec struct {
	Dev manifest.Dev
	// AgentImage is the agent's image, unless Dev.Agent.Image names one.
	AgentImage string
	// AuthorizedKey is the laptop's public key, one authorized_keys line.
	// Empty means that only keys added later may log in.
	AuthorizedKey string
	// Holder is user@host/<id>; the part before the @ becomes
	// OKTETO_USERNAME.
	Holder string
	// ImageVolumes is true when an image may be mounted as a volume, as far as
	// one knows: a clone that does without keeps doing so, and Swap does when
	// the server refuses.
	ImageVolumes bool
	// Secrets are the contents of Dev.Secrets. SecretUID is that of the Secret
	// that has them; Swap sets it.
	Secrets   []SecretFile
	SecretUID types.UID
	// ImageUser is the user of the dev container's image by number, nil when
	// it is not known: a clone that exists keeps what it was made with.
	ImageUser *int64
	// Least is the least that a container may have; Swap sets it.
	Least corev1.ResourceList
	// Armed is after what time without a laptop the cluster gives the original
	// back, 0 for never; Swap sets it.
	Armed time.Duration
	// Scalers are the ScaledObjects of KEDA that the cluster lets go on then;
	// Swap sets it.
	Scalers []string
	// Roots are the sync targets; nil means those of Dev.Sync.
	Roots []string
	// Main is the development container whose service Dev is; nil for that
	// itself. ServiceSpec makes the Spec of a service.
	Main *manifest.Dev
	// Beside are services that are further containers of the same pod; Joined
	// adds one.
	Beside []*manifest.Dev
}

// Rendered is a clone that is ready to be applied.
type Rendered struct {
	Clone *appsv1.Deployment
	// Container is the dev container's name.
	Container string
	// Hash is the value of AnnotationTemplate.
	Hash string
	// Authorized is false when the clone exists with another laptop's key: it
	// keeps that one, so that its pod is not restarted, and this laptop's key
	// has to be added through Authorize.
	Authorized bool
	// Excluded are the mount paths of the dev container inside its sync
	// roots: what is below them is not the roots' own.
	Excluded []string
}

// Clone returns the development clone of a workload. prior is the clone as it
// exists, or nil: its authorized key, user name and way of seeding are kept. The result
// depends on nothing else, so that applying it again restarts nothing.
func Clone(w *Workload, prior *appsv1.Deployment, s Spec) (*Rendered, error) {
	if err := checkPrior(w, prior, &s); err != nil {
		return nil, err
	}
	i, err := containerIndex(w, s.Dev.Container)
	if err != nil {
		return nil, err
	}
	if err := checkNames(w); err != nil {
		return nil, err
	}
	if s.Main != nil {
		return cloneService(w, i, &s)
	}
	places, err := placesOf(&s)
	if err != nil {
		return nil, err
	}
	t := w.Template.DeepCopy()
	dev := &t.Spec.Containers[i]
	kept := keptFrom(prior)
	authorized := kept.key == "" || kept.key == s.AuthorizedKey
	if kept.key != "" {
		s.AuthorizedKey = kept.key
	}
	if kept.seeded {
		s.ImageVolumes = false
	}
	if prior != nil {
		s.ImageUser = kept.sidecarUser
	}
	user, _, _ := strings.Cut(s.Holder, "@")
	if kept.user != "" {
		user = kept.user
	}

	renderIdentity(w, t)
	renderPods(&t.Spec, &s)
	renderDev(dev, &s, w.Meta.Namespace, user)
	if err := mountExternal(&t.Spec, dev, &s.Dev); err != nil {
		return nil, err
	}
	if err := mountSecrets(&t.Spec, dev, &s); err != nil {
		return nil, err
	}
	excluded, err := mountPlaces(dev, places)
	if err != nil {
		return nil, err
	}
	if err := renderServices(w, t, s.Beside, i); err != nil {
		return nil, err
	}
	renderVolumes(&t.Spec, &s, dev, places)
	renderInit(&t.Spec, &s, dev, places, excluded)
	if manifest.Sharing(&s.Dev) {
		gather(t, &s.Dev)
	}
	renderMeta(w, t, &s.Dev)
	if len(s.Secrets) > 0 {
		t.Annotations[AnnotationSecrets] = secretsDigest(&s)
	}

	hash, err := digest(t)
	if err != nil {
		return nil, err
	}
	t.Annotations[AnnotationTemplate] = hash
	return &Rendered{
		Clone:      deployment(w, &s, t),
		Container:  dev.Name,
		Hash:       hash,
		Authorized: authorized,
		Excluded:   excluded,
	}, nil
}

// checkPrior refuses to apply over a clone that is not this environment's, or
// is what it is for another reason.
func checkPrior(w *Workload, prior *appsv1.Deployment, s *Spec) error {
	if prior == nil {
		return nil
	}
	if prior.Spec.Template.Annotations[AnnotationTemplate] == "" {
		return &InUseError{Workload: w.String()}
	}
	of := w.String()
	other, service := devOf(prior.Labels)
	if kind, name := originalIn(&prior.ObjectMeta); name != "" {
		// A workload of another kind may have the same name.
		of = ref(kind, name)
	}
	if other != s.Dev.Name || service != (s.Main != nil) || of != w.String() {
		return &InUseError{Workload: of, Dev: other}
	}
	return nil
}

// containerIndex finds the dev container; no name means the one that kubectl
// takes: the template's default where it names one that is there, else the
// first.
func containerIndex(w *Workload, name string) (int, error) {
	var names []string
	for _, c := range w.Template.Spec.Containers {
		names = append(names, c.Name)
	}
	if name == "" && len(names) > 0 {
		return max(0, slices.Index(names, w.Template.Annotations[annotationDefaultContainer])), nil
	}
	if i := slices.Index(names, name); i >= 0 {
		return i, nil
	}
	return 0, &ContainerError{Workload: w.String(), Container: name, Containers: names}
}

// checkNames refuses a workload that already uses one of our names.
func checkNames(w *Workload) error {
	spec := &w.Template.Spec
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if c.Name == config.SidecarContainer || c.Name == config.SeedContainer {
			return fmt.Errorf("%s already has a container %q", w, c.Name)
		}
	}
	for _, v := range spec.Volumes {
		switch v.Name {
		case volumeBin, volumeRun, volumeWorkspace, volumeImage, volumeSecrets:
			return fmt.Errorf("%s already has a volume %q", w, v.Name)
		}
	}
	if w.Stateful != nil && w.Stateful.DeletesClaims && len(w.Stateful.Claims) > 0 {
		return &DataLossError{Workload: w.String()}
	}
	return nil
}

// kept is what stays as it is in a clone's template, whoever applies it.
type kept struct {
	key, user string
	// seeded is true when an init container seeds the workspace.
	seeded bool
	// sidecarUser is whom the sidecar runs as, nil for the image's or the pod's.
	sidecarUser *int64
}

func keptFrom(prior *appsv1.Deployment) kept {
	var k kept
	if prior == nil {
		return k
	}
	k.seeded = seededByContainer(&prior.Spec.Template.Spec)
	for _, c := range prior.Spec.Template.Spec.InitContainers {
		if c.Name != config.SidecarContainer || len(c.Args) == 0 {
			continue
		}
		if c.SecurityContext != nil {
			k.sidecarUser = c.SecurityContext.RunAsUser
		}
		if s, err := config.ParseSidecar(c.Args[1:]); err == nil && len(s.AuthorizedKeys) > 0 {
			k.key = s.AuthorizedKeys[0]
		}
	}
	for _, c := range prior.Spec.Template.Spec.Containers {
		for _, e := range c.Env {
			if e.Name == envUser && e.Value != "" {
				k.user = e.Value
			}
		}
	}
	return k
}

// renderIdentity gives the pod of a StatefulSet's clone the first pod's name
// in DNS, its labels and its claims.
func renderIdentity(w *Workload, t *corev1.PodTemplateSpec) {
	if w.Stateful == nil {
		return
	}
	ordinal := strconv.Itoa(int(w.Stateful.Ordinal))
	pod := w.Meta.Name + "-" + ordinal
	t.Spec.Hostname = pod
	t.Spec.Subdomain = w.Stateful.Service
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	t.Labels[appsv1.StatefulSetPodNameLabel] = pod
	t.Labels[appsv1.PodIndexLabel] = ordinal
	for _, c := range w.Stateful.Claims {
		v := corev1.Volume{Name: c.Name}
		v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Name + "-" + pod}
		// A claim template stands before a volume of the same name.
		t.Spec.Volumes = slices.DeleteFunc(t.Spec.Volumes, func(o corev1.Volume) bool { return o.Name == c.Name })
		t.Spec.Volumes = append(t.Spec.Volumes, v)
	}
}

// renderMeta sets the template's labels and annotations. The selector's own
// labels stay as they are, whatever the manifest says.
func renderMeta(w *Workload, t *corev1.PodTemplateSpec, dev *manifest.Dev) {
	t.ObjectMeta = metav1.ObjectMeta{Labels: t.Labels, Annotations: t.Annotations}
	t.Labels = merged(t.Labels, dev.Metadata.Labels)
	maps.Copy(t.Labels, cloneSelector(w).MatchLabels)
	t.Labels[LabelInteractive] = dev.Name
	t.Annotations = merged(t.Annotations, dev.Metadata.Annotations)
}

// merged returns a new map with the entries of all; those of the later win.
func merged(all ...map[string]string) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		maps.Copy(m, a)
	}
	return m
}

// digest identifies a template.
func digest(t *corev1.PodTemplateSpec) (string, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("rendering the pod template: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), nil
}

// deployment returns the clone around its template. It takes the original's
// labels, which admission policies may ask for, but none of its annotations:
// those speak to the tools that made the original.
func deployment(w *Workload, s *Spec, t *corev1.PodTemplateSpec) *appsv1.Deployment {
	selector := cloneSelector(w)
	selector.MatchLabels = merged(selector.MatchLabels, map[string]string{LabelInteractive: s.Dev.Name})
	labels := merged(lessJobLabels(w.Meta.Labels), s.Dev.Metadata.Labels)
	labels[LabelDev] = "true"
	labels[LabelClone] = string(w.Meta.UID)
	labels[LabelInteractive] = s.Dev.Name
	annotations := merged(s.Dev.Metadata.Annotations, map[string]string{AnnotationMode: modeOf(&s.Dev)})
	if s.Holder != "" {
		annotations[AnnotationHolder] = s.Holder
	}
	if w.pod != nil {
		annotations[AnnotationPod] = memoryOf(w.pod)
	}
	if s.Armed > 0 {
		annotations[AnnotationAutoDown] = s.Armed.String()
	}
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: string(Deployment)},
		ObjectMeta: metav1.ObjectMeta{
			Name:            w.CloneName(),
			Namespace:       w.Meta.Namespace,
			Labels:          labels,
			Annotations:     annotations,
			OwnerReferences: owned(w),
		},
		Spec: appsv1.DeploymentSpec{
			Replicas:             new(int32(1)),
			Selector:             selector,
			Template:             *t,
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			RevisionHistoryLimit: new(int32(0)),
		},
	}
}

// owned makes the garbage collector delete what is made for a workload together
// with it, but for a pod, which is not there meanwhile.
func owned(w *Workload) []metav1.OwnerReference {
	if w.pod != nil {
		return nil
	}
	return []metav1.OwnerReference{ownerOf(w)}
}

// ownerOf refers to a workload.
func ownerOf(w *Workload) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: w.traits().apiVersion(), Kind: w.Kind.name(), Name: w.Meta.Name, UID: w.Meta.UID,
	}
}
