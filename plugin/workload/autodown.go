package workload

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// maxCronJobName is what a CronJob's name may have; those of its Jobs are longer.
const maxCronJobName = 52

// autoDownDeadline bounds one look, the pull of the image included.
const autoDownDeadline = 10 * time.Minute

// autoDown is what gives an original back when no laptop has been heard of for
// too long: a CronJob that looks, and what it is allowed to do. It is no part of
// the clone's pod, which may be what does not come up, and whose ServiceAccount is
// the workload's own. The Role belongs to the original, unless that is a pod, and owns
// the rest: all of it ends with the Role.
type autoDown struct {
	role    *rbacv1.Role
	account *corev1.ServiceAccount
	binding *rbacv1.RoleBinding
	job     *batchv1.CronJob
}

// autoDownName is the name of all four: the workload's, of which a dev environment
// may have several. One that is too long for a CronJob is cut, and told from others
// by a digest.
func autoDownName(workload string) string {
	name := workload + nameSuffix + "-autodown"
	if len(name) <= maxCronJobName {
		return name
	}
	digest := fmt.Sprintf("-%08x", hashOf(name))
	return name[:maxCronJobName-len(digest)] + digest
}

func hashOf(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

// autoDownFor renders the objects. role is the UID of the Role, empty until there
// is one.
func autoDownFor(w *Workload, s *Spec, role types.UID) (*autoDown, error) {
	i, err := containerIndex(w, s.Dev.Container)
	if err != nil {
		return nil, err
	}
	meta := metav1.ObjectMeta{
		Name:        autoDownName(w.Meta.Name),
		Namespace:   w.Meta.Namespace,
		Labels:      merged(s.Dev.Metadata.Labels, map[string]string{LabelDev: "true", LabelInteractive: s.Dev.Name}),
		Annotations: merged(s.Dev.Metadata.Annotations),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role", Name: autoDownName(w.Meta.Name), UID: role,
		}},
	}
	kind := func(gv schema.GroupVersion, name string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: gv.String(), Kind: name}
	}
	does, rules := autoDownTask(w, s)
	a := &autoDown{
		role:    &rbacv1.Role{TypeMeta: kind(rbacv1.SchemeGroupVersion, "Role"), ObjectMeta: meta, Rules: rules},
		account: &corev1.ServiceAccount{TypeMeta: kind(corev1.SchemeGroupVersion, "ServiceAccount"), ObjectMeta: meta},
		binding: &rbacv1.RoleBinding{
			TypeMeta: kind(rbacv1.SchemeGroupVersion, "RoleBinding"), ObjectMeta: meta,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: meta.Name, Namespace: meta.Namespace}},
		},
		job: &batchv1.CronJob{
			TypeMeta: kind(batchv1.SchemeGroupVersion, "CronJob"), ObjectMeta: meta,
			Spec: batchv1.CronJobSpec{
				Schedule:                   autoDownSchedule(s.Dev.AutoDown, string(w.Meta.UID)),
				ConcurrencyPolicy:          batchv1.ForbidConcurrent,
				SuccessfulJobsHistoryLimit: new(int32(0)),
				FailedJobsHistoryLimit:     new(int32(1)),
			},
		},
	}
	a.role.OwnerReferences = owned(w)
	a.job.Spec.JobTemplate.Spec.Template = autoDownPod(w, s, &w.Template.Spec.Containers[i], does.Args())
	return a, nil
}

