package quarantine

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/internal/durable"
)

// The file of keys: a line that says what it is, and a key a line, the last one in use: when it was made, its name, and 64
// hexadecimal digits.
const (
	keysMagic   = "gatepost-vault-keys 1"
	keysComment = "# The keys of the quarantine: who has this file and the vault reads what is in it, and without it nobody does.\n" +
		"# Keep it on another disk than the vault, and a copy of it in a safe place (docs/quarantine.md).\n"
	keyOctets  = 32
	maxKeys    = 1000
	maxKeyFile = 1 << 20
)

// ErrNoKey says that a message was encrypted with a key that the file of keys does not have.
var ErrNoKey = errors.New("its key is not in the file of keys")

// installationKey is one key that wraps those of messages.
type installationKey struct {
	id   string
	made time.Time
	text string
	aead cipher.AEAD
}

// Keys are the keys of an installation. They are safe for concurrent use.
type Keys struct {
	path string

	mu  sync.Mutex
	all []installationKey // the last one is in use
}

// KeyInfo tells of a key without telling it.
type KeyInfo struct {
	ID    string    `json:"id"`
	Made  time.Time `json:"made"`
	InUse bool      `json:"in_use"`
	// Messages are how many were encrypted with it and are still there.
	Messages int `json:"messages"`
}

// LoadKeys reads the file of keys. Where there is none and make is set, one is made with a key.
func LoadKeys(path string, make bool) (*Keys, error) {
	k := &Keys{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && make {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("vault_key: %w", err)
		}
		_, err = k.Rotate()
		return k, err
	}
	if err != nil {
		return nil, fmt.Errorf("vault_key: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("vault_key: %s is no file of keys", path)
	}
	if k.all, err = readKeys(bufio.NewScanner(f)); err != nil {
		return nil, fmt.Errorf("vault_key: %s: %w", path, err)
	}
	return k, nil
}

func readKeys(lines *bufio.Scanner) (all []installationKey, err error) {
	begun := false
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		switch {
		case text == "" || text[0] == '#':
		case !begun:
			if begun = text == keysMagic; !begun {
				return nil, fmt.Errorf("line %d is not %q", n, keysMagic)
			}
		case len(all) == maxKeys:
			return nil, fmt.Errorf("line %d: more than %d keys", n, maxKeys)
		default:
			key, err := parseKey(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			all = append(all, key)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no key")
	}
	return all, nil
}

func parseKey(line string) (installationKey, error) {
	words := strings.Fields(line)
	if len(words) != 3 {
		return installationKey{}, errors.New("not a time, a name and a key")
	}
	made, err := time.Parse(time.RFC3339, words[0])
	if err != nil {
		return installationKey{}, errors.New("its first word is no time")
	}
	octets, err := hex.DecodeString(words[2])
	if err != nil || len(octets) != keyOctets {
		return installationKey{}, fmt.Errorf("a key has %d hexadecimal digits", 2*keyOctets)
	}
	key, err := newKey(octets, made)
	if err == nil && key.id != words[1] {
		err = errors.New("a key that is not the one of its name")
	}
	return key, err
}

func newKey(octets []byte, made time.Time) (installationKey, error) {
	sum := sha256.Sum256(octets)
	aead, err := gcm(octets)
	return installationKey{id: hex.EncodeToString(sum[:4]), made: made, text: hex.EncodeToString(octets), aead: aead}, err
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Rotate makes a key that is used from now on. Those before stay, for what was encrypted with them.
func (k *Keys) Rotate() (id string, err error) {
	octets := make([]byte, keyOctets)
	_, _ = rand.Read(octets) // it never fails
	key, err := newKey(octets, time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) == maxKeys {
		return "", fmt.Errorf("vault_key: %s has %d keys, the most it may have", k.path, maxKeys)
	}
	if err := k.write(append(slices.Clip(k.all), key)); err != nil {
		return "", err
	}
	return key.id, nil
}

// Forget removes a key. What was encrypted with it can never be read again: whoever calls has made sure that there is nothing.
func (k *Keys) Forget(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := slices.IndexFunc(k.all, func(key installationKey) bool { return key.id == id })
	switch {
	case at < 0:
		return fmt.Errorf("there is no key %q", id)
	case at == len(k.all)-1:
		return fmt.Errorf("key %q is in use: make another one first", id)
	}
	return k.write(slices.Concat(k.all[:at], k.all[at+1:]))
}

// write puts the file in place, with the lock held.
func (k *Keys) write(all []installationKey) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n", keysComment, keysMagic)
	for i := range all {
		fmt.Fprintf(&b, "%s %s %s\n", all[i].made.UTC().Format(time.RFC3339), all[i].id, all[i].text)
	}
	if err := durable.WriteFile(k.path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("vault_key: %w", err)
	}
	k.all = all
	return nil
}

// inUse is the key for new messages.
func (k *Keys) inUse() installationKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[len(k.all)-1]
}

// named is a key by its name.
func (k *Keys) named(id string) (installationKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := slices.IndexFunc(k.all, func(key installationKey) bool { return key.id == id })
	if at < 0 {
		return installationKey{}, false
	}
	return k.all[at], true
}

// List tells of all keys, the oldest first.
func (k *Keys) List() []KeyInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]KeyInfo, len(k.all))
	for i := range k.all {
		out[i] = KeyInfo{ID: k.all[i].id, Made: k.all[i].made, InUse: i == len(k.all)-1}
	}
	return out
}
