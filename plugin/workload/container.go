package workload

import (
	"cmp"
	"maps"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Variables of the dev container.
const (
	envNamespace = "OKTETO_NAMESPACE"
	envName      = "OKTETO_NAME"
	envUser      = "OKTETO_USERNAME"
)

// nonRootUser is the sidecar's user where the pod must not run as root and
// neither names a user nor tells the image's: the agent image's own is root.
const nonRootUser = 65532

// renderDev turns the original's container into the dev container: the runner
// instead of its command.
func renderDev(c *corev1.Container, s *Spec, namespace, user string) {
	renderContainer(c, &s.Dev)
	if s.Dev.Mode == manifest.ModeHybrid {
		secretsFirst(c.EnvFrom)
	}
	c.Command = config.RunnerCommand()
	c.Args = nil
	c.Env = mergeEnv(c.Env,
		[]manifest.EnvVar{
			{Name: envNamespace, Value: namespace},
			{Name: envName, Value: s.Dev.Name},
			{Name: envUser, Value: user},
		},
		s.Dev.Environment)
}

// secretsFirst lets ConfigMaps win over Secrets, as is promised in hybrid mode:
// of two sources that set a variable, the kubelet takes the later one.
func secretsFirst(sources []corev1.EnvFromSource) {
	rank := func(s corev1.EnvFromSource) int {
		if s.SecretRef != nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(sources, func(a, b corev1.EnvFromSource) int { return rank(a) - rank(b) })
}

// modeOf is the value of AnnotationMode.
func modeOf(dev *manifest.Dev) string { return string(cmp.Or(dev.Mode, manifest.ModeSync)) }

// renderContainer applies the manifest's fields of a container, but for what
// runs in it. It has no probe that the manifest does not ask for: probes belong
// to a process that does not run yet, or that a mistake in the code may stop.
func renderContainer(c *corev1.Container, d *manifest.Dev) {
	if d.Image != "" {
		c.Image = d.Image
	}
	c.ImagePullPolicy = d.ImagePullPolicy
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = corev1.PullIfNotPresent
	}
	if d.Workdir != "" {
		c.WorkingDir = d.Workdir
	}
	renderProbes(c, d.Probes)
	c.Lifecycle = lifecycleOf(c.Lifecycle, d.Lifecycle)
	c.Resources = mergeResources(c.Resources, d.Resources)
	c.SecurityContext = mergeSecurity(c.SecurityContext, d.Pod.SecurityContext)
}

// renderProbes removes the probes that the manifest does not keep.
func renderProbes(c *corev1.Container, keep manifest.Probes) {
	if !keep.Liveness {
		c.LivenessProbe = nil
	}
	if !keep.Readiness {
		c.ReadinessProbe = nil
	}
	if !keep.Startup {
		c.StartupProbe = nil
	}
}

// lifecycleOf returns the hooks of the dev container. A stop signal is not
// kept: it is the original process's, and the runner ends on the usual one.
func lifecycleOf(have *corev1.Lifecycle, want manifest.Lifecycle) *corev1.Lifecycle {
	if have == nil {
		have = &corev1.Lifecycle{}
	}
	l := &corev1.Lifecycle{
		PostStart: hookOf(have.PostStart, want.PostStart),
		PreStop:   hookOf(have.PreStop, want.PreStop),
	}
	if l.PostStart == nil && l.PreStop == nil {
		return nil
	}
	return l
}

func hookOf(have *corev1.LifecycleHandler, want manifest.Hook) *corev1.LifecycleHandler {
	switch {
	case want.Removed:
		return nil
	case len(want.Command.Argv) > 0:
		return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: argv(want.Command)}}
	default:
		return have
	}
}

// argv is what the kernel runs for a command.
func argv(c manifest.Command) []string {
	if c.Shell {
		return []string{"sh", "-c", c.Argv[0]}
	}
	return c.Argv
}

// mergeEnv adds layers of variables; the later layer wins, and each wins over
// the container's own, a valueFrom included. A variable stays where it was,
// because later ones may refer to it.
func mergeEnv(env []corev1.EnvVar, layers ...[]manifest.EnvVar) []corev1.EnvVar {
	at := map[string]int{}
	for i, e := range env {
		at[e.Name] = i
	}
	for _, layer := range layers {
		for _, e := range layer {
			v := corev1.EnvVar{Name: e.Name, Value: e.Value}
			if i, ok := at[e.Name]; ok {
				env[i] = v
				continue
			}
			at[e.Name] = len(env)
			env = append(env, v)
		}
	}
	return env
}

// mergeResources keeps what the manifest does not set.
func mergeResources(have, want corev1.ResourceRequirements) corev1.ResourceRequirements {
	have.Requests = mergeList(have.Requests, want.Requests)
	have.Limits = mergeList(have.Limits, want.Limits)
	if len(want.Claims) > 0 {
		have.Claims = want.Claims
	}
	return have
}

func mergeList(have, want corev1.ResourceList) corev1.ResourceList {
	if len(want) == 0 {
		return have
	}
	m := corev1.ResourceList{}
	maps.Copy(m, have)
	maps.Copy(m, want)
	return m
}

