//go:build linux

package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"golang.org/x/sys/unix"
)

// Exit statuses of a command that did not run, as POSIX shells use them.
const (
	statusNotFound    = 127
	statusCannotRun   = 126
	statusNoContainer = 255
	statusTerminated  = 128 + 15
)

// command is what a session runs.
type command struct {
	path string
	argv []string
}

// startError is a command that did not run.
type startError struct {
	status  int
	message string
}

func (e *startError) Error() string { return e.message }

// resolve finds what to run for a request in an environment.
func (r *Runner) resolve(s Start, env []string) (command, error) {
	if s.SFTP {
		return command{selfExe, []string{"agent", "sftp-server"}}, nil
	}
	if s.Environment {
		return command{selfExe, []string{"agent", "environment"}}, nil
	}
	searchPath := lookupEnv(env, "PATH")
	line := s.Line
	if rest, ok := scpArguments(line); ok {
		if _, err := lookPath("scp", searchPath); err != nil {
			line = shellquote.Join(r.exe) + " scp" + rest
		}
	}
	shell := r.hello.Shell
	switch {
	case shell == "" && line == "":
		return command{}, &startError{statusNotFound, "the image has no shell: run a program by its name instead"}
	case shell != "" && line == "":
		return command{shell, []string{path.Base(shell)}}, nil
	case shell != "":
		return command{shell, []string{path.Base(shell), "-c", line}}, nil
	}
	argv, err := splitWords(line)
	if err != nil {
		return command{}, &startError{statusNotFound, err.Error()}
	}
	file, err := lookPath(argv[0], searchPath)
	if err != nil {
		return command{}, err
	}
	return command{file, argv}, nil
}

// selfExe is this binary for a child of this process, wherever it is
// installed and whatever replaced it there.
const selfExe = "/proc/self/exe"

// scpArguments recognizes the command that a client of the old scp protocol
// runs on the other side, and returns what follows the program's name.
func scpArguments(line string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(line, "scp ")
	if !ok {
		return "", false
	}
	for word := range strings.FieldsSeq(rest) {
		if !strings.HasPrefix(word, "-") || word == "--" {
			return "", false
		}
		if strings.ContainsAny(word, "tf") {
			return " " + rest, true
		}
	}
	return "", false
}

// splitWords splits a command line where there is no shell to do it. What only
// a shell could do is refused, never silently passed as text.
func splitWords(line string) ([]string, error) {
	if c := shellSyntax(line); c != 0 {
		return nil, fmt.Errorf("the image has no shell to interpret %q in %q: quote it, or run a program by its name", c, line)
	}
	argv, err := shellquote.Split(line)
	if err != nil {
		return nil, fmt.Errorf("splitting %q: %w", line, err)
	}
	if len(argv) == 0 {
		return nil, errors.New("the command is empty")
	}
	return argv, nil
}

// shellSyntax returns the first character of the line that means something to
// a POSIX shell beyond quoting (XCU 2.2); 0 when there is none.
func shellSyntax(line string) rune {
	line = strings.TrimLeft(line, " \t")
	if name, _, ok := strings.Cut(line, "="); ok && isName(name) {
		return '='
	}
	var quote rune
	escaped, wordStart := false, true
	for _, c := range line {
		switch {
		case escaped:
			escaped = false
		case c == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if c == quote {
				quote = 0
			} else if quote == '"' && (c == '$' || c == '`') {
				return c
			}
		case c == '\'' || c == '"':
			quote = c
		case strings.ContainsRune("|&;<>()$`*?[\n", c), wordStart && strings.ContainsRune("#~", c):
			return c
		}
		wordStart = quote == 0 && (c == ' ' || c == '\t')
	}
	return 0
}

// isName says whether a shell would take the text for the name of a variable
// (XBD 3.216).
func isName(s string) bool {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// lookPath finds a program as a shell does. Its error is a startError.
func lookPath(name, searchPath string) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(name); err != nil {
			return "", newStartError(name, err)
		}
		return name, nil
	}
	var denied error
	for _, dir := range filepath.SplitList(searchPath) {
		file := filepath.Join(dir, name)
		err := executable(file)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			denied = err
		}
	}
	if denied != nil && !errors.Is(denied, unix.EISDIR) {
		return "", newStartError(name, denied)
	}
	return "", &startError{statusNotFound, name + ": command not found"}
}

// executable returns nil for a file that this process may run.
func executable(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return unix.EISDIR
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return err
	}
	return nil
}

// newStartError maps the error of starting a program to what a shell says.
func newStartError(name string, err error) *startError {
	var errno unix.Errno
	reason := err.Error()
	if errors.As(err, &errno) {
		reason = errno.Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &startError{statusNotFound, name + ": " + reason}
	}
	return &startError{statusCannotRun, name + ": " + reason}
}

// environment is that of the container, changed by the session's, with what
// programs expect of a login where neither has it.
func (r *Runner) environment(s Start) []string {
	env := slices.Clone(r.env)
	if s.TTY != nil {
		env = setEnv(env, "TERM", s.TTY.Term)
	}
	for _, e := range s.Env {
		if name, value, ok := strings.Cut(e, "="); ok {
			env = setEnv(env, name, value)
		}
	}
	defaults := [][2]string{
		{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{"HOME", r.hello.Home},
		{"USER", r.account.name},
		{"LOGNAME", r.account.name},
		{"SHELL", r.hello.Shell},
	}
	for _, d := range defaults {
		if d[1] != "" && lookupEnv(env, d[0]) == "" {
			env = setEnv(env, d[0], d[1])
		}
	}
	return env
}

func lookupEnv(env []string, name string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

func setEnv(env []string, name, value string) []string {
	i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	if i < 0 {
		return append(env, name+"="+value)
	}
	env[i] = name + "=" + value
	return env
}
