package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// clockTick is the unit of processor time in /proc: USER_HZ is 100 on every
// architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// pid is a process of this machine.
type pid int

func (p pid) file(name string) string { return filepath.Join("/proc", strconv.Itoa(int(p)), name) }

// cpu returns the processor time that a process has used.
func (p pid) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, err
	}
	// The fields after the name, which may hold anything: utime is the 14th of
	// all, stime the 15th (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("%s has %d fields", p.file("stat"), len(fields))
	}
	var ticks time.Duration
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", p.file("stat"), err)
		}
		ticks += time.Duration(n)
	}
	return ticks * clockTick, nil
}

// memory returns the resident memory of a process, now and at its peak, in MiB.
func (p pid) memory() (now, peak float64, err error) {
	status, err := os.ReadFile(p.file("status"))
	if err != nil {
		return 0, 0, err
	}
	for field, value := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &peak} {
		_, rest, _ := strings.Cut(string(status), "\n"+field)
		line, _, _ := strings.Cut(rest, "\n")
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading %s of %s: %w", field, p.file("status"), err)
		}
		*value = kib / 1024
	}
	return now, peak, nil
}

// errElsewhere means that the pod's processes cannot be reached from here.
var errElsewhere = errors.New("the agent's processes are not on this machine, or this is not root on it")

// agents returns the agent's processes in a pod by their role.
func (s *session) agents() (map[string]pid, error) {
	const agent = "agent"
	// Drivers of control groups write the identity of a pod in two ways.
	var all []pid
	for _, group := range []string{s.uid, strings.ReplaceAll(s.uid, "-", "_")} {
		found, err := processes(group, agent)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	roles := map[string]pid{}
	for _, p := range all {
		line, err := os.ReadFile(p.file("cmdline"))
		if args := strings.Split(string(line), "\x00"); err == nil && len(args) > 1 {
			roles[args[1]] = p
		}
	}
	if len(roles) == 0 {
		return nil, errElsewhere
	}
	return roles, nil
}

// sidecar returns the agent's process that syncs.
func (s *session) sidecar() (pid, error) {
	roles, err := s.agents()
	if err != nil {
		return 0, err
	}
	role := config.Sidecar{}.Args()[0]
	p, ok := roles[role]
	if !ok {
		return 0, fmt.Errorf("no process of the pod has the role %s", role)
	}
	return p, nil
}

// processes returns the processes on this machine that belong to a control
// group whose path has part in it and that run a program of that name.
func processes(part, program string) ([]pid, error) {
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, err
	}
	var found []pid
	for _, file := range groups {
		// Processes that end meanwhile cannot be read.
		group, _ := os.ReadFile(file)
		comm, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm"))
		if strings.Contains(string(group), part) && strings.TrimSpace(string(comm)) == program {
			n, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				return nil, err
			}
			found = append(found, pid(n))
		}
	}
	slices.Sort(found)
	return found, nil
}

// load is the machine's load average, for judging figures.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
