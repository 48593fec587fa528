package workload

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// sharing returns a development container with services.
func sharing(services ...*manifest.Dev) *manifest.Dev {
	main := testDev("shop")
	main.PersistentVolume = manifest.PersistentVolume{Enabled: true, AccessMode: corev1.ReadWriteOnce}
	for _, s := range services {
		s.Name = main.Name
		main.Services = append(main.Services, s)
	}
	return &main
}

// code is the synced folder, and a folder of it, in a service.
func code() []manifest.Shared {
	return []manifest.Shared{{Root: "/app", Sub: ".", Remote: "/srv"}, {Root: "/app", Sub: "lib/go", Remote: "/lib/go"}}
}

// TestCloneOfService has golden files as TestClone.
func TestCloneOfService(t *testing.T) {
	tests := map[string]struct {
		original string
		service  manifest.Dev
		edit     func(main *manifest.Dev)
	}{
		"service": {"plain", manifest.Dev{
			Command: manifest.Command{Argv: []string{"go run ."}, Shell: true}, Args: []string{"-v"}, Image: "golang:1.26", Workdir: "/srv",
			Environment: []manifest.EnvVar{{Name: "MODE", Value: "dev"}}, Replicas: new(int32(2)),
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}},
			Metadata:  manifest.Metadata{Labels: map[string]string{"app": "other", "dev": "yes"}, Annotations: map[string]string{"note": "hello"}},
			Pod:       manifest.PodFields{NodeSelector: map[string]string{"pool": "dev"}},
			Shared:    append(code(), manifest.Shared{Root: "/root/.cache", Volume: true, Remote: "/root/.cache"}),
		}, nil},
		"service-many-nodes": {"plain", manifest.Dev{Container: "logs", Shared: code()}, func(main *manifest.Dev) {
			main.PersistentVolume.AccessMode = corev1.ReadWriteMany
		}},
		"service-stateful":  {"stateful", manifest.Dev{Shared: code()}, nil},
		"service-daemonset": {"daemonset", manifest.Dev{Args: []string{"-v"}}, nil},
		"service-cronjob":   {"cronjob", manifest.Dev{Command: manifest.Command{Argv: []string{"work"}}, Shared: code()}, nil},
		"service-flow":      {"flow", manifest.Dev{Paths: manifest.Paths{Template: "spec.job.podTemplate", Suspend: "spec.paused"}, Shared: code()}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := readWorkload(t, filepath.Join("testdata", tt.original+".yaml"), tt.service.Paths)
			main := sharing(&tt.service)
			if tt.edit != nil {
				tt.edit(main)
			}
			s := ServiceSpec(main, &tt.service, testHolder)
			before := w.Template.DeepCopy()
			r, err := Clone(w, nil, s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, &w.Template); diff != "" {
				t.Errorf("the original was changed: %s", diff)
			}
			down, err := ScaledDown(w, &s.Dev)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", name+".golden.yaml"), r.Clone, down)
			again, err := Clone(w, r.Clone, s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, again); diff != "" {
				t.Errorf("applied again it differs: %s", diff)
			}
		})
	}
}

// beside is a service that is the container logs.
func beside() *manifest.Dev {
	return &manifest.Dev{
		Container: "logs", Command: manifest.Command{Argv: []string{"tail"}}, Args: []string{"-f"}, Shared: code()[1:],
		Environment: []manifest.EnvVar{{Name: "MODE", Value: "dev"}},
		Metadata:    manifest.Metadata{Labels: map[string]string{"of": "logs", "logs": "yes"}},
		Pod:         manifest.PodFields{NodeSelector: map[string]string{"pool": "logs"}, Tolerations: []corev1.Toleration{{Key: "logs"}}},
	}
}

