//go:build e2e

package e2e

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
)

// What does not fit a small disk, and the rest of it that does.
const (
	smallDisk  = "size=16m"
	bulkFiles  = 60
	bulkBytes  = 400_000
	smallFiles = 400
)

func bulkPath(i int) string { return fmt.Sprintf("bulk/%02d.bin", i) }

// TestPodsDiskFull syncs more into a small volume than it holds, together with
// the agent's state and trash.
func TestPodsDiskFull(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.smallVolume()
	p.podFromElsewhere(manifest + fmt.Sprintf("    persistentVolume: {size: 16Mi, storageClass: %s}\n", p.Namespace))
	tr := newTrial(p)
	tr.fillUp(tr.laptop, tr.state, "the disk is full in the pod")
}

// TestLaptopsDiskFull is the same the other way round, with the user's home
// folder on the small disk.
func TestLaptopsDiskFull(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	r := p.smallHome()
	p.podFromElsewhere(manifest)
	tr := newTrial(p)
	tr.moveHome(r)
	tr.fillUp(tr.pod, tr.home, "the disk is full on the laptop")
}

// fillUp has a user write more than fits the other side, edit, remove and kill
// both ends while the disk is full, and then make room. In rest somebody else
// takes the rest of that disk meanwhile.
func (tr *trial) fillUp(writer *author, rest *os.Root, reason string) {
	tr.t.Helper()
	writer.storm(smallFiles, 1, treePath, treeText)
	tr.resume()
	tr.up.err("is running")
	// What is replaced must not fill the disk.
	for round := 2; round < 10; round++ {
		writer.storm(smallFiles, round, treePath, treeText)
		tr.flush()
	}
	writer.storm(bulkFiles, 1, bulkPath, func(i, _ int) []byte {
		return text(writer.side+" "+bulkPath(i), bulkBytes)
	})
	stopped := func() {
		tr.up.err(reason)
		if r := tr.flush(); r.code != 1 || !strings.Contains(r.stderr, reason) {
			tr.t.Errorf("a flush to a full disk: exit code %d\n%s", r.code, r.stderr)
		}
	}
	stopped()
	if rest != nil {
		defer tr.fill(rest)()
	}
	writer.replace(treePath(1))
	writer.replace("edits/new.txt")
	writer.remove(treePath(2))
	writer.chmod(treePath(3), fs.FileMode(0o600))
	tr.agent.kill()
	if err := tr.up.Cmd.Process.Kill(); err != nil {
		tr.t.Fatal(err)
	}
	tr.awaitEnd()
	tr.resume()
	stopped()
	for i := range bulkFiles / 2 {
		writer.remove(bulkPath(i))
	}
	eventually(tr.t, "sync goes on when there is room", func() bool { return tr.flush().code == 0 })
	tr.converged()
}

// fill takes the rest of a disk until the function is called that it returns.
func (tr *trial) fill(root *os.Root) (free func()) {
	tr.t.Helper()
	filler, err := root.Create("filler")
	if err != nil {
		tr.t.Fatal(err)
	}
	if n, err := io.Copy(filler, rand.Reader); err == nil {
		tr.t.Fatalf("%d bytes more fit the disk", n)
	}
	filler.Close()
	return func() { _ = root.Remove("filler") }
}

// moveHome leads the laptop's user to the home folder that is seen in a room.
func (tr *trial) moveHome(r *room) {
	tr.t.Helper()
	tr.home = tr.open(r.inside(tr.Home))
	tr.laptop = newAuthor("laptop", tr.open(r.inside(tr.src)))
	if err := tr.laptop.root.WriteFile("okteto.yaml", []byte(manifest), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// smallVolume makes a volume of the storage class that is called as the
// namespace: a small file system in the memory of the embedded cluster's node.
func (p *place) smallVolume() {
	p.t.Helper()
	state := p.node()
	_, all, err := node.Inspect(p.t.Context(), state)
	if err != nil {
		p.t.Fatal(err)
	}
	var kubelet string
	for _, s := range all {
		if s.Name == "kubelet" {
			kubelet = fmt.Sprint(s.PID)
		}
	}
	dir := filepath.Join(state, "data", "small-"+p.Namespace)
	if err := os.Mkdir(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	inNode := func(args ...string) {
		if out, err := exec.Command("nsenter", append([]string{"-t", kubelet, "-m", "-p"}, args...)...).CombinedOutput(); err != nil {
			p.t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	inNode("mount", "-t", "tmpfs", "-o", smallDisk, "tmpfs", dir)
	p.t.Cleanup(func() {
		inNode("umount", "--lazy", dir)
		_ = os.Remove(dir)
	})
	p.apply(strings.NewReplacer("NAME", p.Namespace, "DIR", dir).Replace(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: NAME}
spec:
  capacity: {storage: 16Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: NAME
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: DIR}
`))
	p.t.Cleanup(func() {
		ctx, cancel := p.within()
		defer cancel()
		if _, err := p.Kubectl(ctx, "", "delete", "pv", p.Namespace, "--wait=false"); err != nil {
			p.t.Error(err)
		}
	})
}

// room is a mount namespace that the plugin runs in.
type room struct{ pid int }

// inside returns where a path of it is seen from here.
func (r *room) inside(path string) string { return fmt.Sprintf("/proc/%d/root%s", r.pid, path) }

// mount runs mount(8) in it.
func (r *room) mount(args ...string) error {
	args = append([]string{"-t", fmt.Sprint(r.pid), "-m", "mount"}, args...)
	out, err := exec.Command("nsenter", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("nsenter %v: %w: %s", args, err, out)
	}
	return nil
}

// smallHome puts the user's home folder, and in it the source folder, on a small
// file system in a mount namespace of its own, which ends with the test however
// that ends. The plugin runs in it.
func (p *place) smallHome() *room {
	p.t.Helper()
	p.src = filepath.Join(p.Home, "src")
	if err := os.Mkdir(p.src, 0o755); err != nil {
		p.t.Fatal(err)
	}
	pid := p.hold("unshare", "--mount", "sh", "-c",
		`mount -t tmpfs -o `+smallDisk+` tmpfs "$0" && mkdir "$0/src" && echo ready && exec cat`, p.Home)
	p.wrapPlugin(fmt.Sprintf(`exec nsenter -t %d -m sh -c 'cd "$0" && exec "$@"' "$(pwd)" '%s' "$@"`, pid, p.Plugin))
	return &room{pid}
}

// hold runs what keeps a namespace until the test ends, and returns its process
// when it has written a line.
func (p *place) hold(name string, args ...string) int {
	p.t.Helper()
	holder := exec.Command(name, args...)
	in, err := holder.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		p.t.Skip(err)
	}
	p.t.Cleanup(func() {
		_ = in.Close()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		p.t.Skipf("%s: %q, %v", holder, line, err)
	}
	return holder.Process.Pid
}

// wrapPlugin has a line of shell run the plugin.
func (p *place) wrapPlugin(line string) {
	p.t.Helper()
	p.Plugin = filepath.Join(p.t.TempDir(), "plugin")
	if err := os.WriteFile(p.Plugin, []byte("#!/bin/sh\n"+line+"\n"), 0o755); err != nil {
		p.t.Fatal(err)
	}
}
