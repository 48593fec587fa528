package workload

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

func TestFind(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace}}
	tests := []struct {
		name  string
		query Query
		want  string
		err   string
	}{
		{"by name", Query{Name: "api"}, "deployment/api", ""},
		{"a stateful set", Query{Name: "db"}, "statefulset/db", ""},
		{"a deployment before a stateful set", Query{Name: "both"}, "deployment/both", ""},
		{"by kind", Query{Name: "sts/both"}, "statefulset/both", ""},
		{"by a long kind", Query{Name: "deployments.apps/both"}, "deployment/both", ""},
		{"by the clone's name", Query{Name: "api-okteto"}, "deployment/api", ""},
		{"by the clone of a stateful set", Query{Name: "db-okteto"}, "statefulset/db", ""},
		{"by labels", Query{Selector: "role=only"}, "statefulset/db", ""},
		{"of an unusual kind", Query{Name: "old"}, "replicaset/old", ""},
		{"by its kind", Query{Name: "rs/old"}, "replicaset/old", ""},
		{"by its group", Query{Name: "ReplicaSets.apps/old"}, "replicaset/old", ""},
		{"by the clone of a replica set", Query{Name: "old-okteto"}, "replicaset/old", ""},
		{"made by another", Query{Name: "rs/api-5d"}, "", `replicaset/api-5d belongs to deployment/api, which decides about its pods`},
		{"a cron job", Query{Name: "cj/nightly"}, "cronjob/nightly", ""},
		{"a job", Query{Name: "jobs.batch/once"}, "job/once", ""},
		{"by the clone of a job", Query{Name: "once-okteto"}, "job/once", ""},
		{"made by a cron job", Query{Name: "nightly-1"}, "", `job/nightly-1 belongs to cronjob/nightly, which decides about its pods`},
		{"another group", Query{Name: "deployments.batch/api"}, "", `the cluster has no kind "deployments.batch"`},
		{"by a set of labels", Query{Selector: "role in (only,other),!app"}, "statefulset/db", ""},
		{"another kind", Query{Name: "cm/api"}, "", `the cluster has no kind "cm"`},
		{"the wrong kind", Query{Name: "sts/api"}, "", `no workload "sts/api" in namespace "shop"; there is deployment/api`},
		{"a typing error", Query{Name: "apo"}, "", `no workload "apo" in namespace "shop"; there is api`},
		{"nothing like it", Query{Name: "payments"}, "", `no workload "payments" in namespace "shop"; there is api, both, db`},
		{"no such labels", Query{Selector: "role=none"}, "", `no workload with labels "role=none" in namespace "shop"; there is api, both, db`},
		{"too many", Query{Selector: "team=shop"}, "", `4 workloads have the labels "team=shop": deployment/api, deployment/both, statefulset/both, statefulset/db`},
	}
	db := testStatefulSet("db")
	db.Labels["role"] = "only"
	old, made := testReplicaSet("old"), testReplicaSet("api-5d")
	old.Labels = nil
	made.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "api", Controller: new(true)}}
	nightly, once, run := testCronJob("nightly"), testJob("once"), testJob("nightly-1")
	nightly.Labels, once.Labels = nil, nil
	run.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", Controller: new(true)}}
	looks := testCronJob("api-okteto-autodown") // a swap's own, with the labels of the manifest
	looks.Labels = map[string]string{"team": "shop", LabelDev: "true", LabelInteractive: "api"}
	c, _ := newClient(t, namespace, testDeployment("api"), testDeployment("both"), db, testStatefulSet("both"), old, made, nightly, once, run, looks)
	swap(t, c, "job/once", testSpec("once"))
	swap(t, c, "old", testSpec("old"))
	swap(t, c, "api", testSpec("api"))
	swap(t, c, "db", testSpec("db"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := c.Find(t.Context(), tt.query)
			got, msg := "", ""
			if err != nil {
				msg = err.Error()
			} else {
				got = f.String()
			}
			if got != tt.want || msg != tt.err {
				t.Errorf("found  %q, %s\nwanted %q, %s", got, msg, tt.want, tt.err)
			}
		})
	}
}

