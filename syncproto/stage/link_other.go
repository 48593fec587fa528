//go:build !unix

package stage

import (
	"errors"
	"os"
)

// link is not available here; the trash copies.
func link(*os.Root, string, *os.Root, string) error { return errors.ErrUnsupported }
