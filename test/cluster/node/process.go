//go:build linux

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process names one process for good. A process number alone may belong to
// another process by now; together with the boot and the start time it cannot.
type process struct {
	PID   int
	Start string // clock ticks from boot to its start
	Boot  string // the boot's id
}

// identify returns the process that has a number now.
func identify(pid int) (process, error) {
	boot, err := bootID()
	if err != nil {
		return process{}, err
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, err
	}
	state, start, err := parseStat(stat)
	if err != nil {
		return process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if state == "Z" || state == "X" {
		return process{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return process{pid, start, boot}, nil
}

// bootID names this boot of the machine.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id)), err
}

// parseStat returns the state and the start time of a /proc/PID/stat file
// (see proc_pid_stat(5)). The second field, the program's name in parentheses,
// may hold anything, parentheses and spaces too.
func parseStat(stat []byte) (state, start string, err error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", "", errors.New("short stat file")
	}
	return fields[0], fields[19], nil
}

// alive says whether the very same process still runs.
func (p process) alive() bool {
	now, err := identify(p.PID)
	return err == nil && now == p
}

// end asks the process to end, kills it when it has not after a grace time,
// and returns when it is gone.
func (p process) end(ctx context.Context, grace time.Duration) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", p.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	// From here on the descriptor names the process; it is ours or gone.
	if !p.alive() {
		return nil
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("ending process %d: %w", p.PID, err)
		}
		gone, err := waitGone(fd, grace)
		if gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end: %w", p.PID, context.Cause(ctx))
}

// waitGone waits until the process of a descriptor is gone, but no longer than
// the given time.
func waitGone(fd int, limit time.Duration) (bool, error) {
	for deadline := time.Now().Add(limit); ; {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, max(0, int(time.Until(deadline).Milliseconds())))
		if !errors.Is(err, unix.EINTR) {
			return n > 0, err
		}
	}
}

// hostPIDs returns the numbers that the children of a process have here, by
// the numbers that they have in the process namespace of that process.
func hostPIDs(parent int) (map[int]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return nil, err
	}
	pids := map[int]int{}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended meanwhile
		}
		if outer, inner, ok := parseChild(string(status), parent); ok {
			pids[inner] = outer
		}
	}
	return pids, nil
}

// parseChild reads a /proc/PID/status file and, if the process is a child of
// parent, returns its number here and in its own process namespace.
func parseChild(status string, parent int) (outer, inner int, ok bool) {
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case key == "PPid" && (len(fields) != 1 || fields[0] != strconv.Itoa(parent)):
			return 0, 0, false
		case key == "NSpid" && len(fields) > 0:
			outer, err1 := strconv.Atoi(fields[0])
			inner, err2 := strconv.Atoi(fields[len(fields)-1])
			return outer, inner, err1 == nil && err2 == nil
		}
	}
	return 0, 0, false
}