func TestFindWhatExists(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"))
	f, err := c.Find(t.Context(), Query{Name: "api", Dev: "web"})
	if err != nil || f.Clone != nil || f.Lease != nil {
		t.Fatalf("found %+v, %v", f, err)
	}
	swap(t, c, "api", testSpec("web"))
	if _, err := c.Acquire(t.Context(), f, Claimant{Dev: "web", Holder: testHolder}); err != nil {
		t.Fatal(err)
	}
	f, err = c.Find(t.Context(), Query{Name: "api", Dev: "web"})
	if err != nil || f.Clone == nil || f.Lease == nil || f.Replicas != 0 {
		t.Errorf("found %+v, %v", f, err)
	}
}

func TestFindNamespace(t *testing.T) {
	c, _ := newClient(t)
	var e *NamespaceError
	if _, err := c.Find(t.Context(), Query{Name: "api"}); !errors.As(err, &e) || e.Namespace != testNamespace {
		t.Errorf("error %v", err)
	}
}

func TestFindForbidden(t *testing.T) {
	deny := func(resource string) *apierrors.StatusError {
		return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: resource}, "", errors.New("no"))
	}
	c, kube := newClient(t, testDeployment("api"), testStatefulSet("db"))
	kube.PrependReactor("get", "statefulsets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, deny("statefulsets")
	})
	if _, err := c.Find(t.Context(), Query{Name: "api"}); err != nil {
		t.Errorf("stateful sets may not be read, and need not: %v", err)
	}
	var e *ForbiddenError
	want := Rule{Verb: "get", Group: "apps", Resource: "statefulsets", Namespace: testNamespace}
	if _, err := c.Find(t.Context(), Query{Name: "db"}); !errors.As(err, &e) || e.Rule != want {
		t.Errorf("error %v", err)
	}
}

// TestOtherKindsMayBeForbidden checks that whoever works with Deployments
// needs no right to list other kinds, and is told when one of those is meant.
func TestOtherKindsMayBeForbidden(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	swap(t, c, "api", testSpec("api"))
	for _, k := range kinds() {
		if k.kind != Deployment {
			kube.PrependReactor("list", k.resource, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: k.resource}, "", errors.New("no"))
			})
		}
	}
	if f, err := c.Find(t.Context(), Query{Selector: "team=shop"}); err != nil || f.String() != "deployment/api" {
		t.Errorf("found %v, %v", f, err)
	}
	var e *ForbiddenError
	if _, err := c.Find(t.Context(), Query{Selector: "team=other"}); !errors.As(err, &e) || e.Rule.Resource != "statefulsets" {
		t.Errorf("error %v", err)
	}
	done, err := c.Restore(t.Context(), RestoreOptions{All: true})
	if err != nil || len(done) != 1 || !done[0].Scaled {
		t.Errorf("restored %+v, %v", done, err)
	}
}

