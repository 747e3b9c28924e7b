package accounts

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// KeySize is the size in octets of the key that seals what cannot be kept as a digest. All nodes of an installation have the same.
const KeySize = 32

// errSealed says that a sealed secret is not of this key.
var errSealed = errors.New("accounts: a secret in the store was sealed with another key than that of this node")

// sealer keeps secrets from whoever has the store alone (AES-256-GCM).
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != KeySize {
		return nil, errors.New("accounts: the key has not 32 octets")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

// seal seals a secret for one use, which open names again: a secret of one user is none of another's.
func (s *sealer) seal(secret []byte, use string) []byte {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, secret, []byte(use))
}

func (s *sealer) open(sealed []byte, use string) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errSealed
	}
	secret, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(use))
	if err != nil {
		return nil, errSealed
	}
	return secret, nil
}
