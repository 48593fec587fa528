package restore

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// object parses an object and returns what a restore has to know of it.
func object(t *testing.T, text string) (*Meta, map[string]any) {
	t.Helper()
	var o struct {
		Metadata Meta `json:"metadata"`
	}
	var all map[string]any
	for _, into := range []any{&o, &all} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	return &o.Metadata, all
}

// swapped is an object with a record of its gate and a spec.
func swapped(gate, spec string) string {
	record, _ := json.Marshal(`{"dev":"api","gate":` + gate + `}`)
	return `{"metadata":{"resourceVersion":"7","annotations":{"dev.okteto.com/swap":` + string(record) + `}},"spec":` + spec + `}`
}

func TestReopen(t *testing.T) {
	const (
		count   = `{"path":["spec","replicas"],"shut":0,"open":3}`
		node    = `{"path":["spec","template","spec","nodeSelector"],"shut":{"pool":"edge","nowhere":"true"},"open":{"nowhere":null}}`
		suspend = `{"path":["spec","suspend"],"shut":true,"open":false}`
	)
	for _, tt := range []struct{ name, gate, spec, want string }{
		{"as it was shut", count, `{"replicas":0}`, `{"metadata":{"resourceVersion":"7"},"spec":{"replicas":3}}`},
		{"scaled by others", count, `{"replicas":5}`, ""},
		{"without the field", count, `{}`, ""},
		{"shut before", `{"path":["spec","replicas"]}`, `{"replicas":0}`, ""},
		{"not there before", `{"path":["spec","replicas"],"shut":0}`, `{"replicas":0}`,
			`{"metadata":{"resourceVersion":"7"},"spec":{"replicas":null}}`},
		{"no node", node, `{"template":{"spec":{"nodeSelector":{"pool":"edge","nowhere":"true"}}}}`,
			`{"metadata":{"resourceVersion":"7"},"spec":{"template":{"spec":{"nodeSelector":{"nowhere":null}}}}}`},
		{"no node, and moved by others", node, `{"template":{"spec":{"nodeSelector":{"disk":"fast","nowhere":"true"}}}}`,
			`{"metadata":{"resourceVersion":"7"},"spec":{"template":{"spec":{"nodeSelector":{"nowhere":null}}}}}`},
		{"sent to its nodes by others", node, `{"template":{"spec":{}}}`, ""},
		{"suspended", suspend, `{"suspend":true}`, `{"metadata":{"resourceVersion":"7"},"spec":{"suspend":false}}`},
		{"resumed by others", suspend, `{"suspend":false}`, ""},
		{"of another type by now", suspend, `"none"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, all := object(t, swapped(tt.gate, tt.spec))
			got, err := m.ReopenPatch(all)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestResume(t *testing.T) {
	for _, tt := range []struct{ name, annotations, want string }{
		{"as it was paused", `{"dev.okteto.com/paused-for":"deployment/api","autoscaling.keda.sh/paused":"true","team":"shop"}`,
			`{"metadata":{"annotations":{"autoscaling.keda.sh/paused":null,"dev.okteto.com/paused-for":null},"resourceVersion":"7"}}`},
		{"set by others meanwhile", `{"dev.okteto.com/paused-for":"deployment/api","autoscaling.keda.sh/paused":"false"}`,
			`{"metadata":{"annotations":{"dev.okteto.com/paused-for":null},"resourceVersion":"7"}}`},
		{"for another", `{"dev.okteto.com/paused-for":"deployment/web","autoscaling.keda.sh/paused":"true"}`, ""},
		{"by others", `{"autoscaling.keda.sh/paused":"true"}`, ""},
		{"not paused", `{}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := object(t, `{"metadata":{"resourceVersion":"7","annotations":`+tt.annotations+`}}`)
			got, err := m.ResumePatch("deployment/api")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPod(t *testing.T) {
	const text = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","uid":"u","managedFields":[{"manager":"helm"}]},"spec":{"n":9007199254740993},"status":STATUS}`
	for status, ended := range map[string]bool{`{}`: false, `{"phase":"Failed"}`: true} {
		p, err := PodIn(map[string]string{AnnotationPod: strings.Replace(text, "STATUS", status, 1)})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"n":9007199254740993}}`
		if diff := cmp.Diff(want, string(p.Body)); diff != "" || p.Ended != ended || len(p.Owners) != 1 || p.Owners[0].Manager != "helm" {
			t.Errorf("of %s is made %+v, -want +got:\n%s", status, p, diff)
		}
	}
	for _, text := range []string{"", "{", "[]", `{"metadata":{"name":"web"}}`} {
		if p, err := PodIn(map[string]string{AnnotationPod: text}); err == nil {
			t.Errorf("%q is taken for %+v", text, p)
		}
	}
}

func TestOwners(t *testing.T) {
	for _, tt := range []struct{ name, entries, want string }{
		{"made again", `{"manager":"kubectl-okteto"},{"manager":"kubelet","subresource":"status"}`,
			`{"metadata":{"managedFields":[{"manager":"helm"},{"manager":"kubelet","subresource":"status"}],"resourceVersion":"7"}}`},
		{"given back", `{"manager":"helm"}`, ""},
	} {
		m, _ := object(t, `{"metadata":{"resourceVersion":"7","managedFields":[`+tt.entries+`]}}`)
		got, err := m.OwnersPatch([]Entry{{Manager: "helm"}})
		if diff := cmp.Diff(tt.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", tt.name, err, diff)
		}
	}
}

func TestReopenWithoutARecord(t *testing.T) {
	for _, text := range []string{swapped(`{}`, `{"replicas":0}`), swapped(`[]`, `{"replicas":0}`),
		`{"metadata":{"annotations":{"dev.okteto.com/replicas":"3"}},"spec":{"replicas":0}}`} {
		m, all := object(t, text)
		if body, err := m.ReopenPatch(all); err == nil || body != nil {
			t.Errorf("%s: %s, %v", text, body, err)
		}
	}
	m, all := object(t, `{"metadata":{},"spec":{"replicas":0}}`)
	if body, err := m.ReopenPatch(all); err != nil || body != nil {
		t.Errorf("not swapped: %s, %v", body, err)
	}
}

// FuzzRestore restores whatever the cluster may show.
func FuzzRestore(f *testing.F) {
	f.Add([]byte(swapped(`{"path":["spec","replicas"],"shut":0,"open":3}`, `{"replicas":0}`)))
	f.Add([]byte(swapped(`{"path":["a","b"],"shut":{"c":"x"},"open":{"c":null}}`, `{}`)))
	f.Add([]byte(`{"metadata":{"annotations":{"dev.okteto.com/swap":"{\"replicasOwners\":[{\"manager\":\"helm\"}],\"pauses\":[\"p\"]}"},` +
		`"managedFields":[{"manager":"kubectl-okteto","fieldsV1":{"f:spec":{"f:replicas":{}}}},{"manager":"helm","fieldsV1":{"f:spec":"no set"}}]}}`))
	f.Add([]byte(`{"metadata":{"annotations":{"dev.okteto.com/pod":"{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"n\":1}}","dev.okteto.com/paused-for":"a/b"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var o struct {
			Metadata Meta `json:"metadata"`
		}
		var all map[string]any
		if json.Unmarshal(text, &o) != nil || json.Unmarshal(text, &all) != nil {
			return
		}
		open, err1 := o.Metadata.ReopenPatch(all)
		clean, err2 := o.Metadata.CleanPatch(RecordIn(o.Metadata.Annotations).Gate.Path)
		resume, err := o.Metadata.ResumePatch(o.Metadata.Annotations[AnnotationPaused])
		if err != nil {
			t.Error(err)
		}
		bodies := [][]byte{open, clean, resume}
		if p, err := PodIn(o.Metadata.Annotations); err == nil {
			owners, err := o.Metadata.OwnersPatch(p.Owners)
			if err != nil {
				t.Error(err)
			}
			bodies = append(bodies, p.Body, owners)
		}
		for _, body := range bodies {
			if body != nil && !json.Valid(body) {
				t.Errorf("%s leads to %s", text, body)
			}
		}
		if err1 != nil && open != nil || err2 != nil && clean != nil {
			t.Errorf("%s: %v, %v", text, err1, err2)
		}
	})
}

func TestClean(t *testing.T) {
	gate := []string{"spec", "replicas"}
	const ours = `{"manager":"kubectl-okteto","operation":"Apply","apiVersion":"apps/v1","time":"2026-05-01T12:00:00Z","fieldsType":"FieldsV1",` +
		`"fieldsV1":{"f:metadata":{"f:labels":{"f:dev.okteto.com":{},"f:shared":{}},"f:annotations":{"f:dev.okteto.com/swap":{},"f:note":{}}},"f:spec":{"f:replicas":{}}}}`
	const helm = `{"manager":"helm","operation":"Update","apiVersion":"apps/v1","time":"2026-04-01T12:00:00Z","fieldsType":"FieldsV1",` +
		`"fieldsV1":{"f:metadata":{"f:labels":{"f:shared":{}}},"f:spec":{"f:paused":{}}}}`
	const marks = `"labels":{"app":"api","dev.okteto.com":"true","shared":"x"},"annotations":{"dev.okteto.com/dev-mode":"sync","dev.okteto.com/replicas":"3",` +
		`"note":"n","theirs":"t","dev.okteto.com/swap":"{\"dev\":\"api\",\"replicasOwners\":[{\"manager\":\"helm\",\"operation\":\"Update\",\"apiVersion\":\"apps/v1\"}]}"}`
	for _, tt := range []struct{ name, metadata, want string }{
		{"ours", marks + `,"managedFields":[` + helm + `,` + ours + `]`,
			`{"annotations":{"dev.okteto.com/dev-mode":null,"dev.okteto.com/replicas":null,"dev.okteto.com/swap":null,"note":null},` +
				`"labels":{"dev.okteto.com":null},"managedFields":[{"manager":"helm","operation":"Update","apiVersion":"apps/v1","time":"2026-04-01T12:00:00Z",` +
				`"fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:shared":{}}},"f:spec":{"f:paused":{},"f:replicas":{}}}}],"resourceVersion":"7"}`},
		{"alone", marks + `,"managedFields":[` + ours + `]`,
			`{"annotations":{"dev.okteto.com/dev-mode":null,"dev.okteto.com/replicas":null,"dev.okteto.com/swap":null,"note":null},` +
				`"labels":{"dev.okteto.com":null,"shared":null},"managedFields":[{"manager":"helm","operation":"Update","apiVersion":"apps/v1",` +
				`"fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}}}],"resourceVersion":"7"}`},
		{"field managers were reset", marks,
			`{"annotations":{"dev.okteto.com/dev-mode":null,"dev.okteto.com/replicas":null,"dev.okteto.com/swap":null},"labels":{"dev.okteto.com":null},` +
				`"managedFields":[{"manager":"helm","operation":"Update","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}}}],"resourceVersion":"7"}`},
		{"nobody owned it", `"annotations":{"dev.okteto.com/swap":"?"},"managedFields":[` + ours + `]`,
			`{"annotations":{"dev.okteto.com/swap":null},"managedFields":[{}],"resourceVersion":"7"}`},
		{"not swapped", `"labels":{"app":"api"},"managedFields":[` + helm + `]`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := object(t, `{"metadata":{"resourceVersion":"7",`+tt.metadata+`}}`)
			got, err := m.CleanPatch(gate)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != "" {
				tt.want = `{"metadata":` + tt.want + `}`
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
