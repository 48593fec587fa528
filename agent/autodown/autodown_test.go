package autodown

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

const (
	lease    = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/api-okteto"
	original = "/apis/apps/v1/namespaces/shop/deployments/api"
	clone    = "/apis/apps/v1/namespaces/shop/deployments/api-okteto"
	scaler   = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/web"
	role     = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/api-okteto-autodown"
	token    = "the token of the account"
)

// now is the API server's clock.
func now() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }

// objects is an API server's store, over HTTP.
type objects struct {
	mu  sync.Mutex
	all map[string]map[string]any
	// did are the writes that were accepted, as METHOD path.
	did []string
	// refuse is why nothing may be made; empty when it may.
	refuse string
	// before is called before each request; it may change what there is.
	before func(method, path string)
}

// ServeHTTP does what the API server does with single objects.
func (o *objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.before != nil {
		o.before(r.Method, r.URL.Path)
	}
	w.Header().Set("Date", now().Format(http.TimeFormat))
	say := func(status int, object map[string]any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(object)
	}
	have, there := o.all[r.URL.Path]
	body, _ := io.ReadAll(r.Body)
	var sent map[string]any
	if len(body) > 0 && json.Unmarshal(body, &sent) != nil {
		say(http.StatusBadRequest, map[string]any{"message": "no JSON"})
		return
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		say(http.StatusUnauthorized, map[string]any{"message": "who are you?"})
	case r.Method == http.MethodPost && o.refuse != "":
		say(http.StatusForbidden, map[string]any{"message": o.refuse})
	case r.Method == http.MethodPost:
		say(o.create(r, sent))
	case !there:
		say(http.StatusNotFound, map[string]any{"kind": "Status"})
	case r.Method == http.MethodGet:
		say(http.StatusOK, have)
	case r.Method == http.MethodDelete && sent["propagationPolicy"] == "Background":
		delete(o.all, r.URL.Path)
		o.did = append(o.did, r.Method+" "+r.URL.Path)
		say(http.StatusOK, map[string]any{"kind": "Status"})
	case r.URL.Path == scaler && r.Method != http.MethodPatch:
		say(http.StatusForbidden, map[string]any{"message": "this may only be patched"})
	case r.Method == http.MethodPatch && len(sent) == 0:
		say(http.StatusOK, have)
	case r.Method == http.MethodPatch && version(sent) != nil && version(sent) != version(have):
		say(http.StatusConflict, map[string]any{"kind": "Status"})
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/merge-patch+json":
		o.set(r.URL.Path, sent)
		o.did = append(o.did, fmt.Sprintf("%s %s as %s", r.Method, r.URL.Path, r.URL.Query().Get("fieldManager")))
		say(http.StatusOK, o.all[r.URL.Path])
	default:
		say(http.StatusUnprocessableEntity, map[string]any{"message": "what is that?"})
	}
}

// create makes an object that there is not.
func (o *objects) create(r *http.Request, sent map[string]any) (int, map[string]any) {
	md := sent["metadata"].(map[string]any)
	path, manager := fmt.Sprint(r.URL.Path, "/", md["name"]), r.URL.Query().Get("fieldManager")
	if _, there := o.all[path]; there {
		return http.StatusConflict, map[string]any{"message": "it exists already"}
	}
	md["resourceVersion"], md["managedFields"] = "1", []any{map[string]any{"manager": manager}}
	o.all[path] = sent
	o.did = append(o.did, fmt.Sprintf("%s %s as %s", r.Method, r.URL.Path, manager))
	return http.StatusCreated, sent
}

func version(object map[string]any) any {
	md, _ := object["metadata"].(map[string]any)
	return md["resourceVersion"]
}

// set merges a patch into an object and gives it a new version.
func (o *objects) set(path string, patch map[string]any) {
	o.all[path] = merge(o.all[path], patch)
	md := o.all[path]["metadata"].(map[string]any)
	n, _ := strconv.Atoi(md["resourceVersion"].(string))
	md["resourceVersion"] = strconv.Itoa(n + 1)
}

// merge is RFC 7386.
func merge(into, patch map[string]any) map[string]any {
	out := maps.Clone(into)
	if out == nil {
		out = map[string]any{}
	}
	for key, v := range patch {
		if v == nil {
			delete(out, key)
		} else if m, ok := v.(map[string]any); ok {
			have, _ := out[key].(map[string]any)
			out[key] = merge(have, m)
		} else {
			out[key] = v
		}
	}
	return out
}

