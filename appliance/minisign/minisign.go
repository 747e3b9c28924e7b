// Package minisign signs short texts and verifies their signatures, in the format of minisign (prehashed with BLAKE2b-512, Ed25519 as
// of RFC 8032), so that whoever has the public key can verify by hand with that program.
//
// It knows nothing of what is signed, reads no file, and takes no key that a password protects: a signature by such a key is made with
// minisign itself.
package minisign

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// MaxSignature is how many octets a signature has at most, with its comments.
const MaxSignature = 1024

// Lines is how many lines a signature has, each with its line feed: a comment that nothing protects, the signature, a comment that is
// signed, and the signature of that.
const Lines = 4

const (
	plain     = "Ed" // of keys
	prehashed = "ED" // of signatures
	untrusted = "untrusted comment: "
	trusted   = "trusted comment: "
)

// KeyID names a key: eight octets of chance, the same in the key and in its signatures.
type KeyID [8]byte

// String is how minisign writes it: hexadecimal, the last octet first.
func (k KeyID) String() string {
	r := slices.Clone(k[:])
	slices.Reverse(r)
	return strings.ToUpper(hex.EncodeToString(r))
}

// PublicKey is one that verifies.
type PublicKey struct {
	ID  KeyID
	Key ed25519.PublicKey
}

// ErrUnknownKey says that a signature is by a key that is not among those which are trusted.
var ErrUnknownKey = errors.New("the signature is by a key that is not trusted here")

// ErrWrong says that a signature is not that of what was signed.
var ErrWrong = errors.New("the signature is wrong")

// ParsePublicKey reads a public key as minisign writes it: a file of two lines, or its second line alone.
func ParsePublicKey(text []byte) (PublicKey, error) {
	raw, err := keyLine(text)
	if err != nil || len(raw) != 2+8+ed25519.PublicKeySize || string(raw[:2]) != plain {
		return PublicKey{}, errors.New("that is no public key of minisign: two lines, a comment and 56 characters of base64")
	}
	return PublicKey{ID: KeyID(raw[2:10]), Key: ed25519.PublicKey(raw[10:])}, nil
}

// keyLine is what stands in the line of a key file behind its comment.
func keyLine(text []byte) ([]byte, error) {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) == 2 && strings.HasPrefix(lines[0], untrusted) {
		lines = lines[1:]
	}
	if len(lines) != 1 {
		return nil, errors.New("not two lines")
	}
	return base64.StdEncoding.Strict().DecodeString(strings.TrimRight(lines[0], "\r"))
}

// Text is the file of the key.
func (k PublicKey) Text() []byte {
	raw := slices.Concat([]byte(plain), k.ID[:], k.Key)
	return fmt.Appendf(nil, "%sminisign public key %s\n%s\n", untrusted, k.ID, base64.StdEncoding.EncodeToString(raw))
}

