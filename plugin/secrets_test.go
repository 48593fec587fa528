package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

func TestReadSecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	small, half := file("small", 3), file("half", 1<<19)
	got, err := readSecrets(&manifest.Dev{Secrets: []manifest.Secret{
		{Local: small, Remote: "/run/token", Mode: 0o600}, {Local: half, Remote: "/run/half"},
	}})
	want := []workload.SecretFile{
		{Path: "/run/token", Mode: 0o600, Content: []byte("xxx")}, {Path: "/run/half", Content: []byte(strings.Repeat("x", 1<<19))},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, tt := range []struct {
		secrets []manifest.Secret
		want    string
	}{
		{[]manifest.Secret{{Local: half}, {Local: half}, {Local: small}}, `the secrets of "api" have more than 1048576 bytes together`},
		{[]manifest.Secret{{Local: filepath.Join(dir, "gone")}}, "reading a secret: open "},
	} {
		if _, err := readSecrets(&manifest.Dev{Name: "api", Secrets: tt.secrets}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}
