package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatepost/greylist"
	"gatepost/internal/durable"
)

// installationFile is where the key of the installation is, in the state folder.
const installationFile = "installation.key"

// installationOctets is the length of the installation's key.
const installationOctets = 32

// installationKey reads the key of the installation, or makes one at the first start. It is what keeps names and addresses
// out of the greylist's and Redis's keys; another one forgets what lies under them.
func installationKey(stateDir string) ([]byte, error) {
	key, err := keyFile(filepath.Join(stateDir, installationFile), installationOctets, "")
	if err != nil {
		return nil, fmt.Errorf("key of the installation: %w", err)
	}
	return key, nil
}

// keyFile reads a key of so many octets, in hexadecimal, or makes one that outlives a power cut. loss says what else it means to
// remove a file that holds no key; "" for nothing.
func keyFile(name string, octets int, loss string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, octets)
		_, _ = rand.Read(key) // it never fails
		return key, durable.WriteFile(name, []byte(hex.EncodeToString(key)+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != octets {
		return nil, fmt.Errorf("%s must hold %d hexadecimal digits; remove it to have another one made%s", name, 2*octets, loss)
	}
	return key, nil
}

// useKey gives the parts the key of the installation, or that which its nodes share; without it they have one that nobody
// else knows.
func (p *parts) useKey(key []byte) (err error) {
	if p.secret != nil {
		key = p.secret
	}
	if len(key) == 0 {
		key = make([]byte, installationOctets)
		_, _ = rand.Read(key)
	}
	if p.keyer, err = greylist.NewKeyer(key); err != nil {
		return err
	}
	return p.openRedis(key)
}
