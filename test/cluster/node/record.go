//go:build linux

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// record is what a state folder says about its node. It is written before
// anything is made, so that a later run can clean up after one that was killed
// at any point.
type record struct {
	Config     Config
	Supervisor process           // the zero process while it is not started
	Ready      bool              // Up has succeeded
	Boot       string            // of the machine
	Sysctls    map[string]string // as they were before
	Tables     []string          // packet filter tables that were there before
}

// log is the log file of a component, or of the supervisor ("node").
func (c Config) log(name string) string { return c.path("log", name+".log") }

func recordFile(state string) string { return filepath.Join(state, "node.json") }

// readRecord reads a state folder's record; the error is ErrStopped when there
// is none.
func readRecord(state string) (record, error) {
	content, err := os.ReadFile(recordFile(state))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, ErrStopped
	}
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(content, &r); err != nil {
		return record{}, fmt.Errorf("reading %q: %w", recordFile(state), err)
	}
	return r, nil
}

// write keeps the record in its state folder.
func (r record) write() error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	file := recordFile(r.Config.State)
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// lockState takes a state folder for one verb at a time and makes it. The lock
// ends with the process, or when unlock is called; unlock removes the folder
// if it is empty but for the lock.
func lockState(state string) (unlock func() error, err error) {
	name := filepath.Join(state, "lock")
	for {
		if err := os.MkdirAll(state, 0o700); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, errors.Join(fmt.Errorf("another verb is at work in %q: %w", state, err), file.Close())
		}
		if !sameFile(file, name) {
			// The former holder has just removed it.
			if err := file.Close(); err != nil {
				return nil, err
			}
			continue
		}
		return func() error { return unlockState(state, file) }, nil
	}
}

func sameFile(file *os.File, name string) bool {
	held, err1 := file.Stat()
	now, err2 := os.Stat(name)
	return err1 == nil && err2 == nil && os.SameFile(held, now)
}

func unlockState(state string, lock *os.File) error {
	entries, err := os.ReadDir(state)
	if err == nil && len(entries) == 1 {
		err = errors.Join(os.Remove(lock.Name()), os.Remove(state))
	}
	return errors.Join(err, lock.Close())
}
