package workload

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestServer(t *testing.T) {
	tests := []struct {
		name    string
		status  int
		version version.Info
		want    Server
		tooOld  bool
	}{
		{"new", 200, version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}, Server{"v1.36.3", true}, false},
		{"image volumes came with 1.35", 200, version.Info{Major: "1", Minor: "35", GitVersion: "v1.35.0"}, Server{"v1.35.0", true}, false},
		{"before that", 200, version.Info{Major: "1", Minor: "34", GitVersion: "v1.34.9"}, Server{"v1.34.9", false}, false},
		{"a provider's", 200, version.Info{Major: "1", Minor: "29+", GitVersion: "v1.29.3-eks-1"}, Server{"v1.29.3-eks-1", false}, false},
		{"too old", 200, version.Info{Major: "1", Minor: "28", GitVersion: "v1.28.4"}, Server{"v1.28.4", false}, true},
		{"no number", 200, version.Info{GitVersion: "dev"}, Server{"dev", false}, false},
		{"forbidden", 403, version.Info{}, Server{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/version" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(tt.status)
				if err := json.NewEncoder(w).Encode(tt.version); err != nil {
					t.Error(err)
				}
			}))
			defer srv.Close()
			kube, err := kubernetes.NewForConfig(&rest.Config{Host: srv.URL})
			if err != nil {
				t.Fatal(err)
			}
			got, err := (&Client{Kube: kube}).Server(t.Context())
			var old *VersionError
			if got != tt.want || errors.As(err, &old) != tt.tooOld || err != nil && !tt.tooOld {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
