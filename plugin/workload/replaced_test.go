package workload

import (
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestReplaced plays what becomes of a pod, and of the one after it; the last step
// of each, and no step before, is what is waited for.
func TestReplaced(t *testing.T) {
	ending := func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) }
	evicted := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	next := func(p *corev1.Pod) { p.Name, p.UID = "api-okteto-5d8f-x2", "pod-2" }
	homeless := func(p *corev1.Pod) { p.Spec.NodeName = "" }
	gone := func(s *script) { s.pods.Delete(testPod()) }
	for name, steps := range map[string][]func(*script){
		"asked to end":     {showPod(), showPod(ending), showPod(next, homeless), showPod(next)},
		"evicted":          {showPod(), showPod(evicted), showPod(next)},
		"gone at once":     {showPod(), gone, showPod(next)},
		"two for a moment": {showPod(), showPod(next), showPod(ending)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				done := make(chan error, 1)
				go func() { done <- s.Replaced(t.Context(), Target{Dev: "api", Clone: "api-okteto"}, testPod().Name) }()
				for i, step := range steps {
					synctest.Wait()
					select {
					case err := <-done:
						t.Fatalf("it returned before step %d: %v", i+1, err)
					default:
					}
					step(s)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
