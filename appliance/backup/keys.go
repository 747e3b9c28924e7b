package backup

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
)

// Bounds of what opens a file.
const (
	minPassphrase = 12 // octets
	maxPassphrase = 1024
	maxKeys       = 64 << 10 // octets of a file of keys
	// work is that of scrypt (log2 of N) that a passphrase is made to cost, as age does; maxWork is what we do to open a file: a
	// gigabyte and some seconds.
	work    = 18
	maxWork = 20
)

// Lock is for whom a file is written: the public keys that open it, or a passphrase.
type Lock struct{ to []age.Recipient }

// LockTo returns the lock of public keys, as age writes them (age1...). It needs one at least.
func LockTo(keys []string) (Lock, error) {
	if len(keys) == 0 {
		return Lock{}, errors.New("backup: no public key is named")
	}
	var l Lock
	for _, k := range keys {
		to, err := age.ParseRecipients(strings.NewReader(k))
		if err != nil || len(to) != 1 {
			return Lock{}, fmt.Errorf("backup: %.80q is no public key of age: write one that begins with age1", k)
		}
		l.to = append(l.to, to[0])
	}
	return l, nil
}

// LockBy returns the lock of a passphrase of 12 to 1024 octets. Writing and opening takes 256 MiB of memory for about a second.
func LockBy(passphrase string) (Lock, error) {
	if n := len(passphrase); n < minPassphrase || n > maxPassphrase {
		return Lock{}, fmt.Errorf("backup: the passphrase has %d octets: it needs %d to %d", n, minPassphrase, maxPassphrase)
	}
	return lockBy(passphrase, work)
}

func lockBy(passphrase string, work int) (Lock, error) {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return Lock{}, fmt.Errorf("backup: passphrase: %w", err)
	}
	to.SetWorkFactor(work)
	return Lock{[]age.Recipient{to}}, nil
}

// Key opens files.
type Key struct{ by []age.Identity }

// KeysOf reads private keys, as age-keygen writes them (AGE-SECRET-KEY-...), one a line; lines that begin with # are comments.
func KeysOf(r io.Reader) (Key, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeys+1))
	if err != nil {
		return Key{}, fmt.Errorf("backup: keys: %w", err)
	}
	if len(text) > maxKeys {
		return Key{}, fmt.Errorf("backup: keys: more than %d octets", maxKeys)
	}
	by, err := age.ParseIdentities(strings.NewReader(string(text)))
	if err != nil { // it may quote the line
		return Key{}, errors.New("backup: it holds no private key of age: a line that begins with AGE-SECRET-KEY-")
	}
	return Key{by}, nil
}

// KeyBy is the key of a passphrase.
func KeyBy(passphrase string) (Key, error) {
	by, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Key{}, fmt.Errorf("backup: passphrase: %w", err)
	}
	by.SetMaxWorkFactor(maxWork)
	return Key{[]age.Identity{by}}, nil
}

// KeyTyped reads what somebody typed, pasted or sent of a file: private keys, as KeysOf takes them, or else a passphrase in its first line.
// It opens nothing by a passphrase that cost more than Create makes it cost, 256 MiB: a daemon reads it, beside mail.
func KeyTyped(text string) (Key, error) {
	private := slices.DeleteFunc(strings.Fields(text), func(w string) bool { return !strings.HasPrefix(w, "AGE-SECRET-KEY-") })
	if len(private) > 0 { // a field of a form makes one line of a file, comments and all
		return KeysOf(strings.NewReader(strings.Join(private, "\n")))
	}
	line, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n")
	switch line = strings.TrimSuffix(line, "\r"); {
	case len(line) < minPassphrase || len(line) > maxPassphrase:
		return Key{}, fmt.Errorf("backup: that is no key: a private key begins with AGE-SECRET-KEY-, and a passphrase has %d to %d octets", minPassphrase, maxPassphrase)
	case strings.HasPrefix(line, "age1"), strings.HasPrefix(line, "# public key: age1"):
		return Key{}, errors.New("backup: that is the public key, which only closes backups: the private one begins with AGE-SECRET-KEY-")
	}
	by, err := age.NewScryptIdentity(line)
	if err != nil {
		return Key{}, errors.New("backup: that is no passphrase")
	}
	by.SetMaxWorkFactor(work)
	return Key{[]age.Identity{by}}, nil
}

// NewKey makes a pair of keys (X25519), as age writes them.
func NewKey() (private, public string, err error) {
	k, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("backup: key: %w", err)
	}
	return k.String(), k.Recipient().String(), nil
}

// seal returns what writes to w for those who have the key.
func (l Lock) seal(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, l.to...) }

// open returns what was sealed.
func (k Key) open(r io.Reader) (io.Reader, error) {
	out, err := age.Decrypt(r, k.by...)
	if none, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, fmt.Errorf("%w (%w)", ErrKey, none)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	return out, nil
}
