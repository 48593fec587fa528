//go:build linux

package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// Names of the files in the state folder.
const (
	hostKeyFile    = "ssh_host_ed25519_key"
	authorizedFile = "authorized_keys"
)

// Bounds on authorized keys.
const (
	// MaxAuthorizedKeys is how many keys can be added.
	MaxAuthorizedKeys = 64
	maxKeyLine        = 16 << 10
)

// HostKey returns the server's key, made on first use and kept in dir.
func HostKey(dir string) (gossh.Signer, error) {
	file := filepath.Join(dir, hostKeyFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return createHostKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the host key: %w", err)
	}
	signer, err := gossh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the host key %s: %w", file, err)
	}
	// The public half may be missing after a kill between the two files.
	return signer, writePublic(file, signer)
}

func createHostKey(file string) (gossh.Signer, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making the host key: %w", err)
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, fmt.Errorf("rendering the host key: %w", err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("using the host key: %w", err)
	}
	if err := replaceFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("writing the host key: %w", err)
	}
	return signer, writePublic(file, signer)
}

// writePublic writes the public half, for WaitHostKey.
func writePublic(file string, signer gossh.Signer) error {
	line := gossh.MarshalAuthorizedKey(signer.PublicKey())
	if old, err := os.ReadFile(file + ".pub"); err == nil && bytes.Equal(old, line) {
		return nil
	}
	if err := replaceFile(file+".pub", line, 0o644); err != nil {
		return fmt.Errorf("writing the public host key: %w", err)
	}
	return nil
}

// WaitHostKey returns the public host key, one line of OpenSSH's
// authorized_keys format, as soon as the server has made it.
func WaitHostKey(ctx context.Context, dir string) ([]byte, error) {
	// The key is there a few milliseconds after the container has started.
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		line, err := os.ReadFile(filepath.Join(dir, hostKeyFile+".pub"))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return line, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the host key: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// AuthorizedKeys are the keys that may log in: those that the server was
// started with and those that Authorize added since.
type AuthorizedKeys struct {
	dir    string
	log    *slog.Logger
	static map[string]bool

	mu    sync.Mutex
	info  fs.FileInfo
	added map[string]bool
}

// NewAuthorizedKeys parses the keys of the configuration, each one line.
func NewAuthorizedKeys(lines []string, dir string, log *slog.Logger) (*AuthorizedKeys, error) {
	k := &AuthorizedKeys{dir: dir, log: log, static: map[string]bool{}}
	for i, line := range lines {
		key, err := parseKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("authorized key %d: %w", i+1, err)
		}
		k.static[string(key.Marshal())] = true
	}
	return k, nil
}

// Contains says whether a key may log in. The file of added keys is read again
// when it has changed; when it cannot be read, no added key may.
func (k *AuthorizedKeys) Contains(key gossh.PublicKey) bool {
	wire := key.Marshal()
	if k.static[string(wire)] {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		k.log.Warn("added keys are not accepted", "err", err)
		return false
	}
	return k.added[string(wire)]
}

func (k *AuthorizedKeys) refresh() error {
	file := filepath.Join(k.dir, authorizedFile)
	info, err := os.Stat(file)
	if err != nil {
		k.info, k.added = nil, nil
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("reading added keys: %w", err)
	}
	// Every change is a new file.
	if k.info != nil && os.SameFile(info, k.info) && info.ModTime().Equal(k.info.ModTime()) && info.Size() == k.info.Size() {
		return nil
	}
	keys, err := readKeys(file)
	if err != nil {
		k.info, k.added = nil, nil
		return err
	}
	k.info, k.added = info, map[string]bool{}
	for _, key := range keys {
		k.added[string(key.Marshal())] = true
	}
	return nil
}

// readKeys reads added keys, one a line. A missing file has none.
func readKeys(file string) ([]gossh.PublicKey, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading added keys: %w", err)
	}
	var keys []gossh.PublicKey
	for line := range bytes.Lines(text) {
		key, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("added keys, line %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Authorize reads one line of authorized_keys format and adds its key to those
// that may log in. Adding it again changes nothing.
func Authorize(dir string, in io.Reader) error {
	line, err := io.ReadAll(io.LimitReader(in, maxKeyLine+1))
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	if len(line) > maxKeyLine {
		return fmt.Errorf("the key is longer than %d bytes", maxKeyLine)
	}
	key, err := parseKey(line)
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, authorizedFile+".lock"))
	if err != nil {
		return fmt.Errorf("locking the added keys: %w", err)
	}
	defer unlock()
	file := filepath.Join(dir, authorizedFile)
	keys, err := readKeys(file)
	if err != nil {
		return err
	}
	var text []byte
	for _, k := range append(keys, key) {
		if l := gossh.MarshalAuthorizedKey(k); !bytes.Contains(text, l) {
			text = append(text, l...)
		}
	}
	if bytes.Count(text, []byte("\n")) > MaxAuthorizedKeys {
		return fmt.Errorf("there are %d added keys already: recreate the development container to start over", MaxAuthorizedKeys)
	}
	if err := replaceFile(file, text, 0o600); err != nil {
		return fmt.Errorf("writing the added keys: %w", err)
	}
	return nil
}

// parseKey parses one authorized_keys line that holds a plain key. Options
// would be promises that this server does not keep, so that they are refused.
func parseKey(line []byte) (gossh.PublicKey, error) {
	line = bytes.TrimSpace(line)
	if bytes.ContainsAny(line, "\n\r") {
		return nil, errors.New("more than one line where one key is expected")
	}
	key, _, options, _, err := gossh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, fmt.Errorf("parsing an authorized key: %w", err)
	}
	if len(options) > 0 {
		return nil, fmt.Errorf("an authorized key with options (%q): only plain keys are accepted", options[0])
	}
	if _, ok := key.(*gossh.Certificate); ok {
		return nil, errors.New("an authorized key that is a certificate: only plain keys are accepted")
	}
	return key, nil
}
