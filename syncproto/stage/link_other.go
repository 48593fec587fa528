//go:build !unix

package stage

import (
	"errors"
	"io/fs"
	"os"
)

// link is not available here; the trash copies.
func link(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }

// shared is not known here, and does not matter where nothing is linked.
func shared(fs.FileInfo) bool { return false }