// Verify reports who signed a text: the one of the keys that the signature names. An error wraps ErrUnknownKey or ErrWrong, or says
// what is no signature at all. What is not prehashed is refused.
func Verify(keys []PublicKey, text, signature []byte) (KeyID, error) {
	if len(signature) > MaxSignature {
		return KeyID{}, fmt.Errorf("it has %d octets; a signature has at most %d", len(signature), MaxSignature)
	}
	lines := strings.Split(string(signature), "\n")
	if len(lines) != Lines+1 || lines[Lines] != "" || !strings.HasPrefix(lines[0], untrusted) || !strings.HasPrefix(lines[2], trusted) {
		return KeyID{}, errors.New("that is no signature of minisign: four lines, of which the first and the third are comments")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(lines[1])
	if err != nil || len(raw) != 2+8+ed25519.SignatureSize || string(raw[:2]) != prehashed {
		return KeyID{}, errors.New("the second line is no prehashed signature of minisign, 100 characters of base64")
	}
	whole, err := base64.StdEncoding.Strict().DecodeString(lines[3])
	if err != nil || len(whole) != ed25519.SignatureSize {
		return KeyID{}, errors.New("the fourth line is no signature of the comment, 88 characters of base64")
	}
	id, made := KeyID(raw[2:10]), raw[10:]
	at := slices.IndexFunc(keys, func(k PublicKey) bool { return k.ID == id && len(k.Key) == ed25519.PublicKeySize })
	if at < 0 {
		return id, fmt.Errorf("%w: %s", ErrUnknownKey, id)
	}
	sum := blake2b.Sum512(text)
	if !ed25519.Verify(keys[at].Key, sum[:], made) {
		return id, fmt.Errorf("%w: it is not that of what was signed by %s", ErrWrong, id)
	}
	if !ed25519.Verify(keys[at].Key, slices.Concat(made, []byte(strings.TrimPrefix(lines[2], trusted))), whole) {
		return id, fmt.Errorf("%w: its comment was changed", ErrWrong)
	}
	return id, nil
}

// SecretKey is one that signs.
type SecretKey struct {
	ID  KeyID
	Key ed25519.PrivateKey
}

// Of the file of a secret key.
const (
	noKDF      = "\x00\x00"
	checksumOf = "B2"
	secretSize = 2 + 2 + 2 + 32 + 8 + 8 + 8 + ed25519.PrivateKeySize + blake2b.Size256
)

// ParseSecretKey reads the file of a secret key without a password, as minisign -G -W writes it.
func ParseSecretKey(text []byte) (SecretKey, error) {
	raw, err := keyLine(text)
	if err != nil || len(raw) != secretSize || string(raw[:2]) != plain || string(raw[4:6]) != checksumOf {
		return SecretKey{}, errors.New("that is no secret key of minisign: two lines, a comment and 212 characters of base64")
	}
	if string(raw[2:4]) != noKDF {
		return SecretKey{}, errors.New("a password protects the secret key: sign with minisign -S")
	}
	raw = raw[secretSize-8-ed25519.PrivateKeySize-blake2b.Size256:]
	k := SecretKey{ID: KeyID(raw[:8]), Key: ed25519.PrivateKey(raw[8 : 8+ed25519.PrivateKeySize])}
	// minisign leaves the checksum of such a key zero in 0.11, and sets it in others.
	have, sum := raw[8+ed25519.PrivateKeySize:], k.checksum()
	if !bytes.Equal(have, sum[:]) && !bytes.Equal(have, make([]byte, len(have))) || !k.Key.Equal(ed25519.NewKeyFromSeed(k.Key.Seed())) {
		return SecretKey{}, errors.New("the secret key is damaged: its checksum is wrong")
	}
	return k, nil
}

func (k SecretKey) checksum() [blake2b.Size256]byte {
	return blake2b.Sum256(slices.Concat([]byte(plain), k.ID[:], k.Key))
}

// Text is the file of the key, without a password: whoever reads it signs.
func (k SecretKey) Text() []byte {
	sum := k.checksum()
	raw := slices.Concat([]byte(plain+noKDF+checksumOf), make([]byte, 32+8+8), k.ID[:], k.Key, sum[:])
	return fmt.Appendf(nil, "%sminisign secret key %s\n%s\n", untrusted, k.ID, base64.StdEncoding.EncodeToString(raw))
}

// Public is the key that verifies.
func (k SecretKey) Public() PublicKey {
	return PublicKey{ID: k.ID, Key: k.Key.Public().(ed25519.PublicKey)}
}

// NewKey makes a key of 40 octets of chance: 8 for its name, 32 for the key.
func NewKey(chance [40]byte) SecretKey {
	return SecretKey{ID: KeyID(chance[:8]), Key: ed25519.NewKeyFromSeed(chance[8:])}
}

// Sign signs a text, with a comment of one line that is signed too. The same text, comment and key give the same signature.
func (k SecretKey) Sign(text []byte, comment string) ([]byte, error) {
	if strings.ContainsAny(comment, "\r\n") || len(comment) > 400 {
		return nil, errors.New("a comment is one line of at most 400 octets")
	}
	sum := blake2b.Sum512(text)
	made := ed25519.Sign(k.Key, sum[:])
	whole := ed25519.Sign(k.Key, slices.Concat(made, []byte(comment)))
	to := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, "%ssignature by key %s\n%s\n%s%s\n%s\n", untrusted, k.ID, to(slices.Concat([]byte(prehashed), k.ID[:], made)), trusted, comment, to(whole)), nil
}
