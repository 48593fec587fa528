package workload

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// cases are the clones of the golden files: the original is
// testdata/<name>.yaml, its clone and what the original becomes
// testdata/<name>.golden.yaml.
func cases() map[string]func(*Spec) {
	return map[string]func(*Spec){
		"plain": func(s *Spec) {},
		"nosync": func(s *Spec) {
			s.Dev.Sync = nil
			s.Dev.Lifecycle = manifest.Lifecycle{PostStart: manifest.Hook{Removed: true}, PreStop: manifest.Hook{Removed: true}}
		},
		"seeded": func(s *Spec) {
			s.ImageVolumes = false
			s.Dev.Volumes = []string{"/root/.cache", "/app/node_modules"}
			s.Dev.PersistentVolume.Enabled = true
			s.Secrets = []SecretFile{
				{Path: "/root/.netrc", Mode: 0o600, Content: []byte("a")},
				{Path: "/app/.env", Mode: 0o644, Content: []byte("b")},
			}
			s.SecretUID = "uid-secret"
		},
		"restricted": func(s *Spec) {
			s.Dev.Container = "web"
			s.Dev.Image = "golang:1.26"
			s.Dev.Workdir = "/app"
			s.Dev.SSHServerPort = 2022
			s.Dev.Environment = []manifest.EnvVar{{Name: "MODE", Value: "dev"}, {Name: "OKTETO_NAME", Value: "mine"}}
			s.Dev.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
			s.Dev.Metadata = manifest.Metadata{
				Labels:      map[string]string{"app": "other", "dev": "yes"},
				Annotations: map[string]string{"note": "hello"},
			}
			s.Dev.Pod = manifest.PodFields{
				NodeSelector:      map[string]string{"pool": "dev"},
				Tolerations:       []corev1.Toleration{{Key: "dev", Operator: corev1.TolerationOpExists}},
				ServiceAccount:    "developer",
				PriorityClassName: "low",
				SecurityContext:   &manifest.SecurityContext{RunAsUser: new(int64(1000)), FSGroup: new(int64(2000))},
			}
		},
		"stateful": func(s *Spec) {
			s.Dev.Name = "database"
			s.Dev.ExternalVolumes = []manifest.ExternalVolume{
				{Claim: "models", Mount: "/models"},
				{Claim: "models", SubPath: "small/ones", Mount: "/app/small"},
				{Claim: "data-db-2", SubPath: "lib", Mount: "/lib2"},
			}
		},
		"hybrid": func(s *Spec) {
			s.Dev.Sync, s.Dev.Mode, s.Dev.LocalDir = nil, manifest.ModeHybrid, "/home/dev/frontend"
			s.Dev.Environment = []manifest.EnvVar{{Name: "MODE", Value: "dev"}}
		},
		"replicaset": func(s *Spec) {},
		"daemonset":  func(s *Spec) {},
		"rollout":    func(s *Spec) {},
		"flow":       func(s *Spec) { s.Dev.Paths = manifest.Paths{Template: "spec.job.podTemplate", Suspend: "spec.paused"} },
		"job":        func(s *Spec) {},
		"pod":        func(s *Spec) {},
		"cronjob":    func(s *Spec) { s.Dev.Metadata.Labels = map[string]string{"role": "dev"} },
	}
}

func TestClone(t *testing.T) {
	for name, edit := range cases() {
		t.Run(name, func(t *testing.T) {
			s := testSpec("api")
			edit(&s)
			w := readWorkload(t, filepath.Join("testdata", name+".yaml"), s.Dev.Paths)
			before := w.Template.DeepCopy()
			r, err := Clone(w, nil, s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, &w.Template); diff != "" {
				t.Errorf("the original was changed: %s", diff)
			}
			golden := []any{r.Clone}
			if w.pod == nil { // else it is deleted
				down, err := ScaledDown(w, &s.Dev)
				if err != nil {
					t.Fatal(err)
				}
				golden = append(golden, down)
			}
			checkGolden(t, filepath.Join("testdata", name+".golden.yaml"), golden...)

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

// update rewrites the golden files.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

// checks is how many cases a property is tried with, unless -rapid.checks says
// otherwise: each of ours makes an in-memory API server.
const checks = "25"

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}

func checkGolden(t *testing.T, file string, objects ...any) {
	t.Helper()
	var docs []string
	for _, o := range objects {
		b, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(b))
	}
	got := strings.Join(docs, "---\n")
	if update() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", file, diff)
	}
}

func readWorkload(t *testing.T, file string, paths manifest.Paths) *Workload {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal(b, &object); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: object}
	kind := kindOf(u.GetAPIVersion(), u.GetKind())
	if _, ok := kind.traits(); !ok {
		return customWorkload(t, string(b), paths)
	}
	o := blank(kind)
	if err := yaml.UnmarshalStrict(b, o); err != nil {
		t.Fatal(err)
	}
	return workloadOf(o)
}