// mergeSecurity sets what the manifest names in a container's own context.
func mergeSecurity(have *corev1.SecurityContext, want *manifest.SecurityContext) *corev1.SecurityContext {
	if want == nil {
		return have
	}
	sc := have.DeepCopy()
	if sc == nil {
		sc = &corev1.SecurityContext{}
	}
	override(&sc.RunAsUser, want.RunAsUser)
	override(&sc.RunAsGroup, want.RunAsGroup)
	override(&sc.RunAsNonRoot, want.RunAsNonRoot)
	override(&sc.AllowPrivilegeEscalation, want.AllowPrivilegeEscalation)
	override(&sc.ReadOnlyRootFilesystem, want.ReadOnlyRootFilesystem)
	override(&sc.Capabilities, want.Capabilities)
	return sc
}

func override[T any](have **T, want *T) {
	if want != nil {
		*have = want
	}
}

// renderPods applies the fields of the pod of all who have a container in it; the
// first who sets one decides.
func renderPods(spec *corev1.PodSpec, s *Spec) {
	for _, d := range slices.Backward(s.Beside) {
		renderPod(spec, &d.Pod)
	}
	renderPod(spec, &s.Dev.Pod)
}

// renderPod applies the manifest's fields of the pod. What only pods can have
// that run to an end is left out: a Deployment refuses it.
func renderPod(spec *corev1.PodSpec, f *manifest.PodFields) {
	if spec.RestartPolicy != "" {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	spec.ActiveDeadlineSeconds = nil
	if f.Affinity != nil {
		spec.Affinity = f.Affinity
	}
	if len(f.NodeSelector) > 0 {
		spec.NodeSelector = f.NodeSelector
	}
	spec.Tolerations = append(spec.Tolerations, f.Tolerations...)
	if f.ServiceAccount != "" {
		spec.ServiceAccountName = f.ServiceAccount
		spec.DeprecatedServiceAccount = ""
	}
	if f.PriorityClassName != "" {
		spec.PriorityClassName = f.PriorityClassName
		spec.Priority = nil
	}
	if f.SecurityContext != nil && f.SecurityContext.FSGroup != nil {
		if spec.SecurityContext == nil {
			spec.SecurityContext = &corev1.PodSecurityContext{}
		}
		spec.SecurityContext.FSGroup = f.SecurityContext.FSGroup
	}
}

// sidecarSecurity returns what the sidecar may do: what the dev container may,
// without privileges that only its own process needs. imageUser is the user of
// the dev container's image, nil when it is not known.
func sidecarSecurity(dev *corev1.SecurityContext, pod *corev1.PodSecurityContext, imageUser *int64) *corev1.SecurityContext {
	sc := dev.DeepCopy()
	if sc == nil {
		sc = &corev1.SecurityContext{}
	}
	sc.Privileged = nil
	sc.ProcMount = nil
	sc.ReadOnlyRootFilesystem = new(true)
	if userLeftToImage(dev, pod) {
		sc.RunAsUser = new(int64(nonRootUser))
		override(&sc.RunAsUser, imageUser)
	}
	return sc
}

// userLeftToImage tells whether a container must not run as root, and only its
// image says as whom it does.
func userLeftToImage(dev *corev1.SecurityContext, pod *corev1.PodSecurityContext) bool {
	nonRoot, user := runAs(dev, pod)
	return nonRoot && user == nil
}

// runAs returns whether a container must not run as root, and its user, nil
// where only its image says.
func runAs(c *corev1.SecurityContext, pod *corev1.PodSecurityContext) (nonRoot bool, user *int64) {
	var must *bool
	if pod != nil {
		must, user = pod.RunAsNonRoot, pod.RunAsUser
	}
	if c != nil {
		override(&must, c.RunAsNonRoot)
		override(&user, c.RunAsUser)
	}
	return deref(must, false), user
}

// sidecarResources returns the manifest's resources of the agent. Where it
// has none and the dev container has some, the sidecar gets small ones of the
// same kinds: a quota refuses a pod in which one container lacks them. Its
// limit is not above the dev container's, as long as sync works within that:
// a LimitRange that allows the one allows the other. Nor is it, or the request,
// below the least that a LimitRange asks for.
func sidecarResources(dev *corev1.Container, want corev1.ResourceRequirements, least corev1.ResourceList) corev1.ResourceRequirements {
	if len(want.Requests) > 0 || len(want.Limits) > 0 {
		return want
	}
	var r corev1.ResourceRequirements
	set := func(name corev1.ResourceName, request, low, high string) {
		_, requested := dev.Resources.Requests[name]
		limit, limited := dev.Resources.Limits[name]
		if requested || limited {
			r.Requests = mergeList(r.Requests, corev1.ResourceList{name: resource.MustParse(request)})
		}
		if limited {
			limit = clamped(limit, resource.MustParse(low), resource.MustParse(high))
			r.Limits = mergeList(r.Limits, corev1.ResourceList{name: limit})
		}
	}
	set(corev1.ResourceCPU, "10m", "250m", "1")
	set(corev1.ResourceMemory, "64Mi", "128Mi", "512Mi")
	r.Requests, r.Limits = raised(r.Requests, least), raised(r.Limits, least)
	return r
}

// clamped returns q, or the bound that it is beyond.
func clamped(q, least, most resource.Quantity) resource.Quantity {
	if q.Cmp(least) < 0 {
		return least
	}
	if q.Cmp(most) > 0 {
		return most
	}
	return q
}
