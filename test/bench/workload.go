package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// name is the workload that everything is measured on.
const name = "bench"

// deploy creates the workload and waits until it is ready.
func deploy(ctx context.Context, l *lab.Lab) error {
	objects := fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: main, image: "%[2]s/busybox:1", command: [sleep, "86400"], workingDir: /app}
`, name, l.Registry)
	if _, err := l.Kubectl(ctx, objects, "apply", "-f", "-"); err != nil {
		return err
	}
	return l.Ready(ctx, "deploy/"+name)
}

// restart measures `kubectl rollout restart` until the new pod is Ready.
func restart(ctx context.Context, l *lab.Lab) (time.Duration, error) {
	start := time.Now()
	if _, err := l.Kubectl(ctx, "", "rollout", "restart", "deploy/"+name); err != nil {
		return 0, err
	}
	if err := l.Ready(ctx, "deploy/"+name); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// up starts a session whose command says ready and then does what script says.
func up(ctx context.Context, l *lab.Lab, dir, script string) (*lab.Session, error) {
	return l.Start(ctx, dir, "up", name, "--", "sh", "-c", "echo ready; "+script)
}

// down ends a session, restores the workload and waits until it is ready.
func down(ctx context.Context, l *lab.Lab, dir string, s *lab.Session) error {
	if err := s.End(); err != nil {
		return err
	}
	if out, err := l.Command(ctx, dir, "down", name).CombinedOutput(); err != nil {
		return fmt.Errorf("down: %w: %s", err, out)
	}
	return l.Ready(ctx, "deploy/"+name)
}

// tarExec measures `tar c | kubectl exec tar x` into the dev container.
func tarExec(ctx context.Context, l *lab.Lab, src string) (time.Duration, error) {
	pod, err := l.Kubectl(ctx, "", "get", "pods", "-l", "interactive.dev.okteto.com="+name, "-o", "name")
	if err != nil {
		return 0, err
	}
	script := fmt.Sprintf("tar -C '%s' -cf - . | kubectl --context '%s' -n '%s' exec -i %s -c main -- sh -c 'mkdir /tmp/tar && tar -xf - -C /tmp/tar'",
		src, l.Context, l.Namespace, strings.TrimSpace(pod))
	start := time.Now()
	if out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("tar through kubectl exec: %w: %s", err, out)
	}
	return time.Since(start), nil
}

func fileName(i int) string { return fmt.Sprintf("d%02d/f%04d.txt", i%40, i) }

// tree makes a folder with files of random bytes.
func tree(dir string, files, size int) (string, error) {
	random := rand.NewChaCha8([32]byte{})
	for i := range files {
		file := filepath.Join(dir, fileName(i))
		content := make([]byte, size)
		_, _ = random.Read(content)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func countFiles(dir string) (n int, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	return n, err
}
