package probe

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// await returns the moment at which arrived is true, looking whenever
// something happens in folder. It calls armed once it would notice.
func await(folder string, armed func() error, arrived func() bool) (time.Time, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return time.Time{}, fmt.Errorf("opening inotify: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	const mask = unix.IN_CREATE | unix.IN_MOVE | unix.IN_DELETE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB
	if _, err := unix.InotifyAddWatch(fd, folder, mask); err != nil {
		return time.Time{}, fmt.Errorf("watching %q: %w", folder, err)
	}
	if err := events.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return time.Time{}, err
	}
	if err := armed(); err != nil {
		return time.Time{}, err
	}
	for buffer := make([]byte, 64<<10); !arrived(); {
		if _, err := events.Read(buffer); err != nil {
			return time.Time{}, fmt.Errorf("nothing was seen in %q: %w", folder, err)
		}
	}
	return time.Now(), nil
}