// blank returns an object of a kind.
func blank(kind Kind) runtime.Object {
	switch kind {
	case StatefulSet:
		return &appsv1.StatefulSet{}
	case ReplicaSet:
		return &appsv1.ReplicaSet{}
	case DaemonSet:
		return &appsv1.DaemonSet{}
	case Job:
		return &batchv1.Job{}
	case CronJob:
		return &batchv1.CronJob{}
	case Pod:
		return &corev1.Pod{}
	}
	return &appsv1.Deployment{}
}

// TestCloneKeepsTheFirstKey checks that a second laptop restarts nothing.
func TestCloneKeepsTheFirstKey(t *testing.T) {
	w := FromDeployment(testDeployment("api"))
	first, err := Clone(w, nil, testSpec("api"))
	if err != nil {
		t.Fatal(err)
	}
	s := testSpec("api")
	s.AuthorizedKey, s.Holder = "ssh-ed25519 BBBB bob@desk", "bob@desk/7"
	second, err := Clone(w, first.Clone, s)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Authorized || second.Authorized {
		t.Errorf("authorized: first %v, second %v", first.Authorized, second.Authorized)
	}
	if diff := cmp.Diff(first.Clone.Spec, second.Clone.Spec); diff != "" {
		t.Errorf("the second laptop changes the pod: %s", diff)
	}
	if got := second.Clone.Annotations[AnnotationHolder]; got != s.Holder {
		t.Errorf("holder %q", got)
	}
}

