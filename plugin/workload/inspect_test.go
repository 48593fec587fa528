package workload

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTerminatedIgnoresEarlierEnds(t *testing.T) {
	// The kubelet's times are whole seconds, a runner's are not.
	ran := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	ended := func(at time.Time) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.NewTime(at.Truncate(time.Second))}
	}
	const want = "OOMKilled, exit code 137"
	for name, test := range map[string]struct {
		now, last *corev1.ContainerStateTerminated
		want      string
	}{
		"never":                    {nil, nil, ""},
		"now":                      {ended(ran.Add(time.Minute)), nil, want},
		"now, after an earlier":    {ended(ran.Add(time.Minute)), ended(ran.Add(-time.Minute)), want},
		"runs again":               {nil, ended(ran.Add(time.Minute)), want},
		"in the second it started": {nil, ended(ran.Add(100 * time.Millisecond)), want},
		"not told yet":             {nil, ended(ran.Add(-time.Minute)), ""},
	} {
		p := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "other", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}},
			{
				Name: "main", State: corev1.ContainerState{Terminated: test.now},
				LastTerminationState: corev1.ContainerState{Terminated: test.last},
			},
		}}}
		if got := terminated(p, "main", ran); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
