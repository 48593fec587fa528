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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		},
		"seeded": func(s *Spec) {
			s.ImageVolumes = false
			s.Dev.Volumes = []string{"/root/.cache", "/app/node_modules"}
			s.Dev.PersistentVolume.Enabled = true
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
		"stateful": func(s *Spec) { s.Dev.Name = "database" },
	}
}

func TestClone(t *testing.T) {
	for name, edit := range cases() {
		t.Run(name, func(t *testing.T) {
			w := readWorkload(t, filepath.Join("testdata", name+".yaml"))
			s := testSpec("api")
			edit(&s)
			before := w.Template.DeepCopy()
			r, err := Clone(w, nil, s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, &w.Template); diff != "" {
				t.Errorf("the original was changed: %s", diff)
			}
			down, err := ScaledDown(w, s.Dev.Name, s.Dev.Metadata)
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

func readWorkload(t *testing.T, file string) *Workload {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(b, &kind); err != nil {
		t.Fatal(err)
	}
	if kind.Kind == string(StatefulSet) {
		var s appsv1.StatefulSet
		if err := yaml.UnmarshalStrict(b, &s); err != nil {
			t.Fatal(err)
		}
		return FromStatefulSet(&s)
	}
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(b, &d); err != nil {
		t.Fatal(err)
	}
	return FromDeployment(&d)
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
		}, `"/app" cannot be a sync target or a volume: volume "data" is already mounted there`},
		{"agent's mount", func(w *Workload, s *Spec) {
			w.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: config.BinDir}}
		}, `"/var/okteto/bin" cannot be a sync target or a volume: volume "data" is already mounted there`},
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
		want *int64
	}{
		{"nothing set", nil, nil, nil},
		{"a user", &corev1.SecurityContext{RunAsUser: new(int64(7))}, nil, new(int64(7))},
		{"the pod's user", nil, &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(7))}, nil},
		{"non-root without a user", nil, &corev1.PodSecurityContext{RunAsNonRoot: new(true)}, new(int64(nonRootUser))},
		{"own non-root", &corev1.SecurityContext{RunAsNonRoot: new(true)}, nil, new(int64(nonRootUser))},
		{"own root", &corev1.SecurityContext{RunAsNonRoot: new(false)}, &corev1.PodSecurityContext{RunAsNonRoot: new(true)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sidecarSecurity(&corev1.Container{SecurityContext: tt.dev}, tt.pod)
			if diff := cmp.Diff(tt.want, got.RunAsUser); diff != "" {
				t.Error(diff)
			}
			if !*got.ReadOnlyRootFilesystem {
				t.Error("its file system is writable")
			}
		})
	}
}
