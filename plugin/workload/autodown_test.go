package workload

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/restore"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"pgregory.net/rapid"
)

// autoDownSpec is a spec whose original is given back after 8 hours.
func autoDownSpec(dev string) Spec {
	s := testSpec(dev)
	s.Dev.AutoDown = 8 * time.Hour
	return s
}

func TestAutoDownObjects(t *testing.T) {
	for name, edit := range map[string]func(*Workload, *Spec){
		"restricted": func(_ *Workload, s *Spec) {
			cases()["restricted"](s)
			s.Scalers = []string{"requests", "queue"}
		},
		"daemonset": func(_ *Workload, s *Spec) { s.Secrets = []SecretFile{{Path: "/a"}} },
		"pod":       func(*Workload, *Spec) {},
		"plain":     func(w *Workload, _ *Spec) { w.Meta.Annotations = map[string]string{AnnotationAutocreate: "up"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := readWorkload(t, filepath.Join("testdata", name+".yaml"), manifest.Paths{})
			s := autoDownSpec("web")
			edit(w, &s)
			a, err := autoDownFor(w, &s, "uid-role")
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", name+".autodown.golden.yaml"), a.role, a.account, a.binding, a.job)
		})
	}
}

func TestAutoDownName(t *testing.T) {
	if got := autoDownName("api"); got != "api-okteto-autodown" {
		t.Errorf("api: %s", got)
	}
	long := strings.Repeat("a", 62)
	one, other := autoDownName(long+"b"), autoDownName(long+"c")
	if one == other || len(one) != maxCronJobName || !strings.HasPrefix(one, "aaaa") {
		t.Errorf("long names: %s, %s", one, other)
	}
}

func TestAutoDownSchedule(t *testing.T) {
	for after, want := range map[time.Duration]string{
		30 * time.Second:     "0-59/1 * * * *",
		15 * time.Minute:     "0-59/1 * * * *",
		16 * time.Minute:     "0-59/2 * * * *",
		time.Hour:            "4-59/6 * * * *",
		71 * time.Minute:     "4-59/6 * * * *",
		8 * time.Hour:        "4-59/60 * * * *",
		100 * time.Hour:      "4-59/60 * * * *",
		365 * 24 * time.Hour: "4-59/60 * * * *",
	} {
		if got := autoDownSchedule(after, "uid-api"); got != want {
			t.Errorf("%v: %s, want %s", after, got, want)
		}
	}
}

// TestRecordOpensAsThePluginDoes checks that the record by which the agent opens
// an original says what the plugin would do.
func TestRecordOpensAsThePluginDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOriginal().Draw(t, "original")
		kind := workloadOf(o).Kind
		c := &Client{Kube: fake.NewClientset(o.DeepCopyObject()), Namespace: testNamespace}
		for range 2 {
			f, err := c.Find(newContext(), Query{Name: "api"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Swap(newContext(), f, testSpec("api")); err != nil {
				t.Fatal(err)
			}
		}
		objects := known(kind).api(c)
		all, err := objects.list(newContext(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		now := all[slices.IndexFunc(all, func(o runtime.Object) bool { return o.(metav1.Object).GetName() == "api" })]
		w := objects.of(now)
		want, err := openPatch(w)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(now)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		got, err := metaOf(w).ReopenPatch(object)
		if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
			t.Errorf("%v; -plugin +agent:\n%s", err, diff)
		}
	})
}

// TestPodIsMadeAgainAlike checks that the agent makes a pod again as the plugin does.
func TestPodIsMadeAgainAlike(t *testing.T) {
	c, kube := newClient(t, barePod("web"))
	swap(t, c, "pod/web", testSpec("web"))
	clone, err := c.getClone(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	again, err := restore.PodIn(clone.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	var got *corev1.Pod
	if err := json.Unmarshal(again.Body, &got); err != nil {
		t.Fatal(err)
	}
	var want runtime.Object
	kube.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		want = a.(clienttesting.CreateAction).GetObject().DeepCopyObject()
		return false, nil, nil
	})
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, runtime.Object(got)); diff != "" {
		t.Errorf("-plugin +agent:\n%s", diff)
	}
	now, err := kube.CoreV1().Pods(testNamespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entriesOf(now.ManagedFields), again.Owners); diff != "" {
		t.Errorf("whose fields they are: -plugin +agent:\n%s", diff)
	}
}

// TestSwapArmsAPod checks that its Role is not the pod's, which is deleted.
func TestSwapArmsAPod(t *testing.T) {
	c, kube := newClient(t, barePod("web"))
	if out := swap(t, c, "pod/web", autoDownSpec("web")); len(out.Warnings) > 0 || out.Armed != 8*time.Hour {
		t.Errorf("swapped %+v", out)
	}
	role, err := kube.RbacV1().Roles(testNamespace).Get(t.Context(), autoDownName("web"), metav1.GetOptions{})
	if err != nil || len(role.OwnerReferences) > 0 {
		t.Errorf("%+v, %v", role, err)
	}
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil || slices.Contains(autoDownParts(t, kube), "role") {
		t.Errorf("%v, and there are %v", err, autoDownParts(t, kube))
	}
}

// autoDownParts returns which parts of what gives an original back there are.
func autoDownParts(t *testing.T, kube *fake.Clientset) (parts []string) {
	t.Helper()
	all := metav1.ListOptions{}
	role, err1 := kube.RbacV1().Roles(testNamespace).List(t.Context(), all)
	account, err2 := kube.CoreV1().ServiceAccounts(testNamespace).List(t.Context(), all)
	binding, err3 := kube.RbacV1().RoleBindings(testNamespace).List(t.Context(), all)
	job, err4 := kube.BatchV1().CronJobs(testNamespace).List(t.Context(), all)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range map[string]int{
		"role": len(role.Items), "account": len(account.Items), "binding": len(binding.Items), "job": len(job.Items),
	} {
		if n > 0 {
			parts = append(parts, name)
		}
	}
	slices.Sort(parts)
	return parts
}

