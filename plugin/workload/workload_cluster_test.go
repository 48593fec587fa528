//go:build e2e

package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/restore"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

const clusterImage = "127.0.0.1:5000/busybox:1"

// cluster is a namespace of its own in the cluster that the environment
// names, never another.
type cluster struct {
	*Client
	t          *testing.T
	agentImage string
}

func newCluster(t *testing.T, labels map[string]string) *cluster {
	t.Helper()
	env := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Fatalf("%s is not set: this test needs KUBECONFIG, OKTETO_TEST_CONTEXT and OKTETO_AGENT_IMAGE; make e2e sets them", name)
		}
		return v
	}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: env("KUBECONFIG")},
		&clientcmd.ConfigOverrides{CurrentContext: env("OKTETO_TEST_CONTEXT")}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	c := &cluster{t: t, agentImage: env("OKTETO_AGENT_IMAGE")}
	c.Client = &Client{Kube: clientset(t, cfg), Config: func() *rest.Config { return cfg }}
	ns, err := c.Kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "workload-test-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Namespace = ns.Name
	t.Cleanup(func() {
		if err := c.Kube.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return c
}

func clientset(t *testing.T, cfg *rest.Config) *kubernetes.Clientset {
	t.Helper()
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return kube
}

// kubectl runs the user's own tool.
func (c *cluster) kubectl(stdin string, args ...string) string {
	c.t.Helper()
	args = append([]string{"--context", os.Getenv("OKTETO_TEST_CONTEXT"), "-n", c.Namespace}, args...)
	cmd := exec.CommandContext(c.t.Context(), "kubectl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// podTemplate is a program that runs until it is told to end.
func podTemplate(name string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{
				Name: "web", Image: clusterImage, Command: []string{"sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"},
			}},
		},
	}
}

func clusterDeployment(name string, n int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": "shop"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: podTemplate(name),
		},
	}
}

func clusterStatefulSet(name string, n int32) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &n, ServiceName: name,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: podTemplate(name),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceStorage: resource.MustParse("1Mi"),
					}},
				},
			}},
		},
	}
}

func clusterReplicaSet(name string, n int32) *appsv1.ReplicaSet {
	d := clusterDeployment(name, n)
	return &appsv1.ReplicaSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
		ObjectMeta: d.ObjectMeta,
		Spec:       appsv1.ReplicaSetSpec{Replicas: &n, Selector: d.Spec.Selector, Template: d.Spec.Template},
	}
}

// clusterDaemonSet is a DaemonSet that asks for a label of nodes, or for none.
func clusterDaemonSet(name string, nodes map[string]string) *appsv1.DaemonSet {
	d := clusterDeployment(name, 1)
	d.Spec.Template.Spec.NodeSelector = nodes
	return &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: d.ObjectMeta,
		Spec:       appsv1.DaemonSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
	}
}

// clusterJob is a Job, and clusterCronJob a CronJob of one, that is suspended
// or not.
func clusterJob(name string, suspend bool) *batchv1.Job {
	t := podTemplate(name)
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	j := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": "shop"}},
		Spec:       batchv1.JobSpec{Template: t},
	}
	if suspend {
		j.Spec.Suspend = new(true)
	}
	return j
}

func clusterCronJob(name string, suspend bool) *batchv1.CronJob {
	j := clusterJob(name, false)
	return &batchv1.CronJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"},
		ObjectMeta: j.ObjectMeta,
		Spec:       batchv1.CronJobSpec{Schedule: "0 0 1 1 *", Suspend: &suspend, JobTemplate: batchv1.JobTemplateSpec{Spec: j.Spec}},
	}
}

// clusterObject is a workload of any kind.
func clusterObject(kind Kind, name string, n int32) runtime.Object {
	switch kind {
	case StatefulSet:
		return clusterStatefulSet(name, n)
	case ReplicaSet:
		return clusterReplicaSet(name, n)
	case DaemonSet:
		return clusterDaemonSet(name, map[string]string{"kubernetes.io/os": "linux"})
	case Job:
		return clusterJob(name, false)
	case CronJob:
		return clusterCronJob(name, false)
	}
	return clusterDeployment(name, n)
}

