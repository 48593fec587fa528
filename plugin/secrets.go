package plugin

import (
	"fmt"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// readSecrets reads the files of the manifest's secrets.
func readSecrets(dev *manifest.Dev) ([]workload.SecretFile, error) {
	var files []workload.SecretFile
	total := 0
	for _, s := range dev.Secrets {
		content, err := os.ReadFile(s.Local)
		if err != nil {
			return nil, fmt.Errorf("reading a secret: %w", err)
		}
		if total += len(content); total > workload.MaxSecretSize {
			return nil, fmt.Errorf("the secrets of %q have more than %d bytes together, which is what a Secret of Kubernetes holds: "+
				"sync the large ones, or put them on a volume", dev.Name, workload.MaxSecretSize)
		}
		files = append(files, workload.SecretFile{Path: s.Remote, Mode: s.Mode, Content: content})
	}
	return files, nil
}