// swapped are the objects of an environment, of which a laptop was heard last a
// time ago.
func swapped(t *testing.T, silent time.Duration) *objects {
	t.Helper()
	entry := func(manager string, silent time.Duration) string {
		return fmt.Sprintf(`{"manager":%q,"operation":"Update","time":%q,"fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}}}`,
			manager, now().Add(-silent).Format(time.RFC3339))
	}
	o := &objects{all: map[string]map[string]any{}}
	for path, text := range map[string]string{
		// What the laptop wrote is by a clock that is wrong.
		lease: `{"metadata":{"resourceVersion":"1","creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[` +
			entry("somebody", 0) + `,` + entry("kubectl-okteto", silent) + `]},"spec":{"holderIdentity":"ann@laptop/1","renewTime":"2031-01-01T00:00:00Z"}}`,
		original: `{"metadata":{"resourceVersion":"1","labels":{"app":"api","dev.okteto.com":"true"},"annotations":{"dev.okteto.com/replicas":"3",` +
			`"dev.okteto.com/swap":"{\"dev\":\"api\",\"gate\":{\"path\":[\"spec\",\"replicas\"],\"shut\":0,\"open\":3},\"replicasOwners\":[{\"manager\":\"helm\"}]}"},` +
			`"managedFields":[` + entry("kubectl-okteto", silent) + `]},"spec":{"replicas":0}}`,
		scaler: `{"metadata":{"resourceVersion":"1","annotations":{"autoscaling.keda.sh/paused":"true","dev.okteto.com/paused-for":"deployment/api"}}}`,
		clone:  `{"metadata":{"resourceVersion":"1"}}`,
		role:   `{"metadata":{"resourceVersion":"1"}}`,
	} {
		var object map[string]any
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		o.all[path] = object
	}
	return o
}

// look runs the role once.
func look(t *testing.T, o *objects) error {
	t.Helper()
	server := httptest.NewServer(o)
	defer server.Close()
	c := config.AutoDown{
		After: 8 * time.Hour, Lease: lease, Original: original, Resume: []string{scaler}, PausedFor: "deployment/api",
		Delete: []string{clone, lease, role},
	}
	return Run(t.Context(), c, &Server{URL: server.URL, Token: token, Client: server.Client()}, slog.New(slog.DiscardHandler))
}

// whole are the writes of a run that has all to do.
func whole() []string {
	return []string{
		"PATCH " + lease + " as okteto-agent",
		"PATCH " + original + " as kubectl-okteto", "PATCH " + original + " as kubectl-okteto",
		"PATCH " + scaler + " as kubectl-okteto",
		"DELETE " + clone, "DELETE " + lease, "DELETE " + role,
	}
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		silent time.Duration
		edit   func(*objects)
		want   []string
		count  float64
	}{
		{"heard of just now", 0, nil, nil, 0},
		{"heard of in time", 8*time.Hour - time.Second, nil, nil, 0},
		{"silent for too long", 8 * time.Hour, nil, whole(), 3},
		{"somebody scaled it", 9 * time.Hour, func(o *objects) { o.set(original, map[string]any{"spec": map[string]any{"replicas": 5}}) },
			append([]string{whole()[0], whole()[1]}, whole()[3:]...), 5},
		{"down was killed after the Lease", 0, func(o *objects) { delete(o.all, lease) },
			append(slices.Clone(whole()[1:5]), whole()[6]), 3},
		{"nothing but the Role is left", 0, func(o *objects) { delete(o.all, lease); delete(o.all, original); delete(o.all, clone) },
			append(slices.Clone(whole()[3:4]), whole()[6]), 0},
		{"somebody else paused it", 9 * time.Hour, func(o *objects) {
			o.set(scaler, map[string]any{"metadata": map[string]any{"annotations": map[string]any{"dev.okteto.com/paused-for": nil}}})
		}, slices.Delete(whole(), 3, 4), 3},
		{"somebody let KEDA go on", 9 * time.Hour, func(o *objects) {
			o.set(scaler, map[string]any{"metadata": map[string]any{"annotations": map[string]any{"autoscaling.keda.sh/paused": nil}}})
		}, whole(), 3},
		{"the ScaledObject is gone", 9 * time.Hour, func(o *objects) { delete(o.all, scaler) }, slices.Delete(whole(), 3, 4), 3},
		{"KEDA writes meanwhile", 9 * time.Hour, func(o *objects) {
			changes := 5
			o.before = func(method, path string) {
				if path == scaler && changes > 0 {
					o.set(scaler, nil)
					changes--
				}
			}
		}, whole(), 3},
		{"the Lease was reset", 0, func(o *objects) { o.set(lease, map[string]any{"metadata": map[string]any{"managedFields": nil}}) }, whole(), 3},
		{"a laptop comes back just then", 9 * time.Hour, func(o *objects) {
			o.before = func(method, path string) {
				if method == http.MethodPatch && path == lease {
					o.set(lease, nil)
				}
			}
		}, nil, 0},
		{"the original changes meanwhile", 9 * time.Hour, func(o *objects) {
			changes := 3
			o.before = func(method, path string) {
				if method == http.MethodPatch && path == original && changes > 0 {
					o.set(original, nil)
					changes--
				}
			}
		}, whole(), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := swapped(t, tt.silent)
			if tt.edit != nil {
				tt.edit(o)
			}
			if err := look(t, o); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, o.did); diff != "" {
				t.Errorf("-want +did:\n%s", diff)
			}
			if now, there := o.all[original]; there {
				if got := count(now); got != tt.count {
					t.Errorf("%v replicas, want %v", got, tt.count)
				}
			}
		})
	}
}

