//go:build unix

package stage

import (
	"errors"

	"golang.org/x/sys/unix"
)

func isNotEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) }

// IsDiskFull reports whether err says that there is no room.
func IsDiskFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }
