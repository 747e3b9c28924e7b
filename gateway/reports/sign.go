package reports

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emersion/go-msgauth/dkim"
)

// Signer returns a function that puts a DKIM signature (RFC 6376) in front of a mail, by a key in PEM: PKCS #8, or PKCS #1 of
// RSA from 1024 bits on. Its errors are those of the key.
func Signer(domain, selector string, key []byte) (func(mail []byte) ([]byte, error), error) {
	signer, err := privateKey(key)
	if err != nil {
		return nil, fmt.Errorf("dkim key: %w", err)
	}
	options := &dkim.SignOptions{Domain: domain, Selector: selector, Signer: signer, Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted", "From", "Subject"}}
	return func(mail []byte) ([]byte, error) {
		var out bytes.Buffer
		if err := dkim.Sign(&out, bytes.NewReader(mail), options); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}, nil
}

// minBits is the shortest RSA key that verifiers take (RFC 8301 section 3.2).
const minBits = 1024

func privateKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM in it")
	}
	var key any
	var err error
	if block.Type == "RSA PRIVATE KEY" {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minBits {
			return nil, fmt.Errorf("RSA of %d bits, and verifiers ask for %d", bits, minBits)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("neither RSA nor Ed25519")
}