// TestProbesAndHooks checks each choice of the manifest against a container
// that has them all.
func TestProbesAndHooks(t *testing.T) {
	exec := func(command ...string) *corev1.LifecycleHandler {
		return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: command}}
	}
	own := corev1.Container{
		LivenessProbe: &corev1.Probe{PeriodSeconds: 1}, ReadinessProbe: &corev1.Probe{PeriodSeconds: 2}, StartupProbe: &corev1.Probe{PeriodSeconds: 3},
		Lifecycle: &corev1.Lifecycle{PostStart: exec("warm"), PreStop: exec("drain"), StopSignal: new(corev1.SIGUSR1)},
	}
	kept := &corev1.Lifecycle{PostStart: exec("warm"), PreStop: exec("drain")}
	gone := manifest.Hook{Removed: true}
	command := func(shell bool, argv ...string) manifest.Hook {
		return manifest.Hook{Command: manifest.Command{Argv: argv, Shell: shell}}
	}
	tests := []struct {
		name      string
		have      corev1.Container
		probes    manifest.Probes
		lifecycle manifest.Lifecycle
		want      corev1.Container
	}{
		{"unset", own, manifest.Probes{}, manifest.Lifecycle{}, corev1.Container{Lifecycle: kept}},
		{"liveness", own, manifest.Probes{Liveness: true}, manifest.Lifecycle{}, corev1.Container{LivenessProbe: own.LivenessProbe, Lifecycle: kept}},
		{"readiness", own, manifest.Probes{Readiness: true}, manifest.Lifecycle{}, corev1.Container{ReadinessProbe: own.ReadinessProbe, Lifecycle: kept}},
		{"startup", own, manifest.Probes{Startup: true}, manifest.Lifecycle{}, corev1.Container{StartupProbe: own.StartupProbe, Lifecycle: kept}},
		{"one hook gone", own, manifest.Probes{}, manifest.Lifecycle{PreStop: gone}, corev1.Container{Lifecycle: &corev1.Lifecycle{PostStart: exec("warm")}}},
		{"both gone", own, manifest.Probes{}, manifest.Lifecycle{PostStart: gone, PreStop: gone}, corev1.Container{}},
		{"commands", own, manifest.Probes{}, manifest.Lifecycle{PostStart: command(true, "make warm"), PreStop: command(false, "stop", "-q")},
			corev1.Container{Lifecycle: &corev1.Lifecycle{PostStart: exec("sh", "-c", "make warm"), PreStop: exec("stop", "-q")}}},
		{"nothing to keep", corev1.Container{}, manifest.Probes{Liveness: true, Readiness: true, Startup: true}, manifest.Lifecycle{}, corev1.Container{}},
		{"a hook of one's own", corev1.Container{}, manifest.Probes{}, manifest.Lifecycle{PostStart: command(false, "warm")},
			corev1.Container{Lifecycle: &corev1.Lifecycle{PostStart: exec("warm")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s := FromDeployment(testDeployment("api")), testSpec("api")
			tt.have.Name = "web"
			w.Template.Spec.Containers[0] = *tt.have.DeepCopy()
			s.Dev.Probes, s.Dev.Lifecycle = tt.probes, tt.lifecycle
			r, err := Clone(w, nil, s)
			if err != nil {
				t.Fatal(err)
			}
			c := r.Clone.Spec.Template.Spec.Containers[0]
			got := corev1.Container{
				LivenessProbe: c.LivenessProbe, ReadinessProbe: c.ReadinessProbe, StartupProbe: c.StartupProbe, Lifecycle: c.Lifecycle,
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCloneErrors(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Workload, *Spec)
		want string
	}{
		{"container", func(w *Workload, s *Spec) { s.Dev.Container = "wbe" },
			`deployment/api has no container "wbe"; it has web`},
		{"mount", func(w *Workload, s *Spec) {
			w.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/app/"}}
		}, `"/app" cannot be mounted in the dev container: volume "data" is already mounted there`},
		{"agent's mount", func(w *Workload, s *Spec) {
			w.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: config.BinDir}}
		}, `"/var/okteto/bin" cannot be mounted in the dev container: volume "data" is already mounted there`},
		{"external volume on another", func(w *Workload, s *Spec) {
			w.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/models/"}}
			s.Dev.ExternalVolumes = []manifest.ExternalVolume{{Claim: "models", Mount: "/models"}}
		}, `"/models" cannot be mounted in the dev container: volume "data" is already mounted there`},
		{"external volume on a sync root", func(w *Workload, s *Spec) {
			s.Dev.ExternalVolumes = []manifest.ExternalVolume{{Claim: "models", Mount: "/app"}}
		}, `"/app" cannot be mounted in the dev container: volume "okteto-external-0" is already mounted there`},
		{"the workspace as external volume", func(w *Workload, s *Spec) {
			s.Dev.PersistentVolume.Enabled = true
			s.Dev.ExternalVolumes = []manifest.ExternalVolume{{Claim: "api-okteto", Mount: "/models"}}
		}, "claim \"api-okteto\" is the workspace's own: use `volumes` to keep folders on it"},
		{"secret on another", func(w *Workload, s *Spec) {
			w.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/run/token"}}
			s.Secrets = []SecretFile{{Path: "/run/token"}}
		}, `"/run/token" cannot be mounted in the dev container: volume "data" is already mounted there`},
		{"root", func(w *Workload, s *Spec) { s.Roots = []string{"/"} },
			`"/" cannot be mounted: use an absolute, clean path below /`},
		{"relative volume", func(w *Workload, s *Spec) { s.Dev.Volumes = []string{"cache"} },
			`"cache" cannot be mounted: use an absolute, clean path below /`},
		{"container's name", func(w *Workload, s *Spec) { w.Template.Spec.Containers[0].Name = config.SidecarContainer },
			`deployment/api already has a container "okteto-agent"`},
		{"volume's name", func(w *Workload, s *Spec) {
			w.Template.Spec.Volumes = []corev1.Volume{{Name: volumeWorkspace}}
		}, `deployment/api already has a volume "okteto-workspace"`},
		{"claims deleted", func(w *Workload, s *Spec) {
			st := testStatefulSet("db")
			st.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			}
			*w = *FromStatefulSet(st)
		}, "statefulset/db deletes its volume claims when it scales down: set persistentVolumeClaimRetentionPolicy.whenScaled to Retain first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s := FromDeployment(testDeployment("api")), testSpec("api")
			tt.edit(w, &s)
			_, err := Clone(w, nil, s)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error  %v\nwanted %s", err, tt.want)
			}
		})
	}
}

func TestCloneInUse(t *testing.T) {
	w := FromDeployment(testDeployment("api"))
	r, err := Clone(w, nil, testSpec("api"))
	if err != nil {
		t.Fatal(err)
	}
	var in *InUseError
	if _, err := Clone(w, r.Clone, testSpec("web")); !errors.As(err, &in) || in.Dev != "api" {
		t.Errorf("another environment: %v", err)
	}
	if _, err := Clone(workloadOf(testReplicaSet("api")), r.Clone, testSpec("api")); !errors.As(err, &in) || in.Workload != "deployment/api" {
		t.Errorf("another kind of the same name: %v", err)
	}
	foreign := testDeployment("api-okteto")
	if _, err := Clone(w, foreign, testSpec("api")); !errors.As(err, &in) || in.Dev != "" {
		t.Errorf("another tool: %v", err)
	}
}

func TestExcluded(t *testing.T) {
	w, s := FromDeployment(testDeployment("api")), testSpec("api")
	w.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
		{Name: "config", MountPath: "/app/config/app.yaml", SubPath: "app.yaml"},
		{Name: "tmp", MountPath: "/application"},
	}
	s.Roots = []string{"/app", "/app/lib"}
	s.Dev.Volumes = []string{"/app/node_modules", "/cache"}
	r, err := Clone(w, nil, s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/app/config/app.yaml", "/app/node_modules"}, r.Excluded); diff != "" {
		t.Error(diff)
	}
}

