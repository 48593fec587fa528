package watch

import "golang.org/x/sys/unix"

// remoteFileSystem names the kind of file system at path if others may change
// what is in it without this kernel's knowledge, and returns "" if not. The
// numbers are those of statfs(2).
func remoteFileSystem(path string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return ""
	}
	return remoteKind(uint32(st.Type))
}

func remoteKind(magic uint32) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x517b, 0xff534d42, 0xfe534d42:
		return "SMB"
	case 0x65735546:
		return "FUSE" // virtiofs, as virtual machines have it, among them
	case 0x01021997:
		return "9p" // drives of Windows in WSL, and gVisor
	case 0x786f4256:
		return "a shared folder of VirtualBox"
	case 0xbacbacbc:
		return "a shared folder of VMware"
	case 0x00c36400:
		return "Ceph"
	case 0x0bd00bd0:
		return "Lustre"
	case 0x47504653:
		return "GPFS"
	case 0x5346414f, 0x6b414653:
		return "AFS"
	default:
		return ""
	}
}
