//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
)

// machineFaults are those of the machines that either side runs on, and of the
// namespace.
func machineFaults() []fault {
	return []fault{
		{
			name: "node's runtime restarted", how: "containerd is killed and started again",
			inflict: (*ordeal).restartRuntime, alone: true,
		},
		{
			name: "disk full in pod", how: "no byte is left on the workspace's volume, until `up` has said so",
			before: func(p *place) string {
				p.smallVolume()
				return fmt.Sprintf("    persistentVolume: {size: 16Mi, storageClass: %s}\n", p.Namespace)
			},
			inflict: func(o *ordeal) {
				o.stopped(o.laptop, o.pod, "the disk is full in the pod", func() func() { return o.fill(o.state) })
			},
		},
		diskFullOnLaptop(),
		readOnlyOnLaptop(),
		{
			name: "read-only root in the pod", how: "the workspace's volume becomes read-only, until `up` has said so",
			inflict: func(o *ordeal) {
				o.stopped(o.laptop, o.pod, "read-only", func() func() {
					o.agent.remount(config.WorkspaceDir, unix.MS_RDONLY)
					return func() { o.agent.remount(config.WorkspaceDir, 0) }
				})
			},
		},
		inotifyExhausted(),
		{
			name: "namespace deleted", how: "it is made again with the workload in it, then `up` again", restarts: true,
			inflict: (*ordeal).loseNamespace,
		},
	}
}

// restartRuntime kills the node's container runtime, through which every
// connection to the pod goes, and starts it again.
func (o *ordeal) restartRuntime() {
	const component = "containerd"
	state := o.node()
	ctx, cancel := o.within()
	defer cancel()
	start := func() error { return node.Start(ctx, state, component) }
	if err := node.Kill(ctx, state, component); err != nil {
		o.t.Fatal(err)
	}
	if err := start(); err != nil {
		o.t.Fatal(err)
	}
}

// stopped has a user save something that the other cannot take, until `up` has
// said why, and awaits it then.
func (o *ordeal) stopped(by, other *author, why string, inflict func() (end func())) {
	o.t.Helper()
	o.without(func() {
		end := inflict()
		file := by.side + "/not-yet.txt"
		by.replace(file)
		o.up.err(why)
		end()
		over := time.Now()
		eventually(o.t, file+" arrives", func() bool {
			_, err := other.root.Stat(file)
			return err == nil
		})
		o.took = time.Since(over)
	})
}

func diskFullOnLaptop() fault {
	var r *room
	return fault{
		name: "disk full on laptop", how: "no byte is left on it, until `up` has said so",
		before: func(p *place) string {
			r = p.smallHome()
			return ""
		},
		prepare: func(o *ordeal) { o.moveHome(r) },
		inflict: func(o *ordeal) {
			o.stopped(o.pod, o.laptop, "the disk is full on the laptop", func() func() { return o.fill(o.home) })
		},
	}
}

func readOnlyOnLaptop() fault {
	var r *room
	return fault{
		name: "read-only root on laptop", how: "the folder becomes read-only, until `up` has said so",
		before: func(p *place) string {
			r = p.smallHome()
			if err := r.mount("--bind", p.src, p.src); err != nil {
				p.t.Skip(err)
			}
			return ""
		},
		prepare: func(o *ordeal) { o.moveHome(r) },
		inflict: func(o *ordeal) {
			o.stopped(o.pod, o.laptop, "read-only", func() func() {
				// Not while somebody writes.
				eventually(o.t, "a read-only folder", func() bool { return r.mount("-o", "remount,bind,ro", o.src) == nil })
				return func() {
					if err := r.mount("-o", "remount,bind,rw", o.src); err != nil {
						o.t.Error(err)
					}
				}
			})
		},
	}
}

// remount changes a mount in the container's mount namespace.
func (c *container) remount(path string, flags uintptr) {
	c.t.Helper()
	done := make(chan error)
	go func() {
		// Never unlocked: nobody else may run on a thread that was there.
		runtime.LockOSThread()
		done <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", c.process()))
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
				return err
			}
			return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|flags, "")
		}()
	}()
	if err := <-done; err != nil {
		c.t.Fatalf("remounting %s: %v", path, err)
	}
}

// inotifyExhausted has a plugin in a user namespace of its own, which may watch no
// more folders than it does.
func inotifyExhausted() fault {
	var pid int
	return fault{
		name: "inotify exhausted", how: "no further folder can be watched on the laptop, by a limit that the message cannot see, and there are new ones",
		prepare: func(o *ordeal) {
			pid = o.hold("unshare", "--user", "--map-root-user", "sh", "-c", "echo ready; exec cat")
			o.wrapPlugin(fmt.Sprintf(`exec nsenter -t %d --user --preserve-credentials '%s' "$@"`, pid, o.Plugin))
		},
		inflict: func(o *ordeal) {
			limit := exec.Command("nsenter", "-t", fmt.Sprint(pid), "--user", "sh", "-c", "echo 1 >/proc/sys/user/max_inotify_watches")
			if out, err := limit.CombinedOutput(); err != nil {
				o.t.Fatalf("%v: %s", err, out)
			}
			const folders = 20
			path := func(i int) string { return fmt.Sprintf("new/%d/file.txt", i) }
			o.laptop.storm(folders, 1, path, func(i, _ int) []byte { return text(path(i), 10) })
			o.up.err("sysctl -w fs.inotify.max_user_watches")
			o.laptop.storm(folders, 2, path, func(i, _ int) []byte { return text(path(i), 20) })
			eventually(o.t, "what nobody watches is found", func() bool {
				got, err := o.pod.root.ReadFile(path(folders - 1))
				return err == nil && string(got) == string(text(path(folders-1), 20))
			})
		},
		lasts: true,
	}
}

// loseNamespace deletes the namespace, and makes it again when it is gone.
func (o *ordeal) loseNamespace() {
	o.t.Helper()
	o.endsWith(255, func() { o.kubectl("delete", "namespace", o.Namespace, "--wait=false") })
	eventually(o.t, "the end of the namespace", func() bool {
		return o.kubectl("get", "namespace", o.Namespace, "--ignore-not-found", "-o", "name") == ""
	})
	o.kubectl("create", "namespace", o.Namespace)
	o.deployed("api")
	o.beginAnew()
	o.moveIn()
}