func TestSidecarUser(t *testing.T) {
	tests := []struct {
		name string
		dev  *corev1.SecurityContext
		pod  *corev1.PodSecurityContext
		// image is the image's user, as far as it is known.
		image, want *int64
	}{
		{"nothing set", nil, nil, nil, nil},
		{"a user", &corev1.SecurityContext{RunAsUser: new(int64(7))}, nil, nil, new(int64(7))},
		{"the pod's user", nil, &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(7))}, nil, nil},
		{"non-root without a user", nil, &corev1.PodSecurityContext{RunAsNonRoot: new(true)}, nil, new(int64(nonRootUser))},
		{"own non-root", &corev1.SecurityContext{RunAsNonRoot: new(true)}, nil, nil, new(int64(nonRootUser))},
		{"own root", &corev1.SecurityContext{RunAsNonRoot: new(false)}, &corev1.PodSecurityContext{RunAsNonRoot: new(true)}, nil, nil},
		{"non-root, the image's user", nil, &corev1.PodSecurityContext{RunAsNonRoot: new(true)}, new(int64(1000)), new(int64(1000))},
		{"a user, not the image's", &corev1.SecurityContext{RunAsUser: new(int64(7)), RunAsNonRoot: new(true)}, nil, new(int64(1000)), new(int64(7))},
		{"root, whatever the image's user", nil, nil, new(int64(1000)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sidecarSecurity(tt.dev, tt.pod, tt.image)
			if diff := cmp.Diff(tt.want, got.RunAsUser); diff != "" {
				t.Error(diff)
			}
			if !*got.ReadOnlyRootFilesystem {
				t.Error("its file system is writable")
			}
		})
	}
}

// TestDevContainer chooses the container to develop in.
func TestDevContainer(t *testing.T) {
	for _, tt := range []struct{ name, annotation, manifest, want string }{
		{"the first", "", "", "proxy"},
		{"the template's default", "web", "", "web"},
		{"the manifest's", "proxy", "web", "web"},
		{"a default that is not there", "gone", "", "proxy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := FromDeployment(testDeployment("api")), testSpec("api")
			w.Template.Spec.Containers = []corev1.Container{{Name: "proxy"}, {Name: "web"}}
			w.Template.Annotations = map[string]string{annotationDefaultContainer: tt.annotation}
			s.Dev.Container = tt.manifest
			r, err := Clone(w, nil, s)
			if err != nil {
				t.Fatal(err)
			}
			if r.Container != tt.want {
				t.Errorf("develops in %q, want %q", r.Container, tt.want)
			}
		})
	}
}

// TestSidecarResources holds the sidecar to what a LimitRange lets the dev
// container have.
func TestSidecarResources(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	for _, tt := range []struct {
		name  string
		dev   corev1.ResourceRequirements
		least corev1.ResourceList
		want  corev1.ResourceRequirements
	}{
		{"nothing", corev1.ResourceRequirements{}, list("1", "1Gi"), corev1.ResourceRequirements{}},
		{"requests alone", corev1.ResourceRequirements{Requests: list("2", "4Gi")}, nil, corev1.ResourceRequirements{Requests: list("10m", "64Mi")}},
		{"large", corev1.ResourceRequirements{Limits: list("4", "8Gi")}, nil, corev1.ResourceRequirements{Requests: list("10m", "64Mi"), Limits: list("1", "512Mi")}},
		{"smaller than the usual", corev1.ResourceRequirements{Limits: list("500m", "256Mi")}, nil, corev1.ResourceRequirements{Requests: list("10m", "64Mi"), Limits: list("500m", "256Mi")}},
		{"too small for sync", corev1.ResourceRequirements{Limits: list("10m", "16Mi")}, nil, corev1.ResourceRequirements{Requests: list("10m", "64Mi"), Limits: list("250m", "128Mi")}},
		{"a minimum below", corev1.ResourceRequirements{Limits: list("500m", "256Mi")}, list("5m", "16Mi"), corev1.ResourceRequirements{Requests: list("10m", "64Mi"), Limits: list("500m", "256Mi")}},
		{"a minimum above the requests", corev1.ResourceRequirements{Limits: list("500m", "256Mi")}, list("100m", "128Mi"), corev1.ResourceRequirements{Requests: list("100m", "128Mi"), Limits: list("500m", "256Mi")}},
		{"a minimum above the limits", corev1.ResourceRequirements{Limits: list("4", "8Gi")}, list("2", "1Gi"), corev1.ResourceRequirements{Requests: list("2", "1Gi"), Limits: list("2", "1Gi")}},
		{"a minimum of what is not set", corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}, list("100m", "128Mi"),
			corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := sidecarResources(&corev1.Container{Resources: tt.dev}, corev1.ResourceRequirements{}, tt.least)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
