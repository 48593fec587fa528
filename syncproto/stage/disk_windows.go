package stage

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// diskSize returns the size of the file system that dir is on, in bytes; 0 when
// it does not say.
func diskSize(dir string) int64 {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0
	}
	var size uint64
	if err := windows.GetDiskFreeSpaceEx(name, nil, &size, nil); err != nil {
		return 0
	}
	return int64(size)
}

// sameDisk reports whether two folders are on one file system.
func sameDisk(a, b *os.Root) bool {
	return strings.EqualFold(filepath.VolumeName(a.Name()), filepath.VolumeName(b.Name()))
}
