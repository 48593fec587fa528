package workload

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"pgregory.net/rapid"
)

func anyLabels() *rapid.Generator[map[string]string] {
	key := rapid.SampledFrom([]string{"app", "team", "new", "tier", "app.kubernetes.io/managed-by", "y"})
	return rapid.MapOfN(key, rapid.SampledFrom([]string{"", "a", "true", "label"}), 0, 4)
}

func anyContainer(name string) *rapid.Generator[corev1.Container] {
	return rapid.Custom(func(t *rapid.T) corev1.Container {
		c := corev1.Container{
			Name:  name,
			Image: rapid.SampledFrom([]string{"a:1", "b:2"}).Draw(t, "image"),
			Args:  rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,5}`), 0, 3).Draw(t, "args"),
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "env") {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("V%d", i), Value: "x"})
		}
		if rapid.Bool().Draw(t, "limits") {
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
		}
		if rapid.Bool().Draw(t, "probe") {
			c.LivenessProbe = &corev1.Probe{PeriodSeconds: 7}
		}
		if rapid.Bool().Draw(t, "mount") {
			c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		}
		if rapid.Bool().Draw(t, "security") {
			c.SecurityContext = &corev1.SecurityContext{RunAsUser: new(rapid.Int64Range(0, 3).Draw(t, "user"))}
		}
		return c
	})
}

// workloadOf returns the workload that an object is.
func workloadOf(o runtime.Object) *Workload {
	for _, k := range kinds() {
		if w := k.api(&Client{Kube: fake.NewClientset()}).of(o); w != nil {
			return w
		}
	}
	return nil
}

// anyOriginal is a workload, with the field managers that may own its count.
func anyOriginal() *rapid.Generator[runtime.Object] {
	return rapid.Custom(func(t *rapid.T) runtime.Object {
		d := testDeployment("api")
		d.Labels = anyLabels().Draw(t, "labels")
		d.Annotations = anyLabels().Draw(t, "annotations")
		if rapid.Bool().Draw(t, "nil maps") {
			d.Labels, d.Annotations = nil, nil
		}
		d.Spec.Replicas = new(rapid.Int32Range(0, 9).Draw(t, "replicas"))
		if rapid.IntRange(0, 4).Draw(t, "defaulted") == 0 {
			d.Spec.Replicas = new(int32(1))
		}
		d.Spec.Template.Labels = rapid.Just(map[string]string{"app": "api", "x": "y"}).Draw(t, "pod labels")
		d.Spec.Template.Spec.Containers = nil
		for i := range rapid.IntRange(1, 3).Draw(t, "containers") {
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers,
				anyContainer(fmt.Sprintf("c%d", i)).Draw(t, "container"))
		}
		for _, manager := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"helm", "kubectl", "argo"}), 0, 3, rapid.ID).Draw(t, "managers") {
			fields := rapid.SampledFrom([]string{
				`{"f:spec":{"f:replicas":{}}}`, `{"f:spec":{"f:paused":{},"f:replicas":{}}}`, `{"f:spec":{"f:paused":{}}}`,
				`{"f:metadata":{"f:labels":{"f:new":{}}}}`,
			}).Draw(t, "fields")
			d.ManagedFields = append(d.ManagedFields, metav1.ManagedFieldsEntry{
				Manager: manager, APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
				Operation: rapid.SampledFrom([]metav1.ManagedFieldsOperationType{
					metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate}).Draw(t, "operation"),
			})
		}
		switch rapid.SampledFrom([]Kind{Deployment, StatefulSet, ReplicaSet, DaemonSet, Job, CronJob}).Draw(t, "kind") {
		case StatefulSet:
			s := testStatefulSet("api")
			s.ObjectMeta = d.ObjectMeta
			s.Spec.Replicas, s.Spec.Template = d.Spec.Replicas, d.Spec.Template
			return s
		case ReplicaSet:
			s := testReplicaSet("api")
			s.ObjectMeta = d.ObjectMeta
			s.Spec.Replicas, s.Spec.Template = d.Spec.Replicas, d.Spec.Template
			return s
		case DaemonSet:
			s := testDaemonSet("api")
			s.ObjectMeta = d.ObjectMeta
			ownInstead(s.ManagedFields, "apps/v1", `"f:minReadySeconds"`, `"f:template":{"f:spec":{"f:nodeSelector":{}}}`)
			d.Spec.Template.Spec.NodeSelector = rapid.SampledFrom([]map[string]string{nil, {"pool": "edge"}}).Draw(t, "nodes")
			s.Spec.Template, s.Status.DesiredNumberScheduled = d.Spec.Template, *d.Spec.Replicas
			return s
		case Job:
			s := testJob("api")
			s.ObjectMeta = d.ObjectMeta
			ownInstead(s.ManagedFields, "batch/v1", `"f:parallelism"`, `"f:suspend":{}`)
			maps.Copy(d.Spec.Template.Labels, s.Spec.Template.Labels)
			s.Spec.Template, s.Spec.Suspend = d.Spec.Template, new(*d.Spec.Replicas == 0)
			return s
		case CronJob:
			s := testCronJob("api")
			s.ObjectMeta = d.ObjectMeta
			ownInstead(s.ManagedFields, "batch/v1", `"f:schedule"`, `"f:suspend":{}`)
			s.Spec.JobTemplate.Spec.Template, s.Spec.Suspend = d.Spec.Template, new(*d.Spec.Replicas == 0)
			return s
		}
		return d
	})
}

// ownInstead makes the owners of a Deployment's spec.paused and spec.replicas
// those of fields that another kind has.
func ownInstead(entries []metav1.ManagedFieldsEntry, version, paused, replicas string) {
	for i, m := range entries {
		fields := strings.ReplaceAll(string(m.FieldsV1.GetRawBytes()), `"f:paused"`, paused)
		fields = strings.ReplaceAll(fields, `"f:replicas":{}`, replicas)
		entries[i].APIVersion, entries[i].FieldsV1 = version, metav1.NewFieldsV1(fields)
	}
}

// TestRestoreIsTheInverseOfSwap swaps and restores any workload.
func TestRestoreIsTheInverseOfSwap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOriginal().Draw(t, "original")
		kind := workloadOf(o).Kind
		owners := joined(managersOf(workloadOf(o)))
		kube := fake.NewClientset(o.DeepCopyObject())
		checkRoundTrip(t, &Client{Kube: kube, Namespace: testNamespace}, kube, kind, "api", owners)
	})
}

// TestCloneIsStable checks that a clone, rendered again with itself as what
// exists, is the same, and that the original is not touched.
func TestCloneIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOriginal().Draw(t, "original")
		w := workloadOf(o.DeepCopyObject())
		s := testSpec("api")
		s.ImageVolumes = rapid.Bool().Draw(t, "image volumes")
		s.Dev.PersistentVolume.Enabled = rapid.Bool().Draw(t, "claim")
		s.Dev.Metadata.Labels = anyLabels().Draw(t, "labels")
		first, err := Clone(w, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Clone(w, first.Clone, s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("rendered again: %s", diff)
		}
		if diff := cmp.Diff(workloadOf(o), w, cmpopts.IgnoreUnexported(Workload{})); diff != "" {
			t.Errorf("the original was changed: %s", diff)
		}
		for k, v := range first.Clone.Spec.Selector.MatchLabels {
			if first.Clone.Spec.Template.Labels[k] != v {
				t.Errorf("the selector does not select the pod: %s=%s", k, v)
			}
		}
		for k, v := range cloneSelector(w).MatchLabels {
			if first.Clone.Spec.Template.Labels[k] != v {
				t.Errorf("Services lose the pod: %s=%s", k, v)
			}
		}
	})
}
