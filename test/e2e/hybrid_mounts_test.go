//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hybridMounts is a workload with mounts of every kind, for a user that may not
// read one of them.
func (p *place) hybridMounts() {
	p.t.Helper()
	p.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {app.yaml: "version: 1", other.yaml: other, run.sh: "#!/bin/sh\necho ran\n"}
binaryData: {bytes: AP8B}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {tls.key: s3cr3t, password: pass}
---` + p.podAs("web", `
terminationGracePeriodSeconds: 1
securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000}
volumes:
- {name: settings, configMap: {name: settings}}
- {name: scripts, configMap: {name: settings, defaultMode: 0555, items: [{key: run.sh, path: bin/run.sh}]}}
- {name: keys, secret: {secretName: keys, items: [{key: tls.key, path: tls.key, mode: 0400}, {key: password, path: password, mode: 0440}]}}
- {name: none, configMap: {name: not-there, optional: true}}
- {name: fields, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
- {name: empty, emptyDir: {}}
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  volumeMounts:
  - {name: settings, mountPath: /etc/settings}
  - {name: settings, mountPath: /etc/one/app.yaml, subPath: app.yaml}
  - {name: scripts, mountPath: /opt}
  - {name: keys, mountPath: /etc/keys}
  - {name: keys, mountPath: /etc/password, subPath: password}
  - {name: none, mountPath: /etc/none}
  - {name: fields, mountPath: /etc/fields}
  - {name: empty, mountPath: /empty}
`))
	if err := p.Ready(p.t.Context(), "deploy/web"); err != nil {
		p.t.Fatal(err)
	}
}

const mountsManifest = `
dev:
  web: {mode: hybrid, workdir: app, command: ["sh serve.sh"], environment: {COLOUR: red}}
`

// mountsOf returns the folder that the process's environment names.
func mountsOf(t *testing.T, s *session) string {
	t.Helper()
	for _, e := range environ(t, pidOf(t, s)) {
		if folder, ok := strings.CutPrefix(e, "OKTETO_MOUNTS="); ok {
			return folder
		}
	}
	t.Fatalf("the process has no OKTETO_MOUNTS\n%s", s.Stderr)
	return ""
}

func content(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestHybridMounts reads on the laptop what the pod has mounted, through a change of
// a ConfigMap and of the pod, and uses the token.
func TestHybridMounts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.hybridMounts()
	p.write("okteto.yaml", mountsManifest)
	p.write("app/serve.sh", controlled)
	s := p.start("up", "web")
	s.out("pid ")
	folder := mountsOf(t, s)
	for file, want := range map[string]string{
		"etc/settings/app.yaml": "version: 1", "etc/settings/other.yaml": "other", "etc/settings/bytes": "\x00\xff\x01",
		"etc/one/app.yaml": "version: 1", "opt/bin/run.sh": "#!/bin/sh\necho ran\n",
		"etc/keys/password": "pass", "etc/password": "pass", "etc/keys/tls.key": "s3cr3t",
	} {
		if got := content(t, folder, file); got != want {
			t.Errorf("%s has %q", file, got)
		}
	}
	for file, want := range map[string]fs.FileMode{
		".": 0o700, "etc/settings/app.yaml": 0o600, "opt/bin/run.sh": 0o500, "etc/keys/tls.key": 0o400, "etc/password": 0o400,
	} {
		if info, err := os.Stat(filepath.Join(folder, file)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v", file, info.Mode(), err)
		}
	}
	for _, file := range []string{"etc/none", "empty"} {
		entries, err := os.ReadDir(filepath.Join(folder, file))
		if got := fmt.Sprint(len(entries), errors.Is(err, fs.ErrNotExist)); got != map[string]string{"etc/none": "2 false", "empty": "0 true"}[file] {
			t.Errorf("%s: %s", file, got)
		}
	}
	if got := content(t, folder, "etc/fields/labels"); !strings.Contains(got, `app="web"`) {
		t.Errorf("the fields are %q", got)
	}
	s.say(`"$OKTETO_MOUNTS/opt/bin/run.sh"`)
	s.out("ran\n")
	p.usesToken(folder)

	// Optional ones may come later; a Secret is never shown.
	p.kubectl("patch", "configmap", "settings", "-p", `{"data":{"app.yaml":"version: 2","other.yaml":null,"new.yaml":"new"}}`)
	eventually(t, "the change is here", func() bool {
		got, _ := os.ReadFile(filepath.Join(folder, "etc/settings/app.yaml"))
		return string(got) == "version: 2"
	})
	if got := content(t, folder, "etc/settings/new.yaml"); got != "new" {
		t.Errorf("what is new is %q", got)
	}
	eventually(t, "what is gone in the pod is gone here", func() bool {
		_, err := os.Lstat(filepath.Join(folder, "etc/settings/other.yaml"))
		return errors.Is(err, fs.ErrNotExist)
	})
	if got := content(t, folder, "etc/one/app.yaml"); got != "version: 1" {
		t.Errorf("by subPath there is %q, where the pod has version 1", got)
	}

	// Another pod has the new ones by subPath, too, and the process goes on.
	p.kubectl("delete", "pod", "-l", "app=web,interactive.dev.okteto.com=web", "--wait=false")
	eventually(t, "the other pod's are here", func() bool {
		got, _ := os.ReadFile(filepath.Join(folder, "etc/one/app.yaml"))
		return string(got) == "version: 2"
	})
	s.say("exit 7")
	if code := s.code(); code != 7 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
	if strings.Contains(s.Stderr.String(), "s3cr3t") {
		t.Errorf("a Secret is shown:\n%s", s.Stderr)
	}
}

// usesToken calls the API server as the pod would, with its token and certificates.
func (p *place) usesToken(folder string) {
	p.t.Helper()
	account := filepath.Join(folder, "var/run/secrets/kubernetes.io/serviceaccount")
	if got := content(p.t, account, "namespace"); got != p.Namespace {
		p.t.Errorf("the namespace is %q", got)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(content(p.t, account, "ca.crt"))) {
		p.t.Error("ca.crt has no certificate")
	}
	server := strings.TrimSpace(p.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
	body := `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, server+"/apis/authentication.k8s.io/v1/selfsubjectreviews", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+content(p.t, account, "token"))
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if want := "system:serviceaccount:" + p.Namespace + ":default"; err != nil || !strings.Contains(string(text), want) {
		p.t.Errorf("the API server says %s, %v", text, err)
	}
}

