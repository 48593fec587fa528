package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// The demo's ports are those of examples/hello/okteto.yaml.
const frontend = "http://127.0.0.1:8081/"

// demo is one run: a lab and a copy of the example to edit.
type demo struct {
	*lab.Lab
	src   string
	start time.Time
}

// run goes through the demo and always removes what it made.
func run(ctx context.Context, interactive bool) (err error) {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	l, err := lab.Open(ctx, root, "okteto-demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(ctx)) }()
	d := &demo{Lab: l, src: filepath.Join(l.Home, "hello"), start: time.Now()}
	if err := os.CopyFS(d.src, os.DirFS(filepath.Join(root, "examples", "hello"))); err != nil {
		return err
	}
	if err := d.deploy(ctx); err != nil {
		return err
	}
	if interactive {
		return d.shell(ctx)
	}
	return d.develop(ctx)
}

// title announces a step.
func (d *demo) title(format string, args ...any) {
	fmt.Printf("\n== %5.1f s  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

// shellLine prints a command line as the user would type it.
func shellLine(words ...string) { fmt.Println("   $ " + strings.Join(words, " ")) }

// deploy builds the two services with BuildKit and applies their manifest.
func (d *demo) deploy(ctx context.Context) error {
	d.title("build and deploy the example: two services, the frontend calls the backend")
	for _, service := range []string{"backend", "frontend"} {
		image := fmt.Sprintf("%s/hello-%s:1", d.Registry, service)
		build := exec.CommandContext(ctx, "buildctl", "build", "--progress", "plain", "--frontend", "dockerfile.v0",
			"--local", "context="+d.src, "--local", "dockerfile="+d.src,
			"--opt", "build-arg:SERVICE="+service, "--opt", "build-arg:BASE="+d.Registry+"/debian:1",
			"--output", "type=image,name="+image+",push=true,registry.insecure=true")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", image, err, out)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(d.src, "k8s.yaml"))
	if err != nil {
		return err
	}
	objects := strings.ReplaceAll(string(manifest), "127.0.0.1:5000", d.Registry)
	shellLine("kubectl apply -f k8s.yaml")
	if _, err := d.Kubectl(ctx, objects, "apply", "-f", "-"); err != nil {
		return err
	}
	for _, service := range []string{"backend", "frontend"} {
		if err := d.Ready(ctx, "deploy/"+service); err != nil {
			return err
		}
	}
	return d.showPods(ctx)
}

func (d *demo) showPods(ctx context.Context) error {
	out, err := d.Kubectl(ctx, "", "get", "deployments")
	fmt.Print(out)
	return err
}

// develop takes the backend into development, edits it and gives it back.
func (d *demo) develop(ctx context.Context) error {
	d.title("take the backend into development")
	shellLine("kubectl okteto up backend")
	before := time.Now()
	s, err := d.Start(ctx, d.src, "up", "backend")
	if err != nil {
		return err
	}
	if err := s.Stdout.Await(ctx, "listening on port 8080"); err != nil {
		return fmt.Errorf("%w\n%s", err, s.Stderr)
	}
	fmt.Print(s.Stderr, s.Stdout)
	fmt.Printf("   up to the first output of the command: %.2f s\n", time.Since(before).Seconds())

	d.title("the frontend, through the forward")
	if err := d.expect(ctx, "Hello, developer!"); err != nil {
		return err
	}

	d.title("edit backend/app.py on this machine")
	shellLine("sed -i 's/Hello/Good morning/' backend/app.py")
	file := filepath.Join(d.src, "backend", "app.py")
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	saved := time.Now()
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(source), "Hello", "Good morning")), 0o644); err != nil {
		return err
	}
	if err := d.expect(ctx, "Good morning, developer!"); err != nil {
		return err
	}
	fmt.Printf("   save to the frontend's new answer: %d ms\n", time.Since(saved).Milliseconds())

	d.title("stop, and give the original back")
	if err := s.Cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if _, err := s.Wait(); err != nil {
		return err
	}
	return d.down(ctx)
}

// shell leaves the user in the development container.
func (d *demo) shell(ctx context.Context) error {
	d.title("a shell in the backend's development container; edit %s meanwhile", d.src)
	shellLine("kubectl okteto up backend -- bash")
	up := d.Command(ctx, d.src, "up", "backend", "--", "bash")
	up.Stdin, up.Stdout, up.Stderr = os.Stdin, os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := up.Run(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return d.down(ctx)
}

func (d *demo) down(ctx context.Context) error {
	shellLine("kubectl okteto down backend")
	before := time.Now()
	out, err := d.Command(ctx, d.src, "down", "backend").CombinedOutput()
	fmt.Print(string(out))
	if err != nil {
		return fmt.Errorf("down: %w", err)
	}
	if err := d.Ready(ctx, "deploy/backend"); err != nil {
		return err
	}
	fmt.Printf("   down to the original ready again: %.2f s\n", time.Since(before).Seconds())
	if err := d.showPods(ctx); err != nil {
		return err
	}
	d.title("done")
	return nil
}

// expect asks the frontend until it answers with a text.
func (d *demo) expect(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, lab.Patience)
	defer cancel()
	for {
		body, err := fetch(ctx)
		if strings.Contains(body, text) {
			shellLine("curl " + strings.TrimPrefix(frontend, "http://"))
			fmt.Println("   " + strings.TrimSpace(body))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the frontend does not say %q but %q (%w)", text, body, errors.Join(err, ctx.Err()))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func fetch(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, frontend, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
