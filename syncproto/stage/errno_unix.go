//go:build unix

package stage

import (
	"errors"

	"golang.org/x/sys/unix"
)

func isNotEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) }

func isDiskFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }
