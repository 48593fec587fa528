package workload

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// TestLeast takes the largest minimum of several LimitRanges.
func TestLeast(t *testing.T) {
	limits := func(name string, items ...corev1.LimitRangeItem) *corev1.LimitRange {
		return &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: testNamespace}, Spec: corev1.LimitRangeSpec{Limits: items}}
	}
	list := func(of map[corev1.ResourceName]string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for name, q := range of {
			l[name] = resource.MustParse(q)
		}
		return l
	}
	c, kube := newClient(t, testDeployment("api"),
		limits("a", corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Min: list(map[corev1.ResourceName]string{"cpu": "100m", "memory": "16Mi"})}),
		limits("b", corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Min: list(map[corev1.ResourceName]string{"cpu": "50m", "memory": "128Mi"})}),
		limits("c", corev1.LimitRangeItem{Type: corev1.LimitTypePod, Min: list(map[corev1.ResourceName]string{"cpu": "4"})},
			corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Min: list(map[corev1.ResourceName]string{"ephemeral-storage": "1Gi"})}))
	f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(list(map[corev1.ResourceName]string{"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"}), f.Least); d != "" {
		t.Error(d)
	}
	kube.PrependReactor("list", "limitranges", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "limitranges"}, "", errors.New("no"))
	})
	if f, err = c.Find(t.Context(), Query{Name: "api", Dev: "api"}); err != nil || f.Least != nil {
		t.Errorf("limit ranges may not be listed, and need not: %v, %v", f, err)
	}
}
