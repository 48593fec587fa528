//go:build linux

package node

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// requirement is a program of the system, where it may be besides the PATH,
// and Debian's package of it.
type requirement struct{ program, dir, pack string }

func requirements() []requirement {
	return []requirement{
		{"runc", "/usr/sbin", "runc"},
		{"iptables-save", "/usr/sbin", "iptables"},
		{"nft", "/usr/sbin", "nftables"},
		{"ip", "/usr/sbin", "iproute2"},
		{"mount", "/usr/bin", "mount"},
		{"ptp", "/usr/lib/cni", "containernetworking-plugins"},
		{"busybox", "/bin", "busybox-static"},
		{"debootstrap", "/usr/sbin", "debootstrap"},
	}
}

// Prepare finds the system's programs that a node needs and returns where they
// are. As root on Debian or a system made from it, it installs what is
// missing; else its error names the command that does.
func Prepare(ctx context.Context, progress func(format string, args ...any)) (map[string]string, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the cluster needs root; without it, name another cluster by OKTETO_TEST_CONTEXT")
	}
	found, missing := look()
	if len(missing) == 0 {
		return found, nil
	}
	command := "apt-get install -y --no-install-recommends " + strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, fmt.Errorf("programs are missing; on Debian or Ubuntu this installs them: %s", command)
	}
	progress("installing %s", strings.Join(missing, " "))
	// The package lists may be absent or old.
	for _, line := range []string{command, "apt-get update", command} {
		install := exec.CommandContext(ctx, "sh", "-c", line)
		install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		output, err := install.CombinedOutput()
		if err == nil && line == command {
			break
		}
		if err != nil && line != command {
			return nil, fmt.Errorf("%s: %w\n%s", line, err, output)
		}
	}
	if found, missing = look(); len(missing) > 0 {
		return nil, fmt.Errorf("programs are missing, and this failed: %s", command)
	}
	return found, nil
}

// lookPath finds a program in the PATH, which may lack root's folders.
func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		if path, err := exec.LookPath(filepath.Join("/usr/sbin", program)); err == nil {
			return path, nil
		}
	}
	return path, err
}

// static says whether a program needs no dynamic loader, which an image may
// not have.
func static(path string) bool {
	file, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// look returns where the system's programs are, and the packages of those that
// are nowhere.
func look() (found map[string]string, missing []string) {
	found = map[string]string{}
	for _, r := range requirements() {
		path := filepath.Join(r.dir, r.program)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			path, err = exec.LookPath(r.program)
			if err != nil {
				missing = append(missing, r.pack)
				continue
			}
		}
		if r.pack == "busybox-static" && !static(path) {
			missing = append(missing, r.pack)
			continue
		}
		found[r.program] = path
	}
	slices.Sort(missing)
	return found, missing
}
