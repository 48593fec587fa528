//go:build !linux

package stage

import (
	"errors"
	"os"
)

// exchange would swap two names of an open folder in one step.
func exchange(*os.File, string, string) error { return errors.ErrUnsupported }

// renameNew would rename a name of an open folder to one that must not exist.
func renameNew(*os.File, string, string) error { return errors.ErrUnsupported }

// removeFolder would remove an empty folder and nothing else.
func removeFolder(*os.File, string) error { return errors.ErrUnsupported }