func TestSwapArms(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	out := swap(t, c, "api", autoDownSpec("web"))
	if got := joined(autoDownParts(t, kube)); got != "account binding job role" || len(out.Warnings) > 0 {
		t.Errorf("made %q, %v", got, out.Warnings)
	}
	if e, err := c.Get(t.Context(), "web"); err != nil || e.AutoDown != 8*time.Hour {
		t.Errorf("the clone does not tell: %v", err)
	}
	if again := swap(t, c, "api", autoDownSpec("web")); again.Changed {
		t.Error("swapped again, the pod is another")
	}
	if swap(t, c, "api", testSpec("web")); slices.Contains(autoDownParts(t, kube), "role") {
		t.Error("switched off, the Role stays")
	}
	swap(t, c, "api", autoDownSpec("web"))
	done, err := c.Restore(t.Context(), RestoreOptions{Name: "web"})
	if err != nil || len(done) != 1 || !done[0].Lease || slices.Contains(autoDownParts(t, kube), "role") {
		t.Errorf("restored %+v, %v", done, err)
	}
}

// TestSwapWithoutArms refuses each part: the swap goes on without, warns once, and
// leaves no part behind that could do anything.
func TestSwapWithoutArms(t *testing.T) {
	for _, resource := range []string{"roles", "serviceaccounts", "rolebindings", "cronjobs"} {
		t.Run(resource, func(t *testing.T) {
			c, kube := newClient(t, testDeployment("api"))
			kube.PrependReactor("patch", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "web", nil)
			})
			out := swap(t, c, "api", autoDownSpec("web"))
			if len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "nothing gives deployment/api back") || !strings.Contains(out.Warnings[0], resource) {
				t.Errorf("warned of %q", out.Warnings)
			}
			if e, err := c.Get(t.Context(), "web"); err != nil || e.AutoDown != 0 {
				t.Errorf("the clone does not tell: %v", err)
			}
			if out = swap(t, c, "api", autoDownSpec("web")); len(out.Warnings) != 0 {
				t.Errorf("warned again of %q", out.Warnings)
			}
			if parts := autoDownParts(t, kube); slices.Contains(parts, "role") {
				t.Errorf("left behind: %v", parts)
			}
		})
	}
}

func TestArmLeavesOthersAlone(t *testing.T) {
	foreign := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: autoDownName("api"), Namespace: testNamespace}}
	c, kube := newClient(t, testDeployment("api"), foreign)
	out := swap(t, c, "api", autoDownSpec("web"))
	if len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "this plugin did not make it") {
		t.Errorf("warned of %q", out.Warnings)
	}
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if role, err := kube.RbacV1().Roles(testNamespace).Get(t.Context(), foreign.Name, metav1.GetOptions{}); err != nil || len(role.Rules) > 0 {
		t.Errorf("it is %v, %v", role, err)
	}
}

// TestRestoreWithoutRightsOnRoles checks that who may not make them may restore.
func TestRestoreWithoutRightsOnRoles(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	swap(t, c, "api", autoDownSpec("web"))
	kube.PrependReactor("*", "roles", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "roles"}, "web", nil)
	})
	if done, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil || len(done) != 1 || !done[0].Scaled || !done[0].Clone {
		t.Errorf("restored %+v, %v", done, err)
	}
}

// TestArmsGoWithASwapThatFails refuses the clone.
func TestArmsGoWithASwapThatFails(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	kube.PrependReactor("patch", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errRefused{})
	})
	f, err := c.Find(t.Context(), Query{Name: "api", Dev: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Swap(t.Context(), f, autoDownSpec("web")); err == nil || slices.Contains(autoDownParts(t, kube), "role") {
		t.Errorf("%v, and there are %v", err, autoDownParts(t, kube))
	}
}

// TestAutoDownPodIsFoundByNoService checks that it has no label of the original's.
func TestAutoDownPodIsFoundByNoService(t *testing.T) {
	w := workloadOf(testDeployment("api"))
	s := autoDownSpec("web")
	pod := autoDownPod(w, &s, &corev1.Container{}, nil)
	for key := range w.Selector.MatchLabels {
		if _, there := pod.Labels[key]; there {
			t.Errorf("it has the label %s", key)
		}
	}
	if pod.Labels[LabelInteractive] != "" {
		t.Error("it is taken for the dev pod")
	}
}

// TestUse counts use by others than the holder, where that counts for something.
func TestUse(t *testing.T) {
	for _, s := range []Spec{autoDownSpec("api"), testSpec("api")} {
		d := newDesk(t)
		if _, err := d.acquire(Claimant{Holder: testHolder}); err != nil {
			t.Fatal(err)
		}
		swap(t, d.Client, "api", s)
		e, err := d.Get(t.Context(), "api")
		if err != nil {
			t.Fatal(err)
		}
		used := make(chan struct{}, 1)
		d.Kube.(*fake.Clientset).PrependReactor("patch", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			used <- struct{}{}
			return false, nil, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.Use(ctx, e)
		}()
		if s.Dev.AutoDown > 0 {
			<-used
		}
		cancel()
		<-done
		if told := d.lease().Annotations[AnnotationUsed] != ""; told != (s.Dev.AutoDown > 0) {
			t.Errorf("autoDown %v: told %v", s.Dev.AutoDown, told)
		}
	}
}
