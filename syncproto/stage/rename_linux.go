package stage

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// exchange swaps two names of an open folder in one step. The error wraps
// errors.ErrUnsupported where the file system cannot.
func exchange(dir *os.File, a, b string) error { return renameat2(dir, a, b, unix.RENAME_EXCHANGE) }

// renameNew renames a name of an open folder to one that must not exist. Its
// errors are those of exchange, and fs.ErrExist.
func renameNew(dir *os.File, from, to string) error {
	return renameat2(dir, from, to, unix.RENAME_NOREPLACE)
}

func renameat2(dir *os.File, from, to string, flags uint) error {
	err := unix.Renameat2(int(dir.Fd()), from, int(dir.Fd()), to, flags)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// removeFolder removes an empty folder, and never anything else that took its
// name.
func removeFolder(dir *os.File, name string) error {
	return unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
}
