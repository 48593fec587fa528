//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// claims lists the volume claims of the namespace.
func (p *place) claims() string {
	p.t.Helper()
	return strings.TrimSpace(p.kubectl("get", "persistentvolumeclaims", "-o", "name"))
}

// TestWorkspaceWithoutClaim keeps the workspace with the pod, as long as the
// manifest asks for nothing else.
func TestWorkspaceWithoutClaim(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.ok("up", "--", "true")
	if got := p.claims(); got != "" {
		t.Errorf("up made %s", got)
	}
	volumes := p.kubectl("get", "deploy", "api-okteto", "-o", "jsonpath={.spec.template.spec.volumes}")
	if strings.Contains(volumes, "persistentVolumeClaim") {
		t.Errorf("the clone has volumes %s", volumes)
	}
}

// TestClaimOutlivesDown writes what sync does not see to the workspace and to
// a volume of its own, and looks for it after down and up.
func TestClaimOutlivesDown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	const claim = "persistentvolumeclaim/api-okteto"
	p.write(".stignore", "*.cache\n")
	p.write("file.txt", "one")
	p.write("inner/here.txt", "not the volume's")
	for name, section := range map[string]string{
		"persistentVolume": "    persistentVolume: {size: 20Mi, labels: {team: blue}}\n    volumes: [/var/cache/tool, /app/inner]\n",
		"volumes alone":    "    volumes: [/var/cache/tool, /app/inner]\n",
	} {
		p.write("okteto.yaml", manifest+section)
		p.ok("up", "--", "sh", "-c", "echo kept >work.cache; echo kept too >/var/cache/tool/file; echo kept inside >inner/file; echo end >synced.txt")
		if got := p.read("synced.txt") + p.read("inner/file"); got != "end\n" {
			t.Errorf("%s: a volume inside the synced folder is synced: %q", name, got)
		}
		p.ok("down")
		if got := p.claims(); got != claim {
			t.Fatalf("%s: after down there is %q", name, got)
		}
		p.write("file.txt", "two")
		r := p.ok("up", "--", "sh", "-c", "cat work.cache /var/cache/tool/file inner/* file.txt")
		if r.stdout != "kept\nkept too\nkept inside\ntwo" {
			t.Errorf("%s: after down and up there is %q\n%s", name, r.stdout, r.stderr)
		}
		if got := p.kubectl("get", claim, "-o", "jsonpath={.metadata.labels.team} {.spec.resources.requests.storage}"); name == "persistentVolume" && got != "blue 20Mi" {
			t.Errorf("the claim has %q", got)
		}
		p.ok("down", "-v")
		eventually(t, name+": the claim is gone", func() bool { return p.claims() == "" })
	}
}

// built builds an image of files on top of another one, pushes it and returns
// its name. Every file is from the year 2001.
func (p *place) built(base string, files map[string]string) string {
	p.t.Helper()
	dir := p.t.TempDir()
	then := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, content := range files {
		file := filepath.Join(dir, "files", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
		if err := os.Chtimes(file, then, then); err != nil {
			p.t.Fatal(err)
		}
	}
	return p.image(dir, "seeded", fmt.Sprintf("FROM %s/%s\nCOPY files /app\n", p.Registry, base))
}

// image builds the image of a Dockerfile, with dir as its context, pushes it
// under a tag of this test's own and returns its name.
func (p *place) image(dir, name, dockerfile string) string {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		p.t.Fatal(err)
	}
	image := fmt.Sprintf("%s/%s:%s", p.Registry, name, p.Namespace)
	cmd := exec.CommandContext(p.t.Context(), "buildctl", "build", "--frontend", "dockerfile.v0", "--local", "context="+dir,
		"--local", "dockerfile="+dir, "--output", "type=image,name="+image+",push=true,registry.insecure=true")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return image
}

