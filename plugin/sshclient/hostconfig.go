package sshclient

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	hostKeyword = "Host "
	configName  = "config"
	knownName   = "known_hosts"
	configHead  = "# Written by kubectl okteto, which replaces it. Put your own settings before\n# the Include of this file in your own configuration.\n"
)

// ConfigDir keeps entries for ssh: config and known_hosts in Dir, and one
// Include of config in the user's own file.
type ConfigDir struct {
	// Dir is the folder for our files, as ~/.okteto/ssh.
	Dir string
	// UserConfig is the user's own file, as ~/.ssh/config.
	UserConfig string
}

// ConfigFile returns the path of the file that the user's own includes.
func (d ConfigDir) ConfigFile() string { return filepath.Join(d.Dir, configName) }

// Add writes the entry of a host, in the place of an older one with the same
// alias, and makes sure that the user's own file includes ours. Of the user's
// file, all that is there stays; nothing is written when it has the Include.
func (d ConfigDir) Add(h Host) error {
	if err := h.verify(); err != nil {
		return fmt.Errorf("adding %q to ssh_config: %w", h.Alias, err)
	}
	entry := h.entry(filepath.Join(d.Dir, knownName), runtime.GOOS)
	return d.update(h.Alias, entry, h.knownHost(), d.include)
}