// TestFindForeign checks that a Deployment which only has a clone's name is
// not taken for one.
func TestFindForeign(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"), testDeployment("api-okteto"), testStatefulSet("db"), testDeployment("db-okteto"))
	for _, name := range []string{"api", "db", "sts/db"} {
		var e *InUseError
		if _, err := c.Find(t.Context(), Query{Name: name}); !errors.As(err, &e) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestGet(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"), testStatefulSet("db"))
	swap(t, c, "api", testSpec("web"))
	pod := testPod(func(p *corev1.Pod) { p.Labels[LabelInteractive] = "web" })
	if err := kube.Tracker().Add(pod); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web", "api", "deploy/api", "api-okteto"} {
		e, err := c.Get(t.Context(), name)
		if err != nil || e.Dev != "web" || e.Pod == nil || e.Pod.Name != pod.Name {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	_, err := c.Get(t.Context(), "db")
	if want := `nothing is in development as "db" in namespace "shop"; there is web`; err == nil || err.Error() != want {
		t.Errorf("error  %v\nwanted %s", err, want)
	}
	e, err := c.Get(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	target := e.Target()
	if target.Container != "web" || target.Clone != "api-okteto" || target.Hash == "" || target.Original == nil {
		t.Errorf("target %+v", target)
	}
}

func TestNear(t *testing.T) {
	names := []string{"frontend", "backend", "api", "api-worker", "db"}
	for _, tt := range []struct {
		want string
		near []string
	}{
		{"fronted", []string{"frontend"}},
		{"aip", []string{"api"}},
		{"worker", []string{"api-worker"}},
		{"my-api-worker-2", []string{"api-worker", "api"}},
		{"zzz", []string{"api", "api-worker", "backend"}},
		{"", []string{"api", "api-worker", "backend"}},
	} {
		if got := near(tt.want, slices.Clone(names)); !slices.Equal(got, tt.near) {
			t.Errorf("near(%q) = %q, want %q", tt.want, got, tt.near)
		}
	}
}

func TestClaim(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Spec)
		err  string
	}{
		{"the same", func(s *Spec) {}, ""},
		{"unset", func(s *Spec) { s.Dev.PersistentVolume.Size, s.Dev.PersistentVolume.StorageClass = "", "" }, ""},
		{"larger", func(s *Spec) { s.Dev.PersistentVolume.Size = "20Gi" }, ""},
		{"smaller", func(s *Spec) { s.Dev.PersistentVolume.Size = "1Gi" },
			"volume claim \"api-okteto\" has size 10Gi, the manifest asks for 1Gi: delete it with `down -v` or change the manifest"},
		{"class", func(s *Spec) { s.Dev.PersistentVolume.StorageClass = "slow" },
			"volume claim \"api-okteto\" has storage class fast, the manifest asks for slow: delete it with `down -v` or change the manifest"},
		{"mode", func(s *Spec) { s.Dev.PersistentVolume.AccessMode = corev1.ReadWriteMany },
			"volume claim \"api-okteto\" has access mode [ReadWriteOnce], the manifest asks for ReadWriteMany: delete it with `down -v` or change the manifest"},
		{"block", func(s *Spec) { s.Dev.PersistentVolume.VolumeMode = corev1.PersistentVolumeBlock },
			`dev "api": the workspace needs the volume mode Filesystem`},
		{"no size", func(s *Spec) { s.Dev.PersistentVolume.Size = "much" },
			`dev "api": size "much" of the persistent volume: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, kube := newClient(t, testDeployment("api"))
			s := testSpec("api")
			s.Dev.PersistentVolume.Enabled = true
			s.Dev.PersistentVolume.Size = "10Gi"
			s.Dev.PersistentVolume.StorageClass = "fast"
			swap(t, c, "api", s)
			tt.edit(&s)
			f, err := c.Find(t.Context(), Query{Name: "api"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Swap(t.Context(), f, s)
			msg := ""
			if err != nil {
				msg = err.Error()
			}
			if diff := cmp.Diff(tt.err, msg); diff != "" {
				t.Error(diff)
			}
			claim, err := kube.CoreV1().PersistentVolumeClaims(testNamespace).Get(t.Context(), "api-okteto", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := "10Gi"
			if tt.name == "larger" {
				want = "20Gi"
			}
			if got := claim.Spec.Resources.Requests.Storage().String(); got != want {
				t.Errorf("size %s, want %s", got, want)
			}
		})
	}
}

func TestClaimThatCannotGrow(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	s := testSpec("api")
	s.Dev.PersistentVolume.Enabled = true
	swap(t, c, "api", s)
	kube.PrependReactor("patch", "persistentvolumeclaims", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "persistentvolumeclaims"}, "api-okteto",
			errors.New("only dynamically provisioned pvc can be resized"))
	})
	s.Dev.PersistentVolume.Size = "50Gi"
	if out := swap(t, c, "api", s); len(out.Warnings) != 1 {
		t.Errorf("warnings %q", out.Warnings)
	}
}

// TestRestoreLeavesForeignClaims checks that a claim which a swap did not
// make stays.
func TestRestoreLeavesForeignClaims(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "api-okteto", Namespace: testNamespace},
	})
	done, err := c.Restore(t.Context(), RestoreOptions{Name: "api", Volumes: true})
	if err != nil || done[0].Claim {
		t.Errorf("restored %+v, %v", done, err)
	}
	if _, err := kube.CoreV1().PersistentVolumeClaims(testNamespace).Get(t.Context(), "api-okteto", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestForeignKindOfOwner(t *testing.T) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Name: "x-okteto", Namespace: testNamespace, Labels: map[string]string{LabelDev: "true", LabelClone: "gone", LabelInteractive: "x"},
	}}
	c, _ := newClient(t, d)
	done, err := c.Restore(t.Context(), RestoreOptions{All: true})
	if err != nil || len(done) != 1 || !done[0].Clone || !done[0].Missing {
		t.Errorf("restored %+v, %v", done, err)
	}
}
