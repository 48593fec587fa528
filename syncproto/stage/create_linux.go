package stage

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"golang.org/x/sys/unix"
)

// create is write for a content that came with its change. Nearly all files do,
// and so it makes no more system calls than it takes: through the file, without
// another look at its name, and without the poller, in which files have no
// place.
func (s *Stage) create(_ context.Context, t target) error {
	if int64(len(t.Content)) != t.Entry.Size || tree.Sum(t.Content) != t.Entry.Digest {
		return fmt.Errorf("%q: %w", t.Path, errContent)
	}
	const how = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(t.at.Fd()), t.temp, how, 0o600)
	if err != nil {
		return fmt.Errorf("creating %q: %w", t.tempPath(), err)
	}
	err = s.furnish(fd, t)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", t.tempPath(), err)
	}
	return nil
}

// furnish gives the new file fd what t says.
func (s *Stage) furnish(fd int, t target) error {
	for rest := t.Content; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		rest = rest[max(n, 0):]
	}
	if s.cfg.Modes {
		if err := unix.Fchmod(fd, t.Entry.Mode); err != nil {
			return err
		}
	}
	if o := s.cfg.Owner; o != nil {
		_ = unix.Fchown(fd, o.UID, o.GID) // as in own
	}
	at := unix.NsecToTimespec(t.Entry.MTime)
	return unix.UtimesNanoAt(int(t.at.Fd()), t.temp, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}
