//go:build linux

package runner

import (
	"bufio"
	"os"
	"path"
	"strconv"
	"strings"
)

// account is what the image knows about the user of the dev container.
type account struct {
	name, home, shell string
}

// lookupAccount finds a user in a passwd(5) file. A user that is not there,
// or an image without the file, gives the zero account.
func lookupAccount(file string, uid int) account {
	f, err := os.Open(file)
	if err != nil {
		return account{}
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 7 || fields[2] != strconv.Itoa(uid) {
			continue
		}
		return account{name: fields[0], home: fields[5], shell: fields[6]}
	}
	return account{}
}

// chooseShell returns the first shell that can be run: that of the account,
// $SHELL, bash, sh; "" when the image has none. Shells that only say no are
// passed over: a service account has one, and its developer still needs a
// shell.
func chooseShell(a account, env string) string {
	for _, s := range []string{a.shell, env, "/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh"} {
		switch path.Base(s) {
		case "nologin", "false", "true", "sync", "halt", "shutdown":
			continue
		}
		if path.IsAbs(s) && executable(s) == nil {
			return s
		}
	}
	return ""
}
