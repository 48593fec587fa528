package sshclient

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Host is an entry in the user's ssh_config(5).
type Host struct {
	// Alias is the name that users give to ssh, as in api.okteto.
	Alias string
	// ProxyCommand is the argv of the program whose standard input and output
	// are the connection.
	ProxyCommand []string
	// Port, unless 0, is a port on this machine's loopback that leads to the
	// agent; then there is no need for ProxyCommand.
	Port int
	// HostKey is the only host key that is accepted.
	HostKey ssh.PublicKey
	// IdentityFile is the path of the user's private key.
	IdentityFile string
}

// verify says why an entry cannot be written.
func (h Host) verify() error {
	switch {
	case h.Alias == "" || strings.ContainsAny(h.Alias, " \t\r\n\"'*?!,#[]|@\\/") || h.Alias[0] == '-':
		return fmt.Errorf("%q is not a name for a host", h.Alias)
	case h.HostKey == nil:
		return errors.New("the host key is missing")
	case h.Port < 0 || h.Port > 65535:
		return fmt.Errorf("port %d is not between 0 and 65535", h.Port)
	case h.Port == 0 && len(h.ProxyCommand) == 0:
		return errors.New("there is neither a port nor a command to connect with")
	case strings.ContainsAny(strings.Join(h.ProxyCommand, "")+h.IdentityFile, "\r\n\x00"):
		return errors.New("ssh_config cannot hold a line break")
	}
	return nil
}

// entry renders the entry; the host key is in knownHosts under the alias,
// whatever the address.
func (h Host) entry(knownHosts, goos string) string {
	var b strings.Builder
	line := func(keyword, value string) { fmt.Fprintf(&b, "  %s %s\n", keyword, value) }
	fmt.Fprintf(&b, "%s%s\n", hostKeyword, h.Alias)
	if h.Port > 0 {
		line("HostName", "127.0.0.1")
		line("Port", strconv.Itoa(h.Port))
		line("ProxyCommand", "none")
		line("CheckHostIP", "no")
	} else {
		line("ProxyCommand", proxyCommand(h.ProxyCommand, goos))
	}
	line("HostKeyAlias", h.Alias)
	line("StrictHostKeyChecking", "yes")
	line("UpdateHostKeys", "no")
	line("UserKnownHostsFile", configPath(knownHosts))
	if h.IdentityFile != "" {
		line("IdentityFile", configPath(h.IdentityFile))
	}
	line("IdentitiesOnly", "yes")
	line("ServerAliveInterval", "10")
	line("ServerAliveCountMax", "3")
	return b.String()
}

// knownHost renders the entry in known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE
// FORMAT).
func (h Host) knownHost() string {
	return h.Alias + " " + string(ssh.MarshalAuthorizedKey(h.HostKey))
}

// proxyCommand renders a ProxyCommand: ssh expands what begins with %, then
// gives the rest of the line, without any unquoting, to the user's shell; on
// Windows to the system's rules for command lines.
func proxyCommand(argv []string, goos string) string {
	line := Quote(argv)
	if goos == "windows" {
		words := make([]string, len(argv))
		for i, word := range argv {
			words[i] = quoteWindows(word)
		}
		line = strings.Join(words, " ")
	}
	return escapeTokens(line)
}

// quoteWindows quotes a word by the rules of CommandLineToArgvW: backslashes
// are special only before a double quote.
func quoteWindows(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"") {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	backslashes := 0
	for _, r := range word {
		switch r {
		case '\\':
			backslashes++
		case '"':
			b.WriteString(strings.Repeat(`\`, backslashes+1))
			backslashes = 0
		default:
			backslashes = 0
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(`\`, backslashes) + `"`)
	return b.String()
}

// configPath renders the path of a file in which ssh expands tokens.
func configPath(path string) string { return escapeTokens(quotePath(path)) }

// quotePath renders a path as an argument. OpenSSH takes slashes on Windows
// too; a backslash would quote there.
func quotePath(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(filepath.ToSlash(path)) + `"`
}

// escapeTokens protects percent signs (ssh_config(5), TOKENS).
func escapeTokens(s string) string { return strings.ReplaceAll(s, "%", "%%") }