func (c *cluster) create(d *appsv1.Deployment) {
	c.t.Helper()
	if _, err := c.Kube.AppsV1().Deployments(c.Namespace).Create(c.t.Context(), d, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) spec(dev string) Spec {
	s := testSpec(dev)
	s.AgentImage = c.agentImage
	s.AuthorizedKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFRqZjvJp5l6Gk0bN1cJv5gXn3b8Jt5Y0v6n0wq1cX5f ann@laptop"
	return s
}

func (c *cluster) swap(name string, s Spec) *Swapped {
	c.t.Helper()
	return swap(c.t, c.Client, name, s)
}

// snapshot is an object as JSON, without what a restore may change.
func (c *cluster) snapshot(kind Kind, name string) (string, []metav1.ManagedFieldsEntry) {
	c.t.Helper()
	all, err := known(kind).api(c.Client).list(c.t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil || len(all) != 1 {
		c.t.Fatal(all, err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(all[0])
	if err != nil {
		c.t.Fatal(err)
	}
	o := &unstructured.Unstructured{Object: content}
	owners := o.GetManagedFields()
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	o.SetGeneration(0)
	delete(content, "status")
	// The API server counts the changes of a DaemonSet's template here.
	unstructured.RemoveNestedField(content, "metadata", "annotations", appsv1.DeprecatedTemplateGeneration)
	b, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b), owners
}

// TestClusterRoundTrip swaps and restores workloads that were made in all the
// ways that people make them.
func TestClusterRoundTrip(t *testing.T) {
	c := newCluster(t, nil)
	made := map[string]func(manifest, name string){
		"create":      func(m, _ string) { c.kubectl(m, "create", "-f", "-") },
		"apply":       func(m, _ string) { c.kubectl(m, "apply", "-f", "-") },
		"server-side": func(m, _ string) { c.kubectl(m, "apply", "--server-side", "-f", "-") },
		"helm":        func(m, _ string) { c.kubectl(m, "apply", "--server-side", "--field-manager=helm", "-f", "-") },
		"scaled": func(m, ref string) {
			c.kubectl(m, "apply", "--server-side", "-f", "-")
			c.kubectl("", "scale", "--replicas=3", ref)
		},
	}
	for how, do := range made {
		for _, traits := range kinds() {
			kind := traits.kind
			if kind == Pod || how == "scaled" && joined(traits.gate.path) != joined(known(Deployment).gate.path) {
				continue
			}
			t.Run(how+"/"+string(kind), func(t *testing.T) {
				name := how + "-" + strings.ToLower(string(kind))
				b, err := yaml.Marshal(clusterObject(kind, name, 2))
				if err != nil {
					t.Fatal(err)
				}
				do(string(b), ref(kind, name))
				c.ready(kind, name)
				c.roundTrip(t, kind, name)
			})
		}
	}
}

// ready waits until all pods of a workload are.
func (c *cluster) ready(kind Kind, name string) {
	c.t.Helper()
	switch kind {
	case CronJob:
		return
	case Job:
		c.kubectl("", "wait", "--for=jsonpath={.status.ready}=1", "--timeout=60s", ref(kind, name))
		return
	case Deployment, StatefulSet, DaemonSet:
		c.kubectl("", "rollout", "status", "--timeout=60s", ref(kind, name))
		return
	}
	w, err := c.get(c.t.Context(), known(kind), name)
	if err != nil {
		c.t.Fatal(err)
	}
	c.kubectl("", "wait", fmt.Sprintf("--for=jsonpath={.status.readyReplicas}=%d", w.Replicas), "--timeout=60s", ref(kind, name))
}

func (c *cluster) roundTrip(t *testing.T, kind Kind, name string) {
	before, owned := c.snapshot(kind, name)
	s := c.spec(name)
	s.Dev.Metadata = manifest.Metadata{Labels: map[string]string{"team": "x", "y": "z"}, Annotations: map[string]string{"a": "b"}}
	start := time.Now()
	out := c.swap(ref(kind, name), s)
	pod, err := c.Wait(t.Context(), out.Target, WaitOptions{Until: Running})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("swapped and running after %s", time.Since(start))
	key, err := c.HostKey(t.Context(), pod.Name)
	if err != nil || !strings.HasPrefix(key, "ssh-ed25519 ") {
		t.Errorf("host key %q, %v", key, err)
	}
	if kind == StatefulSet && (pod.Spec.Hostname != name+"-0" || pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "data-"+name+"-0") {
		t.Errorf("pod %+v", pod.Spec)
	}

	clone, err := c.getClone(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	again := c.swap(name, s)
	after, err := c.getClone(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if again.Changed || clone.Generation != after.Generation {
		t.Errorf("swapping again changed the clone: generation %d, then %d", clone.Generation, after.Generation)
	}
	if same, err := c.Wait(t.Context(), again.Target, WaitOptions{Until: Running}); err != nil || same.Name != pod.Name {
		t.Errorf("swapping again: pod %v, %v", same, err)
	}

	done, err := c.Restore(t.Context(), RestoreOptions{Name: name, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if len(done) != 1 || done[0].Ready == 0 || !done[0].Scaled {
		t.Errorf("restored %+v", done)
	}
	now, owners := c.snapshot(kind, name)
	if diff := cmp.Diff(before, now); diff != "" {
		t.Errorf("restored (-before +after):\n%s", diff)
	}
	if restore.HasOurs(entriesOf(owners)) {
		t.Errorf("we still own %v", owners)
	}
	path := (&Workload{Kind: kind}).gate().path
	if diff := cmp.Diff(ownerNames(owned, path), ownerNames(owners, path)); diff != "" {
		t.Errorf("owners of %v: %s", path, diff)
	}
}

func ownerNames(entries []metav1.ManagedFieldsEntry, path []string) []string {
	var names []string
	for _, e := range restore.OwnersOf(entriesOf(entries), path) {
		names = append(names, fmt.Sprintf("%s %s %s", e.Manager, e.Operation, e.Subresource))
	}
	slices.Sort(names)
	return names
}

// waitFor swaps and waits, and expects the wait to fail well before its
// deadline.
func (c *cluster) waitFor(s Spec) error {
	c.t.Helper()
	out := c.swap("api", s)
	start := time.Now()
	_, err := c.Wait(c.t.Context(), out.Target, WaitOptions{Until: Running, Timeout: time.Minute})
	c.t.Logf("after %s: %v", time.Since(start).Round(time.Millisecond), err)
	if err == nil {
		c.t.Error("the pod runs")
	}
	if _, err := c.Restore(c.t.Context(), RestoreOptions{Name: "api", Volumes: true}); err != nil {
		c.t.Error(err)
	}
	return err
}

func TestClusterBadImages(t *testing.T) {
	c := newCluster(t, nil)
	c.create(clusterDeployment("api", 1))
	tests := []struct {
		name             string
		edit             func(*Spec)
		container, image string
	}{
		{"dev image", func(s *Spec) { s.Dev.Image = "127.0.0.1:5000/absent:1" }, "web", "127.0.0.1:5000/absent:1"},
		{"dev image without image volumes", func(s *Spec) {
			s.Dev.Image, s.ImageVolumes, s.Dev.Sync = "127.0.0.1:5000/absent:1", false, nil
		}, "web", "127.0.0.1:5000/absent:1"},
		{"agent image", func(s *Spec) { s.AgentImage = "127.0.0.1:5000/noagent:1" }, "okteto-agent", "127.0.0.1:5000/noagent:1"},
		{"bad name", func(s *Spec) { s.Dev.Image = "Not A Name" }, "web", "Not A Name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := c.spec("api")
			tt.edit(&s)
			var e *PodError
			if err := c.waitFor(s); !errors.As(err, &e) || e.Container != tt.container || e.Image != tt.image {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestClusterCrash(t *testing.T) {
	c := newCluster(t, nil)
	d := clusterDeployment("api", 1)
	d.Spec.Template.Spec.InitContainers = []corev1.Container{{
		Name: "migrate", Image: clusterImage, Command: []string{"sh", "-c", "echo no database; exit 3"},
	}}
	c.create(d)
	var e *PodError
	if err := c.waitFor(c.spec("api")); !errors.As(err, &e) || e.Container != "migrate" || !strings.Contains(e.Logs, "no database") {
		t.Errorf("error %v", err)
	}
	s := c.spec("api")
	s.AgentImage = clusterImage
	if err := c.waitFor(s); !errors.As(err, &e) || e.Container != "okteto-agent" {
		t.Errorf("error %v", err)
	}
}

func TestClusterUnschedulable(t *testing.T) {
	c := newCluster(t, nil)
	c.create(clusterDeployment("api", 1))
	s := c.spec("api")
	s.Dev.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
	var e *PodError
	if err := c.waitFor(s); !errors.As(err, &e) || e.Reason != "Unschedulable" || !strings.Contains(e.Message, "Insufficient cpu") {
		t.Errorf("error %v", err)
	}
}

// TestClusterQuota checks that a quota which only the original's pods fill is
// no failure, and that another is.
func TestClusterQuota(t *testing.T) {
	c := newCluster(t, nil)
	_, err := c.Kube.CoreV1().ResourceQuotas(c.Namespace).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "small"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl("", "wait", "--for=jsonpath={.status.hard.pods}=1", "resourcequota/small")
	c.create(clusterDeployment("api", 1))
	c.kubectl("", "rollout", "status", "--timeout=60s", "deployment/api")
	out := c.swap("api", c.spec("api"))
	start := time.Now()
	if _, err := c.Wait(t.Context(), out.Target, WaitOptions{Until: Running, Timeout: time.Minute}); err != nil {
		t.Fatalf("the original's own pod is in the way: %v", err)
	}
	t.Logf("running after %s", time.Since(start))
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "api", Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	other := clusterDeployment("other", 1)
	c.kubectl("", "scale", "deployment/api", "--replicas=0")
	c.kubectl("", "wait", "--for=delete", "pod", "-l", "app=api", "--timeout=60s")
	c.create(other)
	c.kubectl("", "rollout", "status", "--timeout=60s", "deployment/other")
	var e *RefusedError
	if err := c.waitFor(c.spec("api")); !errors.As(err, &e) || e.By != RefusedQuota {
		t.Errorf("error %v", err)
	}
}

func TestClusterLimitRange(t *testing.T) {
	c := newCluster(t, nil)
	c.create(clusterDeployment("api", 1))
	_, err := c.Kube.CoreV1().LimitRanges(c.Namespace).Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "small"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := c.spec("api")
	s.Dev.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
	var e *RefusedError
	if err := c.waitFor(s); !errors.As(err, &e) || e.By != RefusedLimitRange {
		t.Errorf("error %v", err)
	}
}

func TestClusterPodSecurity(t *testing.T) {
	c := newCluster(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	c.create(clusterDeployment("api", 1))
	var e *RefusedError
	if err := c.waitFor(c.spec("api")); !errors.As(err, &e) || e.By != RefusedPodSecurity {
		t.Errorf("error %v", err)
	}

	// A workload that conforms has a clone that conforms.
	d := clusterDeployment("good", 1)
	spec := &d.Spec.Template.Spec
	spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		RunAsUser: new(int64(1234)), AllowPrivilegeEscalation: new(false),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	c.create(d)
	for _, volumes := range []bool{true, false} {
		s := c.spec("good")
		s.ImageVolumes = volumes
		out := c.swap("good", s)
		if _, err := c.Wait(t.Context(), out.Target, WaitOptions{Until: Running, Timeout: time.Minute}); err != nil {
			t.Errorf("image volumes %v: %v", volumes, err)
		}
	}
}

func TestClusterClaim(t *testing.T) {
	c := newCluster(t, nil)
	c.create(clusterDeployment("api", 1))
	s := c.spec("api")
	s.Dev.Volumes = []string{"/cache"}
	s.Dev.PersistentVolume.Size = "8Mi"
	out := c.swap("api", s)
	if _, err := c.Wait(t.Context(), out.Target, WaitOptions{Until: Running, Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	f, err := c.Find(t.Context(), Query{Name: "api"})
	if err != nil {
		t.Fatal(err)
	}
	s.Dev.PersistentVolume.Size = "4Mi"
	var e *ClaimError
	if _, err := c.Swap(t.Context(), f, s); !errors.As(err, &e) || e.Field != "size" {
		t.Errorf("error %v", err)
	}
	done, err := c.Restore(t.Context(), RestoreOptions{Name: "api", Volumes: true})
	if err != nil || !done[0].Claim {
		t.Errorf("restored %+v, %v", done, err)
	}
}

// TestClusterForbidden checks that the missing rule is named, with a service
// account that may only read.
func TestClusterForbidden(t *testing.T) {
	c := newCluster(t, nil)
	c.create(clusterDeployment("api", 1))
	ctx := t.Context()
	rbac := c.Kube.RbacV1()
	_, err := rbac.Roles(c.Namespace).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"apps"}, Resources: []string{"deployments", "statefulsets"}, Verbs: []string{"get"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rbac.RoleBindings(c.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: c.Namespace}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl("", "wait", "--for=create", "serviceaccount/default")
	token, err := c.Kube.CoreV1().ServiceAccounts(c.Namespace).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := rest.AnonymousClientConfig(c.Config())
	cfg.BearerToken = token.Status.Token
	reader := &Client{Kube: clientset(t, cfg), Config: func() *rest.Config { return cfg }, Namespace: c.Namespace}
	f, err := reader.Find(ctx, Query{Name: "api", Dev: "api"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := reader.Acquire(ctx, f, Claimant{Dev: "api", Holder: testHolder})
	if err != nil || l.Unavailable == nil {
		t.Errorf("lease %+v, %v", l, err)
	}
	var e *ForbiddenError
	_, err = reader.Swap(ctx, f, c.spec("api"))
	if !errors.As(err, &e) || e.Rule.Group != "apps" || e.Rule.Resource != "deployments" || e.Rule.Verb != "patch" {
		t.Errorf("swap: %v", err)
	}
	_, err = reader.Restore(ctx, RestoreOptions{Name: "api"})
	if !errors.As(err, &e) || e.Rule.Verb != "list" {
		t.Errorf("restore: %v", err)
	}
	_, err = reader.Exec(ctx, "api", "web", []string{"true"}, nil)
	if !errors.As(err, &e) || e.Rule.Resource != "pods/exec" {
		t.Errorf("exec: %v", err)
	}
	if _, err := c.Server(ctx); err != nil {
		t.Error(err)
	}
}

func TestClusterLease(t *testing.T) {
	c := newCluster(t, nil)
	c.create(clusterDeployment("api", 1))
	ann := Claimant{Dev: "api", Holder: "ann@laptop/1", Forwards: []string{"8080:80"}}
	bob := Claimant{Dev: "api", Holder: "bob@desk/2"}
	acquire := func(who Claimant) (*Lease, error) {
		f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
		if err != nil {
			t.Fatal(err)
		}
		return c.Acquire(t.Context(), f, who)
	}
	first, err := acquire(ann)
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := acquire(bob); !errors.As(err, &held) || held.Holder != ann.Holder {
		t.Errorf("error %v", err)
	}
	bob.TakeOver, bob.Forwards = true, []string{"9090:90"}
	second, err := acquire(bob)
	if err != nil {
		t.Fatal(err)
	}
	var lost *TakenOverError
	if err := first.renew(t.Context()); !errors.As(err, &lost) || lost.By != bob.Holder {
		t.Errorf("error %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Error(err)
	}
	c.swap("api", c.spec("api"))
	e, err := c.Get(t.Context(), "api")
	if err != nil || e.Holder != bob.Holder || !slices.Equal(e.Forwards, []string{"9090:90"}) || e.Since.IsZero() || e.Expired {
		t.Errorf("environment %+v, %v", e, err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := acquire(ann); err != nil {
		t.Errorf("after the release: %v", err)
	}
}
