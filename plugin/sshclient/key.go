package sshclient

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/crypto/ssh"
)

// KeyFile is the name of the private key in its folder; the public key has
// .pub after it.
const KeyFile = "id_ed25519"

// LoadOrCreateKey returns the private key in dir, and creates it, with the
// folder, when there is none: Ed25519, in OpenSSH's format, readable by its
// owner only, without a passphrase. Several processes may call it at once and
// get the same key. As ssh does, it refuses a key that others may read.
func LoadOrCreateKey(dir string) (ssh.Signer, error) {
	unlock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	path := filepath.Join(dir, KeyFile)
	signer, err := loadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		signer, err = createKey(path)
	}
	if err != nil {
		return nil, err
	}
	public := ssh.MarshalAuthorizedKey(signer.PublicKey())
	if existing, err := os.ReadFile(path + ".pub"); err == nil && bytes.HasPrefix(existing, bytes.TrimSpace(public)) {
		return signer, nil
	}
	if err := writeFile(path+".pub", public, publicFile); err != nil {
		return nil, fmt.Errorf("writing the public key: %w", err)
	}
	return signer, nil
}

func loadKey(path string) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&othersMask != 0 {
		return nil, fmt.Errorf("the private key %q may be read by others (mode %04o): run chmod 600 on it, or delete it to get a new one", path, mode)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(content)
	if err != nil {
		return nil, fmt.Errorf("reading the private key %q (delete it to get a new one): %w", path, err)
	}
	return signer, nil
}

func createKey(path string) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("creating a private key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "kubectl-okteto")
	if err != nil {
		return nil, fmt.Errorf("creating a private key: %w", err)
	}
	if err := writeFile(path, pem.EncodeToMemory(block), privateFile); err != nil {
		return nil, fmt.Errorf("writing the private key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("creating a private key: %w", err)
	}
	return signer, nil
}
