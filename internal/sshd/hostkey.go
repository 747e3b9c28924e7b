package sshd

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"gatepost/internal/durable"
)

// HostKey reads the key by which clients know this host, or makes one (Ed25519, RFC 8709) that outlives a power cut.
func HostKey(name string) (ssh.Signer, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeHostKey(name)
	}
	if err != nil {
		return nil, fmt.Errorf("host key of SSH: %w", err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("host key of SSH: %s cannot be read: %w; remove it to have another one made, which clients will not know", name, err)
	}
	return key, nil
}

func makeHostKey(name string) ([]byte, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	return text, durable.WriteFile(name, text, 0o600)
}