// Remove removes the entry of a host. It is no error if there is none. The
// Include in the user's file stays.
func (d ConfigDir) Remove(alias string) error {
	if _, err := os.Stat(d.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.update(alias, "", "", func() error { return nil })
}

// update replaces what both files hold about an alias, then calls after, all
// under a lock.
func (d ConfigDir) update(alias, entry, knownHost string, after func() error) error {
	unlock, err := lockFolder(d.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	// The host key comes first: an entry is of no use without it.
	for _, file := range []struct {
		name, content string
		replace       func(old, alias, content string) string
	}{{knownName, knownHost, replaceKnownHost}, {configName, entry, replaceEntry}} {
		path := filepath.Join(d.Dir, file.name)
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the entries for ssh: %w", err)
		}
		updated := file.replace(string(old), alias, file.content)
		if err == nil && updated == string(old) {
			continue
		}
		if err := writeFile(path, []byte(updated), privateFile); err != nil {
			return fmt.Errorf("writing the entries for ssh: %w", err)
		}
	}
	return after()
}

// replaceKnownHost puts a line for an alias in the place of its older ones.
func replaceKnownHost(old, alias, line string) string {
	var b strings.Builder
	for l := range strings.Lines(old) {
		if host, _, _ := strings.Cut(l, " "); host != alias {
			b.WriteString(l)
		}
	}
	return b.String() + line
}

// replaceEntry puts an entry in the place of the older one of its alias, or at
// the end.
func replaceEntry(old, alias, entry string) string {
	entries := splitEntries(old)
	i := slices.IndexFunc(entries, func(e string) bool {
		return strings.HasPrefix(e, hostKeyword+alias+"\n")
	})
	switch {
	case i >= 0 && entry == "":
		entries = slices.Delete(entries, i, i+1)
	case i >= 0:
		entries[i] = entry
	case entry != "":
		entries = append(entries, entry)
	}
	return configHead + strings.Join(entries, "")
}

// splitEntries splits our file at its Host lines; what is before the first one
// is ours to replace.
func splitEntries(content string) []string {
	var entries []string
	for line := range strings.Lines(content) {
		if strings.HasPrefix(line, hostKeyword) {
			entries = append(entries, line)
		} else if len(entries) > 0 {
			entries[len(entries)-1] += line
		}
	}
	return entries
}

// include makes sure that the user's file includes ours.
func (d ConfigDir) include() error {
	own, err := filepath.Abs(d.ConfigFile())
	if err != nil {
		return fmt.Errorf("finding the entries for ssh: %w", err)
	}
	content, err := os.ReadFile(d.UserConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return d.createUserConfig(own)
	}
	if err != nil {
		return fmt.Errorf("reading your SSH configuration: %w", err)
	}
	if includes(string(content), own, filepath.Dir(d.UserConfig)) {
		return nil
	}
	// The file may be a link into a folder of dotfiles: the link stays.
	path, err := filepath.EvalSymlinks(d.UserConfig)
	if err != nil {
		return fmt.Errorf("finding your SSH configuration: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading your SSH configuration: %w", err)
	}
	ending := "\n"
	if first, _, found := bytes.Cut(content, []byte("\n")); found && bytes.HasSuffix(first, []byte("\r")) {
		ending = "\r\n"
	}
	updated := append([]byte(includeLine(own)+ending), content...)
	if err := writeFile(path, updated, info.Mode().Perm()); err != nil {
		return fmt.Errorf("adding an Include to your SSH configuration: %w", err)
	}
	keepOwner(path, info)
	return nil
}

func (d ConfigDir) createUserConfig(own string) error {
	if err := os.MkdirAll(filepath.Dir(d.UserConfig), privateFolder); err != nil {
		return fmt.Errorf("creating the folder of your SSH configuration: %w", err)
	}
	// Not by rename: the name may be a link whose target is to be created.
	if err := os.WriteFile(d.UserConfig, []byte(includeLine(own)+"\n"), privateFile); err != nil {
		return fmt.Errorf("creating your SSH configuration: %w", err)
	}
	return nil
}

// includeLine renders our line. Other than most paths, that of an Include is a
// pattern, and percent signs stand for themselves.
func includeLine(path string) string { return "Include " + quotePath(globEscape(path)) }

func globEscape(path string) string {
	if runtime.GOOS == "windows" {
		return path
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// includes tells whether a configuration includes a file for every host: by an
// Include before the first Host or Match, in any case and quoting.
func includes(content, path, userDir string) bool {
	for line := range strings.Lines(content) {
		keyword, args := splitLine(line)
		switch strings.ToLower(keyword) {
		case "host", "match":
			return false
		case "include":
			if slices.ContainsFunc(args, func(arg string) bool { return samePath(arg, path, userDir) }) {
				return true
			}
		}
	}
	return false
}

// splitLine splits a line into its keyword and arguments, as ssh does: an
// equals sign may follow the keyword, arguments may be quoted.
func splitLine(line string) (keyword string, args []string) {
	line = strings.TrimSpace(line)
	end := strings.IndexAny(line, " \t=\"")
	if end <= 0 || line[0] == '#' {
		return "", nil
	}
	keyword = line[:end]
	rest := strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	var arg strings.Builder
	var quote byte
	started := false
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch {
		case c == '\\' && i+1 < len(rest) && strings.IndexByte(`\"'`, rest[i+1]) >= 0:
			i++
			arg.WriteByte(rest[i])
		case quote == 0 && (c == '"' || c == '\''):
			quote, started = c, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == ' ' || c == '\t'):
			if started || arg.Len() > 0 {
				args = append(args, arg.String())
			}
			arg.Reset()
			started = false
		default:
			arg.WriteByte(c)
		}
	}
	if started || arg.Len() > 0 {
		args = append(args, arg.String())
	}
	return keyword, args
}

// samePath tells whether an argument of Include means a file. The user's file
// is in ~/.ssh, to which paths are relative.
func samePath(arg, path, userDir string) bool {
	if rest, ok := strings.CutPrefix(arg, "~/"); ok {
		arg = filepath.Join(filepath.Dir(userDir), rest)
	}
	if !filepath.IsAbs(arg) {
		arg = filepath.Join(userDir, arg)
	}
	arg, path = filepath.Clean(filepath.FromSlash(arg)), filepath.Clean(path)
	if runtime.GOOS == "windows" {
		return strings.EqualFold(arg, path)
	}
	return arg == path || arg == globEscape(path)
}