// TestCloneOfTwoContainers has golden files of one pod with two containers, of
// which the first decides about the pod.
func TestCloneOfTwoContainers(t *testing.T) {
	first := manifest.Dev{
		Metadata: manifest.Metadata{Labels: map[string]string{"of": "web"}}, Shared: code()[:1],
		Pod: manifest.PodFields{NodeSelector: map[string]string{"pool": "dev"}, Tolerations: []corev1.Toleration{{Key: "dev"}}},
	}
	main := testSpec("shop")
	main.Dev = *sharing(beside())
	main.Dev.Metadata, main.Dev.Pod = first.Metadata, first.Pod
	for name, s := range map[string]Spec{
		"beside":         main,
		"service-beside": ServiceSpec(sharing(&first, beside()), &first, testHolder),
	} {
		t.Run(name, func(t *testing.T) {
			w := readWorkload(t, filepath.Join("testdata", "plain.yaml"), manifest.Paths{})
			s, err := Joined(s, beside())
			if err != nil {
				t.Fatal(err)
			}
			r, err := Clone(w, nil, s)
			if err != nil {
				t.Fatal(err)
			}
			down, err := ScaledDown(w, &s.Dev)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", name+".golden.yaml"), r.Clone, down)
		})
	}
}

func TestJoinedErrors(t *testing.T) {
	two, three := beside(), beside()
	two.Replicas, three.Replicas = new(int32(2)), new(int32(3))
	service := ServiceSpec(sharing(two), two, testHolder)
	for want, f := range map[string]func() (Spec, error){
		`the service "logs" is a container of the development container's pod, of which there is one: leave ` + "`replicas` out": func() (Spec, error) {
			return Joined(testSpec("shop"), two)
		},
		"containers of one workload cannot have 2 replicas and 3: give `replicas` once": func() (Spec, error) { return Joined(service, three) },
	} {
		if _, err := f(); err == nil || err.Error() != want {
			t.Errorf("error  %v\nwanted %s", err, want)
		}
	}
	w := readWorkload(t, filepath.Join("testdata", "plain.yaml"), manifest.Paths{})
	for _, s := range []Spec{service, testSpec("shop")} {
		s.Dev.Container, s.Beside = "logs", []*manifest.Dev{beside()}
		const want = "the container \"logs\" of deployment/api is named twice: each service of one workload needs a `container` of its own"
		if _, err := Clone(w, nil, s); err == nil || err.Error() != want {
			t.Errorf("error  %v\nwanted %s", err, want)
		}
	}
}

// TestCloneWithServices keeps the development container where its services are.
func TestCloneWithServices(t *testing.T) {
	for name, tt := range map[string]struct {
		mode     corev1.PersistentVolumeAccessMode
		shared   []manifest.Shared
		together bool
	}{
		"one node":   {corev1.ReadWriteOnce, code(), true},
		"many nodes": {corev1.ReadWriteMany, code(), false},
		"no code":    {corev1.ReadWriteOnce, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := FromDeployment(testDeployment("api"))
			own := corev1.PodAffinityTerm{TopologyKey: "zone"}
			w.Template.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{own}}}
			s := testSpec("shop")
			s.Dev = *sharing(&manifest.Dev{Shared: tt.shared})
			s.Dev.PersistentVolume.AccessMode = tt.mode
			r, err := Clone(w, nil, s)
			if err != nil {
				t.Fatal(err)
			}
			want := []corev1.PodAffinityTerm{own}
			if tt.together {
				want = append(want, corev1.PodAffinityTerm{
					LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{LabelVolume: "shop"}}, TopologyKey: "kubernetes.io/hostname",
				})
			}
			spec := r.Clone.Spec.Template.Spec
			if d := cmp.Diff(want, spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution); d != "" {
				t.Error(d)
			}
			if got := r.Clone.Spec.Template.Labels[LabelVolume]; (got != "") != tt.together {
				t.Errorf("label %q", got)
			}
		})
	}
}

func TestCloneOfServiceErrors(t *testing.T) {
	tests := map[string]struct {
		edit func(*Workload, *manifest.Dev)
		want string
	}{
		"mount": {func(w *Workload, _ *manifest.Dev) {
			w.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/srv/"}}
		}, `"/srv" cannot be mounted in the dev container: volume "data" is already mounted there`},
		"container": {func(_ *Workload, s *manifest.Dev) { s.Container = "wbe" }, `deployment/api has no container "wbe"; it has web`},
		"replicas of a stateful set": {func(w *Workload, s *manifest.Dev) {
			*w = *FromStatefulSet(testStatefulSet("db"))
			s.Replicas = new(int32(2))
		}, "statefulset/db cannot have 2 replicas as a service: it is one pod, with the name and the claims of the first; leave `replicas` out"},
		"damaged": {func(w *Workload, _ *manifest.Dev) {
			w.Replicas, w.Meta.Annotations = 0, map[string]string{AnnotationReplicas: "many"}
		}, "deployment/api is out of service, and its annotation dev.okteto.com/replicas, which says how it was before, is damaged or gone: set spec.replicas to what it should be, or set `replicas` in the manifest"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := FromDeployment(testDeployment("api"))
			service := &manifest.Dev{Shared: code()}
			main := sharing(service)
			tt.edit(w, service)
			if _, err := Clone(w, nil, ServiceSpec(main, service, testHolder)); err == nil || err.Error() != tt.want {
				t.Errorf("error  %v\nwanted %s", err, tt.want)
			}
		})
	}
}

