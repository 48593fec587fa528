//go:build e2e

// Package e2e drives the built plugin against a real cluster: the one that
// KUBECONFIG and OKTETO_TEST_CONTEXT name, never another.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// place is one test's lab and source folder.
type place struct {
	*lab.Lab
	t   *testing.T
	src string
}

// newPlace makes a namespace that is deleted when the test ends.
func newPlace(t *testing.T) *place {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Open(t.Context(), root, "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &place{Lab: l, t: t, src: t.TempDir()}
}

// kubectl runs kubectl, which has to succeed.
func (p *place) kubectl(args ...string) string {
	p.t.Helper()
	out, err := p.Kubectl(p.t.Context(), "", args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// apply creates objects and waits for nothing.
func (p *place) apply(objects string) {
	p.t.Helper()
	if _, err := p.Kubectl(p.t.Context(), objects, "apply", "-f", "-"); err != nil {
		p.t.Fatal(err)
	}
}

// write puts a file into the source folder.
func (p *place) write(name, content string) {
	p.t.Helper()
	file := filepath.Join(p.src, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// read returns a file of the source folder, "" when there is none.
func (p *place) read(name string) string {
	content, err := os.ReadFile(filepath.Join(p.src, filepath.FromSlash(name)))
	if err != nil {
		return ""
	}
	return string(content)
}

// result is what a run of the plugin left.
type result struct {
	stdout, stderr string
	code           int
}

// run runs the plugin to its end.
func (p *place) run(stdin string, args ...string) result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), lab.Patience)
	defer cancel()
	return p.finish(ctx, stdin, p.Command(ctx, p.src, args...))
}

// finish runs a prepared command to its end.
func (p *place) finish(ctx context.Context, stdin string, cmd *exec.Cmd) result {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		p.t.Fatalf("%s: %v\n%s%s", cmd, err, stdout.String(), stderr.String())
	}
	return result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// ok runs the plugin and fails the test unless it succeeds.
func (p *place) ok(args ...string) result {
	p.t.Helper()
	r := p.run("", args...)
	if r.code != 0 {
		p.t.Fatalf("okteto %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// start runs the plugin in the background; it is ended with the test.
func (p *place) start(args ...string) *session {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	s, err := p.Start(ctx, p.src, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		cancel()
		_ = s.Stdin.Close()
		if _, err := s.Wait(); err != nil {
			p.t.Error(err)
		}
		if p.t.Failed() {
			p.t.Logf("okteto %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), s.Stdout, s.Stderr)
		}
	})
	return &session{Session: s, t: p.t}
}

// session is a plugin in the background that fails its test by itself.
type session struct {
	*lab.Session
	t *testing.T
}

// out awaits a text on standard output, err on standard error.
func (s *session) out(text string) { s.t.Helper(); s.await(s.Stdout, text) }
func (s *session) err(text string) { s.t.Helper(); s.await(s.Stderr, text) }

func (s *session) await(tr *lab.Transcript, text string) {
	s.t.Helper()
	if err := tr.Await(s.t.Context(), text); err != nil {
		s.t.Fatalf("%v\nstderr:\n%s", err, s.Stderr)
	}
}

// say writes a line to the command's standard input.
func (s *session) say(line string) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.Stdin, line); err != nil {
		s.t.Fatal(err)
	}
}

// code returns the exit code of a session that ends by itself.
func (s *session) code() int {
	s.t.Helper()
	code, err := s.Wait()
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

// eventually awaits a condition of the cluster or of files, which has no event
// that a test could listen to.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(lab.Patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, lab.Patience)
		}
	}
}

// snapshot returns an object without its status and the fields that every
// write changes: what `down` has to bring back to the byte.
func (p *place) snapshot(object string) string {
	p.t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(p.kubectl("get", object, "-o", "json")), &o); err != nil {
		p.t.Fatal(err)
	}
	delete(o, "status")
	metadata := o["metadata"].(map[string]any)
	for _, field := range []string{"resourceVersion", "generation", "managedFields"} {
		delete(metadata, field)
	}
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		// Their controllers' own: the generation of a DaemonSet's template, and
		// the revision of a Deployment's, which comes a moment after the object.
		delete(annotations, "deprecated.daemonset.template.generation")
		delete(annotations, "deployment.kubernetes.io/revision")
		if len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	out, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		p.t.Fatal(err)
	}
	return string(out)
}

// deployment renders a Deployment of two pods that sleep in busybox.
func (p *place) deployment(name string) string {
	return strings.Replace(p.podAs(name, `
terminationGracePeriodSeconds: 1
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  workingDir: /app
  env: [{name: FROM_SPEC, value: spec}]
`), "replicas: 1", "replicas: 2", 1)
}

// podAs renders a Deployment of one pod from the pod's spec in YAML, in which
// REGISTRY stands for the registry.
func (p *place) podAs(name, spec string) string {
	p.t.Helper()
	var pod any
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(spec, "REGISTRY", p.Registry)), &pod); err != nil {
		p.t.Fatal(err)
	}
	labels := map[string]string{"app": name}
	object, err := yaml.Marshal(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": name, "labels": labels},
		"spec": map[string]any{
			"replicas": 1,
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod},
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return "\n" + string(object)
}

// develop takes a fresh workload api into development, with a command that has
// said ready and reads its input.
func (p *place) develop() *session {
	p.t.Helper()
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	return s
}

// deployed applies the Deployment and waits until its rollout is complete.
func (p *place) deployed(name string) {
	p.t.Helper()
	p.apply(p.deployment(name))
	if err := p.Ready(p.t.Context(), "deploy/"+name); err != nil {
		p.t.Fatal(err)
	}
}
