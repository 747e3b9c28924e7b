package arc

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"gatepost/internal/dkim"
)

// The kinds of keys that MakeKey makes, by the names that people use.
const (
	RSA2048 = "rsa-2048"
	Ed25519 = "ed25519"
)

// MakeKey makes a private key of a kind and returns it in PEM (PKCS #8), as ReadKey and everybody else's tools read it.
func MakeKey(kind string) ([]byte, error) {
	var key any
	var err error
	switch kind {
	case RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("%q is neither %s nor %s", kind, RSA2048, Ed25519)
	}
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ReadKey reads a private key in PEM: PKCS #8, or PKCS #1 as opendkim-genkey writes it. RSA keys have 1024 to 4096 bits,
// as verifiers take them.
func ReadKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(bytes.TrimSpace(text))
	if block == nil {
		return nil, errors.New("key: no PEM in it")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("key: it holds %q, not a private key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < dkim.MinBits || n > dkim.MaxBits {
			return nil, fmt.Errorf("key: RSA of %d bits; verifiers take %d to %d", n, dkim.MinBits, dkim.MaxBits)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("key: neither RSA nor Ed25519 but %T", key)
}

// Record is the text that publishes a key (RFC 6376 section 3.6.1, RFC 8463 section 4).
func Record(key crypto.Signer) (string, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		if err != nil {
			return "", fmt.Errorf("key: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PrivateKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey)), nil
	}
	return "", fmt.Errorf("key: neither RSA nor Ed25519 but %T", key)
}

// Publishes reports whether a text that DNS has is the key record of this private key, whatever else it says.
func Publishes(record string, key crypto.Signer) bool {
	own, err := publicKey(key)
	if err != nil {
		return false
	}
	k, err := dkim.ParseKey(record)
	if err != nil || k.Algorithm() != own.Algorithm() {
		return false
	}
	var sum [32]byte
	signature, a, err := dkim.Sign(key, sum)
	return err == nil && k.Check(a, sum, signature) == nil
}