// autoDownTask returns what is done in the end, and the rights that this needs: for
// the named objects only, but that making a pod again has no name to go by.
func autoDownTask(w *Workload, s *Spec) (config.AutoDown, []rbacv1.PolicyRule) {
	var rules []rbacv1.PolicyRule
	// may allows verbs for one object and returns its path at the API server.
	may := func(r Rule, version, name string, verbs ...string) string {
		rules = append(rules, rbacv1.PolicyRule{
			APIGroups: []string{r.Group}, Resources: []string{r.Resource}, ResourceNames: []string{name}, Verbs: verbs,
		})
		root := "/apis/" + r.Group
		if r.Group == "" {
			root = "/api"
		}
		return strings.Join([]string{root, version, "namespaces", w.Meta.Namespace, r.Resource, name}, "/")
	}
	dev := s.Dev.Name
	t := w.traits()
	does := config.AutoDown{After: s.Dev.AutoDown, Lease: may(leases(""), "v1", leaseName(dev), "get", "patch", "delete")}
	var last string // with it the Role ends
	if autocreated(w) {
		last = may(t.rule(""), t.version, w.Meta.Name, "delete")
	} else {
		does.Original = may(t.rule(""), t.version, w.Meta.Name, "get", "patch")
		last = may(roles(""), "v1", autoDownName(w.Meta.Name), "delete")
	}
	if w.pod != nil {
		does.Memory = may(Deployment.rule(""), "v1", w.CloneName(), "get", "patch")
		// What is not there yet cannot be allowed by its name.
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{t.group}, Resources: []string{t.resource}, Verbs: []string{"create"}})
	}
	for _, name := range s.Scalers {
		// To patch is to be shown, too.
		does.Resume = append(does.Resume, may(scaledObjects(""), kedaVersion, name, "patch"))
		does.PausedFor = w.String()
	}
	does.Delete = append(does.Delete, may(Deployment.rule(""), "v1", w.CloneName(), "delete"))
	if len(s.Secrets) > 0 {
		does.Delete = append(does.Delete, may(core("", "secrets"), "v1", secretName(dev), "delete"))
	}
	if s.Main == nil {
		does.Delete = append(does.Delete, does.Lease)
	}
	does.Delete = append(does.Delete, last)
	return does, rules
}

// autoDownSchedule looks eight times in the time that has to pass, but not more
// often than CronJobs can, and once an hour at least; not all at the same minute.
func autoDownSchedule(after time.Duration, seed string) string {
	const hour = 60
	minutes := min(max(int(after.Minutes()/8), 1), hour)
	for hour%minutes != 0 {
		minutes--
	}
	return fmt.Sprintf("%d-59/%d * * * *", hashOf(seed)%uint32(minutes), minutes)
}

// autoDownPod returns the pod that looks. It may run where the original may, and
// is what the namespace has admitted in the original, with fewer privileges. It
// has none of the original's labels: no Service may find it.
func autoDownPod(w *Workload, s *Spec, original *corev1.Container, args []string) corev1.PodTemplateSpec {
	security := sidecarSecurity(original.SecurityContext, w.Template.Spec.SecurityContext, nil)
	security.AllowPrivilegeEscalation = new(false)
	security.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
	// The sidecar's least: what a quota has left may be little.
	small := original.DeepCopy()
	for name := range small.Resources.Limits {
		small.Resources.Limits[name] = resource.Quantity{}
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			// The proxy of a mesh would keep the pod from ending.
			Labels:      map[string]string{LabelDev: "true", "sidecar.istio.io/inject": "false"},
			Annotations: map[string]string{"linkerd.io/inject": "disabled"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyOnFailure,
			// A quota for pods that do not end by themselves leaves it alone.
			ActiveDeadlineSeconds:        new(int64(autoDownDeadline / time.Second)),
			ServiceAccountName:           autoDownName(w.Meta.Name),
			AutomountServiceAccountToken: new(true),
			EnableServiceLinks:           new(false),
			SecurityContext:              w.Template.Spec.SecurityContext.DeepCopy(),
			ImagePullSecrets:             slices.Clone(w.Template.Spec.ImagePullSecrets),
			NodeSelector:                 w.Template.Spec.NodeSelector,
			Tolerations:                  slices.Clone(w.Template.Spec.Tolerations),
			Containers: []corev1.Container{{
				Name:            "autodown",
				Image:           agentImage(s),
				ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{config.ImagePath},
				Args:            args,
				Resources:       sidecarResources(small, s.Dev.Agent.Resources, s.Least),
				SecurityContext: security,
			}},
		},
	}
}
