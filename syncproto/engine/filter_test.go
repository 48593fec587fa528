package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Without an ignore file only that file is followed: what the defaults look into
// is neither watched for it nor read again when it changes.
func TestDefaultsAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "Cargo.toml", "")
	write(t, dir, "target/debug/x", "")
	write(t, dir, "src/lib.rs", "")
	root, err := tree.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	ru, err := loadRules(root, Config{})
	must(t, err)
	if diff := cmp.Diff(map[string]bool{".stignore": true}, ru.sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if !ru.unwatched("target", true) || ru.unwatched("src", true) || ru.reads("src") {
		t.Errorf("target: %v, src: %v", ru.unwatched("target", true), ru.unwatched("src", true))
	}
}
