package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/test/bench/probe"
	"github.com/kubectl-okteto/kubectl-okteto/test/bench/trees"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

const (
	// workload is the one that almost everything is measured on.
	workload = "bench"
	// container is its container, app the folder that is synced, and scratch
	// one on the same medium that is not, for the peers.
	container = "main"
	app       = "/app"
	scratch   = "/scratch"
	// patience bounds the first sync of the largest tree.
	patience = 10 * time.Minute
)

// deploy creates a workload and waits until it is ready.
func deploy(ctx context.Context, l *lab.Lab, name, image string) error {
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
      - name: %[3]s
        image: %[2]q
        command: [sleep, "86400"]
        workingDir: %[4]s
        volumeMounts: [{name: scratch, mountPath: %[5]s}]
      volumes: [{name: scratch, emptyDir: {}}]
`, name, image, container, app, scratch)
	if _, err := l.Kubectl(ctx, objects, "apply", "-f", "-"); err != nil {
		return err
	}
	return l.Ready(ctx, "deploy/"+name)
}

// session is an `up` that has synced a folder and runs a command that waits.
type session struct {
	*lab.Session
	workload string
	// dir is the folder on the laptop.
	dir string
	// tree is what the folder holds; "" for something of its own.
	tree tree
	// manifest is the text of its okteto.yaml; "" for none.
	manifest string
	// via is the way to the API server; nil for the direct one.
	via *route
	// synced is the time from the connection to the end of the first sync,
	// ready from the start to the first output of the command.
	synced, ready time.Duration
	// pod is the name of the pod, uid what its control groups are named after.
	pod, uid string
}

// up starts `up` and waits until its command runs.
func (b *bench) up(ctx context.Context, s session) (*session, error) {
	args := []string{"up"}
	if s.via != nil {
		args = append(args, "--kubeconfig", s.via.kubeconfig)
	}
	if s.manifest != "" {
		if err := errors.Join(os.MkdirAll(s.dir, 0o755), os.WriteFile(filepath.Join(s.dir, "okteto.yaml"), []byte(s.manifest), 0o644)); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	var err error
	s.Session, err = b.lab.Start(ctx, s.dir, append(args, s.workload, "--", "sh", "-c", "echo ready; cat")...)
	if err != nil {
		return nil, err
	}
	b.current = &s
	if err := s.Stderr.AwaitFor(ctx, patience, "connected"); err != nil {
		return nil, err
	}
	connected := time.Now()
	if err := s.Stderr.AwaitFor(ctx, patience, "synchronized"); err != nil {
		return nil, err
	}
	s.synced = time.Since(connected)
	if err := s.Stdout.Await(ctx, "ready\n"); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.Stderr)
	}
	s.ready = time.Since(began)
	return &s, b.findPod(ctx, &s)
}

// findPod notes the pod of a session.
func (b *bench) findPod(ctx context.Context, s *session) error {
	out, err := b.lab.Kubectl(ctx, "", "get", "pods", "-l", "interactive.dev.okteto.com="+s.workload,
		"-o", "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}")
	s.pod, s.uid, _ = strings.Cut(out, " ")
	return err
}

// on returns a session that has the tree in sync: the one that runs, if it is
// that one.
func (b *bench) on(ctx context.Context, t tree, via *route) (*session, error) {
	if s := b.current; s != nil && s.tree == t && s.via == via {
		return s, nil
	}
	if s := b.current; s != nil && s.tree == t {
		if err := s.End(); err != nil {
			return nil, err
		}
	} else if err := b.leave(ctx); err != nil {
		return nil, err
	}
	dir, err := b.copyOf(ctx, t)
	if err != nil {
		return nil, err
	}
	return b.up(ctx, session{workload: workload, dir: dir, tree: t, via: via})
}

// routed is on through the proxy in front of the API server.
func (b *bench) routed(ctx context.Context, t tree) (*session, error) {
	via, err := b.through(ctx)
	if err != nil {
		return nil, err
	}
	return b.on(ctx, t, via)
}

// leave ends the session, if there is one, restores the workload, and makes the
// plugin forget what it knew of both.
func (b *bench) leave(ctx context.Context) error {
	s := b.current
	if s == nil {
		return nil
	}
	b.current = nil
	if err := s.End(); err != nil {
		return err
	}
	return b.down(ctx, s)
}

func (b *bench) down(ctx context.Context, s *session) error {
	if out, err := b.lab.Command(ctx, s.dir, "down", s.workload).CombinedOutput(); err != nil {
		return fmt.Errorf("down: %w: %s", err, out)
	}
	if err := os.RemoveAll(filepath.Join(b.lab.Home, ".okteto", "dev")); err != nil {
		return err
	}
	return b.lab.Ready(ctx, "deploy/"+s.workload)
}

// abandon leaves a session in which something failed.
func (b *bench) abandon(ctx context.Context) error {
	s := b.current
	if s == nil {
		return nil
	}
	b.current = nil
	_ = s.Stdin.Close()
	if _, err := s.Wait(); err != nil {
		_ = s.Cmd.Process.Kill()
		_, _ = s.Wait()
	}
	return b.down(ctx, s)
}

// flush waits until everything that was saved so far is in the pod, and, with
// both, what was saved in the pod on the laptop.
func (b *bench) flush(ctx context.Context, both bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sockets, err := filepath.Glob(filepath.Join(b.lab.Home, ".okteto", "dev", "*", "up.sock"))
	if err != nil {
		return err
	}
	err = control.ErrNoSession
	for _, socket := range sockets {
		// A session that has ended leaves its socket behind.
		if err = (devsession.Control{Socket: socket}).Flush(ctx, both); !errors.Is(err, control.ErrNoSession) {
			return err
		}
	}
	return err
}

// inPod prepares a program that runs in the dev container.
func (b *bench) inPod(ctx context.Context, s *session, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--context", b.lab.Context, "-n", b.lab.Namespace,
		"exec", "-i", s.pod, "-c", container, "--"}, args...)...)
	cmd.Env = os.Environ()
	return cmd
}

// far starts a probe of the synced folder in the pod, near one on the laptop.
func (b *bench) far(ctx context.Context, s *session) (*probe.Client, error) {
	if err := b.bringProbe(ctx, s); err != nil {
		return nil, err
	}
	return probe.Start(b.inPod(ctx, s, scratch+"/probe", app))
}

// bringProbe puts the probe's binary into the pod.
func (b *bench) bringProbe(ctx context.Context, s *session) error {
	binary, err := os.Open(b.probe)
	if err != nil {
		return err
	}
	defer binary.Close()
	const install = "cat >" + scratch + "/probe.new && chmod +x " + scratch + "/probe.new && mv " + scratch + "/probe.new " + scratch + "/probe"
	cmd := b.inPod(ctx, s, "sh", "-c", install)
	cmd.Stdin = binary
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bringing the probe to the pod: %w: %s", err, out)
	}
	return nil
}

func (b *bench) near(ctx context.Context, dir string) (*probe.Client, error) {
	return probe.Start(exec.CommandContext(ctx, b.probe, dir))
}

// verify compares both ends of a session: a sync that is fast and wrong must
// not have figures.
func (b *bench) verify(ctx context.Context, s *session) (probe.Tree, error) {
	var found [2]probe.Tree
	for i, start := range []func() (*probe.Client, error){
		func() (*probe.Client, error) { return b.near(ctx, s.dir) },
		func() (*probe.Client, error) { return b.far(ctx, s) },
	} {
		client, err := start()
		if err != nil {
			return probe.Tree{}, err
		}
		found[i], err = client.Tree()
		if err := errors.Join(err, client.Close()); err != nil {
			return probe.Tree{}, err
		}
	}
	if found[0] != found[1] {
		return probe.Tree{}, fmt.Errorf("the folders differ: %+v here, %+v in the pod", found[0], found[1])
	}
	return found[0], nil
}

// copyOf returns the working copy of a tree, which is made at its first use.
func (b *bench) copyOf(ctx context.Context, t tree) (string, error) {
	dir := filepath.Join(b.lab.Home, string(t))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	var from string
	var err error
	switch t {
	case t1:
		from, err = trees.Sources(ctx)
	case t2:
		from, err = b.cache.Repository()
	case t3:
		from, err = b.cache.Large()
	}
	if err != nil {
		return "", err
	}
	return dir, copyTree(ctx, from, dir)
}

// copyTree copies a folder and waits until the medium has it, so that the
// writing does not slow what is measured next.
func copyTree(ctx context.Context, from, to string) error {
	if out, err := exec.CommandContext(ctx, "cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s: %w: %s", from, err, out)
	}
	return settle(ctx)
}
