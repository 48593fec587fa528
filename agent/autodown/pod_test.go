package autodown

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

const (
	pods = "/api/v1/namespaces/shop/pods"
	pod  = pods + "/web"
)

// remembered is a pod as its clone remembers it.
const remembered = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop","uid":"uid-web","labels":{"app":"web"},` +
	`"managedFields":[{"manager":"helm","operation":"Update","fieldsV1":{"f:spec":{}}}]},"spec":{"containers":[{"name":"web"}]},"status":{}}`

// podSwapped are the objects of a pod in development, which is gone meanwhile.
func podSwapped(t *testing.T) *objects {
	t.Helper()
	o := swapped(t, 9*time.Hour)
	delete(o.all, original)
	delete(o.all, scaler)
	o.remembers(remembered)
	return o
}

// remembers has the clone remember a pod.
func (o *objects) remembers(pod string) {
	o.set(clone, map[string]any{"metadata": map[string]any{"annotations": map[string]any{"dev.okteto.com/pod": pod}}})
}

// has has a pod be there, with a field of its metadata.
func (o *objects) has(field string, v any) {
	o.all[pod] = map[string]any{"metadata": map[string]any{"resourceVersion": "1", "uid": "uid-web", field: v}}
}

// lookAtPod runs the role once.
func lookAtPod(t *testing.T, o *objects) error {
	t.Helper()
	server := httptest.NewServer(o)
	defer server.Close()
	c := config.AutoDown{After: 8 * time.Hour, Lease: lease, Original: pod, Memory: clone, Delete: []string{clone, lease, role}}
	return Run(t.Context(), c, &Server{URL: server.URL, Token: token, Client: server.Client()}, slog.New(slog.DiscardHandler))
}

// wholePod are the writes of a run that makes a pod again, by what they do.
func wholePod() (taken, room, made, owned string, gone []string) {
	return "PATCH " + lease + " as okteto-agent", "PATCH " + clone + " as kubectl-okteto", "POST " + pods + " as kubectl-okteto",
		"PATCH " + pod + " as kubectl-okteto", []string{"DELETE " + clone, "DELETE " + lease, "DELETE " + role}
}

func TestPodIsMadeAgain(t *testing.T) {
	taken, room, made, owned, gone := wholePod()
	for _, tt := range []struct {
		name  string
		edit  func(*objects)
		fails string
		want  []string
	}{
		{"gone", nil, "", append([]string{taken, room, made, owned}, gone...)},
		{"never deleted", func(o *objects) { o.has("labels", map[string]any{"app": "web"}) }, "", append([]string{taken}, gone...)},
		{"made again by a down that was killed", func(o *objects) {
			o.has("managedFields", []any{map[string]any{"manager": "kubectl-okteto"}})
		}, "", append([]string{taken, owned}, gone...)},
		{"made by others", func(o *objects) { o.has("managedFields", []any{map[string]any{"manager": "helm"}}) }, "", append([]string{taken}, gone...)},
		{"still ending", func(o *objects) { o.has("deletionTimestamp", "2026-05-01T12:00:00Z") }, "has not ended yet", []string{taken}},
		{"refused", func(o *objects) { o.refuse = "exceeded quota" }, "exceeded quota", []string{taken, room}},
		{"made by others just then", func(o *objects) {
			o.before = func(method, _ string) {
				if method == http.MethodPost {
					o.has("labels", nil)
				}
			}
		}, "exists already", []string{taken, room}},
		{"gone after it had ended", func(o *objects) {
			o.remembers(strings.Replace(remembered, `"status":{}`, `"status":{"phase":"Succeeded"}`, 1))
		},
			"", append([]string{taken}, gone...)},
		{"forgotten", func(o *objects) { o.remembers("{}") }, "damaged or gone", []string{taken}},
		{"never swapped", func(o *objects) { delete(o.all, clone) }, "", append([]string{taken}, gone[1:]...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := podSwapped(t)
			if tt.edit != nil {
				tt.edit(o)
			}
			if err := lookAtPod(t, o); (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("failed with %v", err)
			}
			if diff := cmp.Diff(tt.want, o.did); diff != "" {
				t.Errorf("-want +did:\n%s", diff)
			}
		})
	}
}

// TestPodIsCompleted stops a run before each of its writes: the next completes it,
// and the pod is what it was.
func TestPodIsCompleted(t *testing.T) {
	const want = `{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"app":"web"},"managedFields":[{"fieldsV1":{"f:spec":{}},"manager":"helm",` +
		`"operation":"Update"}],"name":"web","namespace":"shop","resourceVersion":"2"},"spec":{"containers":[{"name":"web"}]}}`
	const writes = 7
	for n := range writes {
		o := podSwapped(t)
		o.before = func(method, _ string) {
			if method != http.MethodGet && len(o.did) == n {
				panic(http.ErrAbortHandler)
			}
		}
		if err := lookAtPod(t, o); err == nil {
			t.Errorf("write %d failed, and nobody was told", n)
		}
		o.before = nil
		if err := lookAtPod(t, o); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(o.all[pod])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" || len(o.all) != 1 {
			t.Errorf("stopped before write %d, there are %d objects, and the pod is (-want +got):\n%s", n, len(o.all), diff)
		}
	}
}