// TestHybridMountsOfOthers says which files the container's user may not read, and
// leaves nothing behind when it is killed.
func TestHybridMountsOfOthers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(`
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {hidden: s3cr3t, open: o}
---` + p.podAs("web", `
terminationGracePeriodSeconds: 1
automountServiceAccountToken: false
securityContext: {runAsUser: 1000}
volumes: [{name: keys, secret: {secretName: keys, items: [{key: hidden, path: hidden, mode: 0400}, {key: open, path: open}]}}]
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  volumeMounts: [{name: keys, mountPath: /etc/keys}]
`))
	if err := p.Ready(t.Context(), "deploy/web"); err != nil {
		t.Fatal(err)
	}
	p.write("okteto.yaml", mountsManifest)
	p.write("app/serve.sh", controlled)
	s := p.start("up", "web")
	s.out("pid ")
	folder := mountsOf(t, s)
	if got := content(t, folder, "etc/keys/open"); got != "o" {
		t.Errorf("the file has %q", got)
	}
	if _, err := os.Lstat(filepath.Join(folder, "etc/keys/hidden")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other one is there: %v", err)
	}
	s.err("/etc/keys/hidden is not here: in the pod only other users may read it")
	if _, err := os.Lstat(filepath.Join(folder, "var")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a token: %v", err)
	}
	if err := s.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the folder of the killed one is gone", func() bool {
		_, err := os.Lstat(folder)
		return errors.Is(err, fs.ErrNotExist)
	})
	// Where nobody was left to remove it, as after a crash of the machine, the next
	// one does.
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	again := p.start("up", "web")
	again.out("pid ")
	if other := mountsOf(t, again); other == folder {
		t.Errorf("the folder is the same: %s", other)
	}
	if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left behind is there: %v", err)
	}
}

// TestHybridExec runs commands beside the local one, in the pod where it is asked to,
// and nowhere where no `up` runs.
func TestHybridExec(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.hybridMounts()
	p.write("okteto.yaml", mountsManifest)
	p.write("app/serve.sh", controlled)
	proxy, kubeconfig := p.outage()
	s := p.start("up", "web", "--kubeconfig", kubeconfig)
	s.out("pid ")
	here := []string{"exec", "web", "--kubeconfig", kubeconfig}
	script := `echo "$PWD $COLOUR"; cat "$OKTETO_MOUNTS/etc/settings/app.yaml"; cat; exit 7`
	r := p.run("input", append(here, "--", "sh", "-c", script)...)
	if want := filepath.Join(p.src, "app") + " red\nversion: 1input"; r.stdout != want || r.code != 7 {
		t.Errorf("exit code %d, %q, want %q\n%s", r.code, r.stdout, want, r.stderr)
	}
	if r = p.run("echo $COLOUR\n", here...); r.stdout != "red\n" || r.code != 0 {
		t.Errorf("a shell: exit code %d, %q\n%s", r.code, r.stdout, r.stderr)
	}
	host := p.ok("exec", "web", "--pod", "--", "hostname").stdout
	if !strings.HasPrefix(host, "web-okteto-") {
		t.Errorf("--pod runs on %q", host)
	}
	// The cluster is not needed for what runs here.
	proxy.Refuse(true)
	proxy.Cut()
	s.err("reconnecting to web")
	if r = p.run("", append(here, "--", "sh", "-c", "echo $COLOUR")...); r.stdout != "red\n" {
		t.Errorf("without the cluster: exit code %d, %q\n%s", r.code, r.stdout, r.stderr)
	}
	proxy.Refuse(false)
	s.say("exit")
	if code := s.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	r = p.run("", append(here, "--", "true")...)
	if r.code != 255 || !strings.Contains(r.stderr, "no `up` of web runs on this machine") || !strings.Contains(r.stderr, "exec web --pod") {
		t.Errorf("without up: exit code %d\n%s", r.code, r.stderr)
	}
	if host := p.ok("exec", "web", "--pod", "--", "hostname").stdout; !strings.HasPrefix(host, "web-okteto-") {
		t.Errorf("--pod runs on %q", host)
	}
}
