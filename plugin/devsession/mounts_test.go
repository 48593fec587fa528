//go:build linux

package devsession

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/hybrid"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// mount writes a volume of the pod, as the kubelet does.
func (p *pod) mount(name, version string, files map[string]string) string {
	p.t.Helper()
	volume := filepath.Join(p.Dir, name)
	if err := os.MkdirAll(filepath.Join(volume, ".."+version), 0o755); err != nil {
		p.t.Fatal(err)
	}
	for file, content := range files {
		write(p.t, filepath.Join(volume, ".."+version, file), content)
	}
	link := filepath.Join(volume, "..data")
	old, _ := os.Readlink(link)
	if err := errors.Join(os.Symlink(".."+version, link+"_tmp"), os.Rename(link+"_tmp", link)); err != nil {
		p.t.Fatal(err)
	}
	if old != "" {
		if err := os.RemoveAll(filepath.Join(volume, old)); err != nil {
			p.t.Fatal(err)
		}
	}
	return volume
}

// with brings mounts to this machine.
func (u *localUp) with(in string, paths ...string) {
	u.Command.(*Local).Mounts = &Mounts{
		Paths: func(context.Context) ([]string, error) { return paths, nil }, In: in, Console: u.Console,
	}
}

// until waits for what files say: nothing tells of them.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(lab.Patience); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// The process finds the pod's mounts, which follow those in the pod while there is a
// connection, stay while there is none, and go with the session.
func TestMountsFollowThePod(t *testing.T) {
	p := newPod(t)
	volume := p.mount("config", "1", map[string]string{"key": "one"})
	p.replaceRunner()
	u := p.hybridLater(readEval)
	in := filepath.Join(p.Dir, "mounts")
	u.with(in, volume, filepath.Join(p.Dir, "none"))
	u.run()
	u.line()
	u.shows("none is not here: stat ")
	if got := u.ask(`cat "$OKTETO_MOUNTS` + volume + `/key"; echo`); got != "one" {
		t.Errorf("the process reads %q", got)
	}
	file := filepath.Join(u.ask(`echo "$OKTETO_MOUNTS"`), volume, "key")
	is := func(want string) func() bool {
		return func() bool { got, _ := os.ReadFile(file); return string(got) == want }
	}
	p.mount("config", "2", map[string]string{"key": "two"})
	until(t, "the change did not come", is("two"))

	// Another container, over the same connection.
	p.replaceRunner()
	p.mount("config", "3", map[string]string{"key": "three"})
	until(t, "the change did not come", is("three"))

	p.Proxy.Refuse(true)
	p.Proxy.Cut()
	u.shows("reconnecting to api")
	p.mount("config", "4", map[string]string{"key": "four"})
	if !is("three")() {
		t.Error("without a connection the files are not as they were")
	}
	p.Proxy.Refuse(false)
	until(t, "the change did not come", is("four"))

	u.ask("echo going; exit")
	if err := u.end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(in); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mounts are left: %v", err)
	}
}

// Where the files must not be, the process runs without them.
func TestMountsThatMustNotBeThere(t *testing.T) {
	p := newPod(t)
	write(t, filepath.Join(p.Dir, ".git"), "gitdir: elsewhere")
	p.replaceRunner()
	u := p.hybridLater(readEval)
	u.with(filepath.Join(p.Dir, "mounts"), "/etc")
	u.run()
	u.line()
	u.shows("where Secrets must not be")
	if got := u.ask(`echo "<$OKTETO_MOUNTS>"`); got != "<>" {
		t.Errorf("they are in %s", got)
	}
}

// Other commands of this machine run where the process does.
func TestLocalTellsWhereItRuns(t *testing.T) {
	p := newPod(t)
	ctx := within(t)
	if here, err := (Control{Socket: filepath.Join(p.Dir, "none")}).Local(ctx); !errors.Is(err, control.ErrNoSession) {
		t.Errorf("without a session: %v, %v", here, err)
	}
	p.replaceRunner("COLOUR=red")
	u := p.hybrid(readEval)
	u.line()
	here, err := u.control().Local(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if here == nil || here.Dir != p.Dir || !slices.Contains(here.Env, "COLOUR=red") {
		t.Fatalf("it runs in %+v", here)
	}
	out := filepath.Join(p.Dir, "out")
	err = here.Run(ctx, hybrid.Shell(fmt.Sprintf(`sleep 1000 & echo "$PWD $COLOUR $!" >%s; exit 7`, out)), nil, nil, nil)
	if exitStatus(err) != 7 {
		t.Errorf("it ended with %v", err)
	}
	var where, colour string
	var child int
	if n, err := fmt.Sscan(read(t, out), &where, &colour, &child); n != 3 || where != p.Dir || colour != "red" {
		t.Errorf("it ran in %q with %q, %v", where, colour, err)
	}
	if err := syscall.Kill(child, 0); err == nil {
		t.Errorf("process %d is left behind", child)
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if err := here.Run(ended, hybrid.Shell("sleep 1000"), nil, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// In sync mode they run in the pod.
func TestRemoteTellsThatItIsNotHere(t *testing.T) {
	p := newPod(t)
	u := p.ready()
	if here, err := u.control().Local(within(t)); here != nil || err != nil {
		t.Errorf("it runs in %+v, %v", here, err)
	}
}
