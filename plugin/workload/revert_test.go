package workload

import (
	"context"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestGuard has two controllers take the original back, the first of them
// again and again.
func TestGuard(t *testing.T) {
	for _, name := range []string{"api", "sts/db"} {
		t.Run(name, func(t *testing.T) {
			c, kube := newClient(t, testDeployment("api"), testStatefulSet("db"))
			swap(t, c, name, testSpec("api"))
			found, err := c.Find(t.Context(), Query{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			reports := make(chan Revert)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.Guard(ctx, found.Workload, func(r Revert) { reports <- r })
			}()
			scale := func(manager, replicas string) {
				t.Helper()
				body := []byte(`{"spec":{"replicas":` + replicas + `}}`)
				opts := metav1.PatchOptions{FieldManager: manager}
				var err error
				if found.Kind == StatefulSet {
					_, err = kube.AppsV1().StatefulSets(testNamespace).Patch(t.Context(), "db", types.MergePatchType, body, opts)
				} else {
					_, err = kube.AppsV1().Deployments(testNamespace).Patch(t.Context(), "api", types.MergePatchType, body, opts)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			scale("kustomize-controller", "3")
			first := <-reports
			scale(FieldManager, "0")
			scale("kustomize-controller", "4")
			scale(FieldManager, "0")
			scale("helm", "5")
			second := <-reports
			if want := (Revert{found.String(), "was set to 3 replicas", "kustomize-controller", "/spec/replicas"}); first != want {
				t.Errorf("reported %+v, want %+v", first, want)
			}
			if want := (Revert{found.String(), "was set to 5 replicas", "helm", "/spec/replicas"}); second != want {
				t.Errorf("reported %+v, want %+v", second, want)
			}
			if !strings.Contains(first.Advice(), "flux suspend") || second.Advice() != "" {
				t.Errorf("advice %q and %q", first.Advice(), second.Advice())
			}
			cancel()
			<-ended
		})
	}
}

// TestReverted checks what is said of every kind that is taken back.
func TestReverted(t *testing.T) {
	said := map[Kind]string{
		DaemonSet: "daemonset/api was sent to its nodes again by helm",
		Job:       "job/api was resumed by helm",
		CronJob:   "cronjob/api was resumed by helm",
	}
	for _, of := range kinds() {
		if of.kind == Pod {
			continue // Guard leaves it alone
		}
		o := testObject(of.kind, "api")
		w := workloadOf(o)
		w.Meta.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: "helm", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(fieldsAt(of.gate)),
		}}
		want, ok := said[of.kind]
		if !ok {
			want = w.String() + " was set to 3 replicas by helm"
		}
		want += ": its pods run beside the development container, and are left alone"
		if got := revertOf(w).String(); got != want {
			t.Errorf("said   %s\nwanted %s", got, want)
		}
	}
}

func TestAutoscalers(t *testing.T) {
	hpa := func(name, kind, of string, least *int32) *autoscalingv2.HorizontalPodAutoscaler {
		return &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: testNamespace},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: kind, Name: of},
				MinReplicas:    least, MaxReplicas: 5,
			},
		}
	}
	c, _ := newClient(t, hpa("rests", "Deployment", "api", nil), hpa("wakes", "Deployment", "api", new(int32(0))),
		hpa("other", "Deployment", "web", nil), hpa("stateful", "StatefulSet", "api", nil))
	var said []string
	w := FromDeployment(testDeployment("api"))
	for _, a := range c.autoscalers(t.Context()) {
		if a.Scales(w) {
			said = append(said, a.Resting(w))
		}
	}
	got := strings.Join(said, "\n")
	if want := "autoscaler rests rests while deployment/api has 0 replicas, and goes on after down\n" +
		"autoscaler wakes has minReplicas 0: it may start deployment/api again beside the development container"; got != want {
		t.Errorf("said:\n%s\nwant:\n%s", got, want)
	}
}