// forbidImageVolumes adds a policy to the namespace under which a pod has only
// volumes of the older kinds, and waits until it is in force.
func (p *place) forbidImageVolumes() {
	p.t.Helper()
	kind := "validatingadmissionpolicy"
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), lab.Patience)
		defer cancel()
		if _, err := p.Kubectl(ctx, "", "delete", kind+"/"+p.Namespace, kind+"binding/"+p.Namespace); err != nil {
			p.t.Error(err)
		}
	})
	p.apply(strings.ReplaceAll(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAMESPACE}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.image))"
    message: a volume of this type is not allowed here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAMESPACE}
spec:
  policyName: NAMESPACE
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
`, "NAMESPACE", p.Namespace))
	pod := fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec:
  containers: [{name: main, image: "%s/busybox:1"}]
  volumes: [{name: image, image: {reference: "%[1]s/busybox:1"}}]
`, p.Registry)
	eventually(p.t, "the policy is in force", func() bool {
		_, err := p.Kubectl(p.t.Context(), pod, "create", "--dry-run=server", "-f", "-")
		return err != nil && strings.Contains(err.Error(), "not allowed here")
	})
}

// TestImageContentIsSeeded begins with a folder of which the image has most,
// as one does after a build of that folder: with the image as a volume, and
// where none is allowed; and with a folder inside that is kept apart.
func TestImageContentIsSeeded(t *testing.T) {
	const inside = "    volumes: [/app/inner]\n"
	for name, test := range map[string]struct {
		forbidden bool
		section   string
	}{
		"from a volume":                    {false, ""},
		"by an init container":             {true, ""},
		"from a volume, one inside":        {false, inside},
		"by an init container, one inside": {true, inside},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if test.forbidden {
				p.forbidImageVolumes()
			}
			p.seeded(test.section)
			inits := p.kubectl("get", "deploy", "api-okteto", "-o", "jsonpath={.spec.template.spec.initContainers[*].name}")
			if strings.Contains(inits, "okteto-seed") != test.forbidden {
				t.Errorf("the clone has the init containers %s", inits)
			}
		})
	}
}

// seeded develops in an image that has most of the folder, with a section more
// in the manifest.
func (p *place) seeded(section string) {
	p.t.Helper()
	t := p.t
	p.deployed("api")
	files := map[string]string{"only/in-image.txt": "made by the build", "changed.txt": "old"}
	for i := range 30 {
		files[fmt.Sprintf("same/%d.txt", i)] = noise(100 * i)
		p.write(fmt.Sprintf("same/%d.txt", i), noise(100*i))
	}
	image := p.built("busybox:1", files)
	p.write("okteto.yaml", manifest+"    image: "+image+"\n"+section)
	p.write("changed.txt", "new")
	p.write("only-here.txt", "here")
	// What sync writes gets the time of writing.
	r := p.ok("up", "--", "sh", "-c", "stat -c %y same/*.txt | cut -c1-4 | sort | uniq -c; stat -c %y changed.txt | cut -c1-4; cat changed.txt only-here.txt")
	lines := strings.Split(r.stdout, "\n")
	if len(lines) != 3 || strings.Join(strings.Fields(lines[0]), " ") != "30 2001" || lines[1] == "2001" || lines[2] != "newhere" {
		t.Errorf("in the pod: %q\n%s", r.stdout, r.stderr)
	}
	if got := p.read("only/in-image.txt"); got != "made by the build" {
		t.Errorf("what only the image had arrived as %q", got)
	}
	if got := p.read("changed.txt"); got != "new" {
		t.Errorf("the laptop's file became %q", got)
	}
	// What is deleted stays so, also in the next run.
	p.ok("exec", "api", "--", "rm", "-r", "/app/only")
	if err := os.RemoveAll(filepath.Join(p.src, "only")); err != nil {
		t.Fatal(err)
	}
	if r := p.ok("up", "--", "ls"); !strings.Contains(r.stdout, "changed.txt\n") || strings.Contains(r.stdout, "only\n") {
		t.Errorf("a deleted folder came back: %q", r.stdout)
	}
}
