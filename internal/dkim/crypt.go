package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Algorithm is a signature algorithm (RFC 6376 section 3.3, RFC 8463).
type Algorithm uint8

// The algorithms. RSASHA1 is known by name only: RFC 8301 section 3.1 forbids it.
const (
	UnknownAlgorithm Algorithm = iota
	RSASHA256
	Ed25519SHA256
	RSASHA1
)

func (a Algorithm) String() string {
	return [...]string{"unknown", "rsa-sha256", "ed25519-sha256", "rsa-sha1"}[a]
}

// ParseAlgorithm reads the value of a=. What may not be verified is an error, also with the algorithm.
func ParseAlgorithm(value string) (Algorithm, error) {
	switch strings.ToLower(value) {
	case "rsa-sha256":
		return RSASHA256, nil
	case "ed25519-sha256":
		return Ed25519SHA256, nil
	case "rsa-sha1":
		return RSASHA1, errors.New("a=: rsa-sha1 may not be used any more (RFC 8301)")
	}
	return UnknownAlgorithm, fmt.Errorf("a=: %.40q is not known", value)
}

// The sizes of RSA keys that are looked at, in bits. RFC 8301 section 3.2 wants at least 1024 and verifiers to take 4096;
// more costs time that nobody needs.
const (
	MinBits = 1024
	MaxBits = 4096
)

// MaxSignature bounds the octets of b=, decoded: those of MaxBits.
const MaxSignature = MaxBits / 8

// DecodeBase64 reads base64 with white space and folds within (RFC 6376 section 3.2), at most max octets decoded.
func DecodeBase64(value string, max int) ([]byte, error) {
	if strings.ContainsAny(value, " \t\r\n") {
		value = strings.Map(func(r rune) rune {
			if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, value)
	}
	if base64.StdEncoding.DecodedLen(len(value)) > max+2 {
		return nil, fmt.Errorf("base64: more than %d octets", max)
	}
	out, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, errors.New("base64: malformed")
	}
	if len(out) > max {
		return nil, fmt.Errorf("base64: more than %d octets", max)
	}
	return out, nil
}

// ErrSignature says that a signature is not one of its key over these octets.
var ErrSignature = errors.New("signature does not match")

// Check verifies a signature of the hash of a header section. Errors are ErrSignature, or that the key is not one of the
// algorithm.
func (k *Key) Check(a Algorithm, sum [sha256.Size]byte, signature []byte) error {
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		if a != RSASHA256 {
			break
		}
		if rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], signature) != nil {
			return ErrSignature
		}
		return nil
	case ed25519.PublicKey:
		if a != Ed25519SHA256 {
			break
		}
		if !ed25519.Verify(pub, sum[:], signature) { // of the hash, not of the text: RFC 8463 section 3
			return ErrSignature
		}
		return nil
	}
	return errKeyType
}

var errKeyType = errors.New("key is of another type than a= says")

// Sign signs the hash of a header section with a key of RSA or Ed25519, and tells by which algorithm.
func Sign(key crypto.Signer, sum [sha256.Size]byte) ([]byte, Algorithm, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		s, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
		return s, RSASHA256, err
	case ed25519.PrivateKey:
		s, err := k.Sign(rand.Reader, sum[:], crypto.Hash(0))
		return s, Ed25519SHA256, err
	}
	return nil, UnknownAlgorithm, fmt.Errorf("sign: a key of type %T", key)
}