func count(object map[string]any) float64 {
	switch n := object["spec"].(map[string]any)["replicas"].(type) {
	case int:
		return float64(n)
	case float64:
		return n
	}
	return -1
}

// TestRunIsCompleted stops a run before each of its writes: the next completes it.
func TestRunIsCompleted(t *testing.T) {
	for n := range whole() {
		o := swapped(t, 9*time.Hour)
		o.before = func(method, _ string) {
			if method != http.MethodGet && len(o.did) == n {
				panic(http.ErrAbortHandler)
			}
		}
		if err := look(t, o); err == nil {
			t.Errorf("write %d failed, and nobody was told", n)
		}
		o.before = nil
		if err := look(t, o); err != nil {
			t.Fatal(err)
		}
		annotations := func(path string) map[string]any {
			return o.all[path]["metadata"].(map[string]any)["annotations"].(map[string]any)
		}
		if count(o.all[original]) != 3 || len(o.all) != 2 || len(annotations(original))+len(annotations(scaler)) != 0 {
			t.Errorf("stopped before write %d, there is in the end %v", n, o.all)
		}
	}
}

// TestRunKeepsItsRights refuses to let KEDA go on: all else goes, but the rights.
func TestRunKeepsItsRights(t *testing.T) {
	o := swapped(t, 9*time.Hour)
	o.before = func(_, path string) {
		if path == scaler {
			o.set(scaler, nil)
		}
	}
	if err := look(t, o); err == nil || !strings.Contains(err.Error(), scaler) {
		t.Errorf("failed with %v", err)
	}
	if diff := cmp.Diff(slices.Concat(whole()[:3], whole()[4:6]), o.did); diff != "" {
		t.Errorf("-want +did:\n%s", diff)
	}
}

func TestRunForbidden(t *testing.T) {
	o := swapped(t, 9*time.Hour)
	server := httptest.NewServer(o)
	defer server.Close()
	c := config.AutoDown{After: time.Hour, Lease: lease}
	err := Run(t.Context(), c, &Server{URL: server.URL, Token: "another", Client: server.Client()}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "GET "+lease) || !strings.Contains(err.Error(), "who are you?") {
		t.Errorf("failed with %v", err)
	}
}

// TestInCluster logs in with what a pod has.
func TestInCluster(t *testing.T) {
	o := swapped(t, 0)
	server := httptest.NewTLSServer(o)
	defer server.Close()
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
	env := func(name string) string { return vars[name] }
	dir := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{"token": token + "\n", "ca.crt": string(authority)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := InCluster(dir, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), config.AutoDown{After: time.Hour, Lease: lease}, s, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
	if _, err := InCluster(t.TempDir(), env); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("without a token: %v", err)
	}
	if _, err := InCluster(dir, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "KUBERNETES_SERVICE_HOST") {
		t.Errorf("outside a cluster: %v", err)
	}
}
