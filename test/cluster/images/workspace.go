package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/components"
)

// Workspace makes an image of busybox whose working folder, /app, holds a copy
// of a folder, unless one with that key is in the cache folder. It returns the
// layout folder, for Push.
func Workspace(cache, key, folder string) (string, error) {
	sum, err := components.Key(nil, key)
	if err != nil {
		return "", fmt.Errorf("keying the workspace image: %w", err)
	}
	dir := filepath.Join(cache, "workspace-"+sum)
	config := runConfig{Env: []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin"}, Cmd: []string{"sh"}, WorkingDir: "/app"}
	err = components.Once(dir, func(tmp string) error {
		return layout(tmp).write(config, func(w *tar.Writer) error {
			return errors.Join(
				addBusybox(w, "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"),
				add(w, tar.Header{Name: "app/", Mode: 0o755}, nil),
				addTree(w, folder, "app/", func(string) bool { return false }),
			)
		})
	})
	if err != nil {
		return "", fmt.Errorf("making the workspace image: %w", err)
	}
	return dir, nil
}
