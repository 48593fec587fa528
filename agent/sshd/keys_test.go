//go:build linux

package sshd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newKey makes a key and its line.
func newKey(t *testing.T) (gossh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(gossh.MarshalAuthorizedKey(signer.PublicKey()))
}

func TestHostKey(t *testing.T) {
	dir := t.TempDir()
	first, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, hostKeyFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// Killed between its two files.
	if err := os.Remove(filepath.Join(dir, hostKeyFile+".pub")); err != nil {
		t.Fatal(err)
	}
	second, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.PublicKey().Marshal(), second.PublicKey().Marshal()) {
		t.Error("the key changed with the second start")
	}
	line, err := WaitHostKey(t.Context(), dir)
	if err != nil || !bytes.Equal(line, gossh.MarshalAuthorizedKey(first.PublicKey())) || !bytes.HasPrefix(line, []byte("ssh-ed25519 ")) {
		t.Errorf("public key %q, %v", line, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	if err := os.WriteFile(filepath.Join(dir, hostKeyFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := HostKey(dir); err == nil {
		t.Error("a broken key was replaced in silence")
	}
}

func TestWaitHostKey(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := WaitHostKey(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a server: %v", err)
	}
	found := make(chan error, 1)
	go func() {
		_, err := WaitHostKey(t.Context(), dir)
		found <- err
	}()
	if _, err := HostKey(dir); err != nil {
		t.Fatal(err)
	}
	if err := <-found; err != nil {
		t.Error(err)
	}
}

func TestAuthorizedKeys(t *testing.T) {
	dir := t.TempDir()
	static, staticLine := newKey(t)
	added, addedLine := newKey(t)
	other, _ := newKey(t)
	keys, err := NewAuthorizedKeys([]string{strings.TrimSpace(staticLine) + " me@laptop"}, dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, static2, added2 bool) {
		t.Helper()
		for _, c := range []struct {
			name string
			key  gossh.Signer
			want bool
		}{{"static", static, static2}, {"added", added, added2}, {"other", other, false}} {
			if got := keys.Contains(c.key.PublicKey()); got != c.want {
				t.Errorf("%s: %s key: %v, want %v", when, c.name, got, c.want)
			}
		}
	}
	check("at the start", true, false)
	for range 2 {
		if err := Authorize(dir, strings.NewReader(addedLine)); err != nil {
			t.Fatal(err)
		}
		check("after authorize", true, true)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, authorizedFile)); string(text) != addedLine {
		t.Errorf("the file holds %q", text)
	}
	if err := os.WriteFile(filepath.Join(dir, authorizedFile), []byte("broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("with a broken file", true, false)
	if err := os.Remove(filepath.Join(dir, authorizedFile)); err != nil {
		t.Fatal(err)
	}
	check("without the file", true, false)
}

func TestAuthorizeRefuses(t *testing.T) {
	dir := t.TempDir()
	_, line := newKey(t)
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	caSigner, err := gossh.NewSignerFromKey(ca)
	if err != nil {
		t.Fatal(err)
	}
	cert := &gossh.Certificate{Key: caSigner.PublicKey(), CertType: gossh.UserCert}
	if err := cert.SignCert(rand.Reader, caSigner); err != nil {
		t.Fatal(err)
	}
	for name, input := range map[string]string{
		"nothing":     "",
		"garbage":     "hello",
		"options":     `command="true" ` + line,
		"a CA":        "cert-authority " + line,
		"two keys":    line + line,
		"certificate": string(gossh.MarshalAuthorizedKey(cert)),
		"endless":     line + strings.Repeat(" ", maxKeyLine),
		"private key": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
	} {
		if err := Authorize(dir, strings.NewReader(input)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := NewAuthorizedKeys([]string{input}, dir, quiet()); err == nil && name != "endless" {
			t.Errorf("%s: accepted in the configuration", name)
		}
	}
}

// Any number of people at once lose no key, up to the bound.
func TestAuthorizeConcurrently(t *testing.T) {
	dir := t.TempDir()
	lines := make([]string, MaxAuthorizedKeys)
	for i := range lines {
		_, lines[i] = newKey(t)
	}
	var group sync.WaitGroup
	for i, line := range lines {
		group.Go(func() {
			if err := Authorize(dir, strings.NewReader(line)); err != nil {
				t.Errorf("key %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if keys, err := readKeys(filepath.Join(dir, authorizedFile)); err != nil || len(keys) != len(lines) {
		t.Errorf("%d keys of %d, %v", len(keys), len(lines), err)
	}
	if err := Authorize(dir, strings.NewReader(lines[0])); err != nil {
		t.Errorf("a key that is there, in a full file: %v", err)
	}
	_, line := newKey(t)
	if err := Authorize(dir, strings.NewReader(line)); err == nil || !strings.Contains(err.Error(), fmt.Sprint(MaxAuthorizedKeys)) {
		t.Errorf("one too many: %v", err)
	}
}
