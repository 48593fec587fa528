package watch

import "golang.org/x/sys/unix"

// remoteFileSystem names the kind of file system at path if others may change
// what is in it without this system's knowledge, and returns "" if not.
func remoteFileSystem(path string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil || st.Flags&unix.MNT_LOCAL != 0 {
		return ""
	}
	return unix.ByteSliceToString(st.Fstypename[:])
}
