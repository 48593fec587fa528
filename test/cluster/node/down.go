//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Down stops the node of a state folder, whatever state it is in, and removes
// all that it made, its state folder included. The error is ErrStopped when
// there is none.
func Down(ctx context.Context, state string) (err error) {
	if _, err := os.Stat(state); errors.Is(err, fs.ErrNotExist) {
		return ErrStopped
	}
	unlock, err := lockState(state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	r, err := readRecord(state)
	if errors.Is(err, ErrStopped) {
		// An Up that failed leaves its logs.
		return errors.Join(err, os.RemoveAll(filepath.Join(state, "log")))
	}
	if err != nil {
		return err
	}
	return r.drop(ctx, false)
}

// drop ends the node and removes all that it made; it keeps the logs if asked
// to. It may be repeated.
func (r record) drop(ctx context.Context, keepLogs bool) error {
	if r.Supervisor != (process{}) {
		// When it is gone, all processes and mounts of its namespaces are.
		if err := r.Supervisor.end(ctx, endGrace); err != nil {
			return err
		}
	}
	// What follows is named alike by every node on this machine.
	if err := noOther(); err != nil {
		return err
	}
	err := errors.Join(dropNetwork(ctx, r), restoreSysctls(r), retry(ctx, endGrace, dropCgroups))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(r.Config.State)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		// The record goes last: while it is there, another try is possible.
		name := entry.Name()
		if name == "lock" || name == "node.json" || keepLogs && name == "log" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(r.Config.State, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(recordFile(r.Config.State)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// noOther reports a node that runs on this machine, in whatever state folder.
func noOther() error {
	listener, err := net.Listen("unix", lockAddress)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w (with another state folder)", ErrRunning)
	}
	if err != nil {
		return err
	}
	return listener.Close()
}

// retry repeats what may fail while the kernel still cleans up behind
// processes, until it succeeds or the time is over; then its error is
// returned.
func retry(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	if err := poll(ctx, func() (bool, error) { last = try(); return last == nil, nil }); err != nil {
		return last
	}
	return nil
}