// develop swaps the Deployment api for the dev environment shop, and a
// Deployment and a StatefulSet as its services.
func develop(t *testing.T, c *Client) *manifest.Dev {
	t.Helper()
	main := sharing(&manifest.Dev{Workload: "worker", Shared: code()}, &manifest.Dev{Workload: "sts/db"})
	s := testSpec("shop")
	s.Dev = *main
	swap(t, c, "api", s)
	for _, d := range main.Services {
		swap(t, c, d.Workload, ServiceSpec(main, d, testHolder))
	}
	return main
}

// TestServicesAreRestored ends a dev environment with its services, whole or in
// parts, whatever of it is left.
func TestServicesAreRestored(t *testing.T) {
	all := []string{"deployment/api", "deployment/worker", "statefulset/db"}
	tests := map[string]struct {
		options RestoreOptions
		lose    func(t *testing.T, c *Client)
		want    []string
		left    []string
	}{
		"by the environment":      {RestoreOptions{Name: "shop"}, nil, all, nil},
		"by name and environment": {RestoreOptions{Name: "shop", Dev: "shop"}, nil, all, nil},
		"all":                     {RestoreOptions{All: true}, nil, all, nil},
		"one service":             {RestoreOptions{Name: "worker"}, nil, all[1:2], []string{"api-okteto", "db-okteto", "lease", "secret"}},
		"without clones": {RestoreOptions{Name: "shop"}, func(t *testing.T, c *Client) {
			for _, name := range []string{"api-okteto", "worker-okteto", "db-okteto"} {
				if err := c.Kube.AppsV1().Deployments(testNamespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}, all, nil},
		"one service without its clone": {RestoreOptions{Name: "db"}, func(t *testing.T, c *Client) {
			if err := c.Kube.AppsV1().Deployments(testNamespace).Delete(t.Context(), "db-okteto", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}, all[2:], []string{"api-okteto", "lease", "secret", "worker-okteto"}},
		"the main workload is gone": {RestoreOptions{Name: "shop"}, func(t *testing.T, c *Client) {
			for _, name := range []string{"api-okteto", "api"} {
				if err := c.Kube.AppsV1().Deployments(testNamespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"deployment/worker", "statefulset/db", "/shop"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, kube := newClient(t, testDeployment("api"), testDeployment("worker"), testStatefulSet("db"))
			before := jsonOf(t, kube, Deployment, "worker") + jsonOf(t, kube, StatefulSet, "db")
			develop(t, c)
			f, err := c.Find(t.Context(), Query{Name: "api", Dev: "shop"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Acquire(t.Context(), f, Claimant{Dev: "shop", Holder: testHolder}); err != nil {
				t.Fatal(err)
			}
			s := testSpec("shop")
			s.Secrets = []SecretFile{{Path: "/run/token"}}
			if _, err := c.applySecret(t.Context(), f.Workload, &s); err != nil {
				t.Fatal(err)
			}
			if tt.lose != nil {
				tt.lose(t, c)
			}
			done, err := c.Restore(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range done {
				got = append(got, r.Workload)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			if !slices.Equal(got, want) {
				t.Errorf("restored %v, want %v", got, want)
			}
			if got := left(t, c); !slices.Equal(got, tt.left) {
				t.Errorf("left are %v, want %v", got, tt.left)
			}
			if tt.left == nil {
				if d := cmp.Diff(before, jsonOf(t, kube, Deployment, "worker")+jsonOf(t, kube, StatefulSet, "db")); d != "" {
					t.Errorf("the restored differ (-before +after):\n%s", d)
				}
			}
		})
	}
}

// left lists the clones, and whether there are Lease and Secret.
func left(t *testing.T, c *Client) []string {
	t.Helper()
	var all []string
	l, err := c.Kube.AppsV1().Deployments(testNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: LabelClone})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range l.Items {
		all = append(all, d.Name)
	}
	if _, err := c.Kube.CoordinationV1().Leases(testNamespace).Get(t.Context(), "shop-okteto", metav1.GetOptions{}); err == nil {
		all = append(all, "lease")
	}
	if _, err := c.Kube.CoreV1().Secrets(testNamespace).Get(t.Context(), "shop-okteto", metav1.GetOptions{}); err == nil {
		all = append(all, "secret")
	}
	slices.Sort(all)
	return all
}

// TestServicesOfAnEnvironment are told by Get, and not taken for it.
func TestServicesOfAnEnvironment(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"), testDeployment("worker"), testStatefulSet("db"))
	develop(t, c)
	for _, name := range []string{"shop", "api", "deploy/api"} {
		e, err := c.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		want := []ServiceState{{Workload: "statefulset/db", Replicas: 1}, {Workload: "deployment/worker", Replicas: 3}}
		if d := cmp.Diff(want, e.Services); d != "" || e.Name != "api" {
			t.Errorf("%s is %s/%s: %s", name, e.Kind, e.Name, d)
		}
	}
	var missing *NotFoundError
	if _, err := c.Get(t.Context(), "worker"); !errors.As(err, &missing) {
		t.Errorf("a service has no agent to reach, and is found: %v", err)
	}
}

// TestServiceInUse refuses what is in development for another reason, before
// anything is written.
func TestServiceInUse(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"), testDeployment("worker"), testStatefulSet("db"))
	main := develop(t, c)
	f, err := c.Find(t.Context(), Query{Name: "worker"})
	if err != nil {
		t.Fatal(err)
	}
	other := sharing(&manifest.Dev{})
	other.Name, other.Services[0].Name = "other", "other"
	for name, s := range map[string]Spec{
		"as itself":            testSpec("worker"),
		"as the environment":   testSpec("shop"),
		"as another's service": ServiceSpec(other, other.Services[0], testHolder),
	} {
		var in *InUseError
		if _, err := Clone(f.Workload, f.Clone, s); !errors.As(err, &in) || in.Dev != "shop" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f, err = c.Find(t.Context(), Query{Name: "api"}); err != nil {
		t.Fatal(err)
	}
	var in *InUseError
	if _, err := Clone(f.Workload, f.Clone, ServiceSpec(main, main.Services[0], testHolder)); !errors.As(err, &in) {
		t.Errorf("the environment as its own service: %v", err)
	}
}

// TestServiceAfterResetOfManagedFields has somebody forget who owns what.
func TestServiceAfterResetOfManagedFields(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"), testDeployment("worker"), testStatefulSet("db"))
	before := jsonOf(t, kube, Deployment, "worker")
	develop(t, c)
	if _, err := kube.AppsV1().Deployments(testNamespace).Patch(t.Context(), "worker", types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]}}`),
		metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, jsonOf(t, kube, Deployment, "worker")); d != "" {
		t.Errorf("the restored differs (-before +after):\n%s", d)
	}
}

// TestPlanOfAService compares a plan with what is written.
func TestPlanOfAService(t *testing.T) {
	c, kube := newClient(t, testDeployment("worker"))
	withKEDA(c, testScaledObject("web", "", "worker", nil))
	service := &manifest.Dev{Shared: code()}
	s := ServiceSpec(sharing(service), service, testHolder)
	f, err := c.Find(t.Context(), Query{Name: "worker", Dev: "any"})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := c.PlanService(f, s)
	if err != nil {
		t.Fatal(err)
	}
	if sent := written(t, kube); len(sent) > 0 {
		t.Fatalf("a plan has written %v", sent)
	}
	if _, err := c.Swap(t.Context(), f, s); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, p := range plan {
		kinds = append(kinds, p.Object.GetKind()+"/"+p.Object.GetName())
	}
	if got := strings.Join(kinds, " "); got != "Deployment/worker-okteto Deployment/worker ScaledObject/web" || len(written(t, kube)) != 2 {
		t.Errorf("planned %s, written %v", got, written(t, kube))
	}
}
