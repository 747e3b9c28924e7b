// Package certs brings the certificates that the gateway shows: read from files, or self-signed and made at the first
// start, so that STARTTLS (RFC 3207) works before anybody has set it up.
//
// It never verifies a peer, never asks a certificate authority, and never changes a file that it did not make.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"path/filepath"
	"time"

	"gatepost/internal/durable"
)

// selfSignedLife is how long a certificate of our own is good: nobody renews it by hand, and who verifies it does so by
// fingerprint or not at all.
const selfSignedLife = 10 * 365 * 24 * time.Hour

// SelfSignedPair is where SelfSigned keeps its pair.
func SelfSignedPair(dir string) Pair {
	return Pair{filepath.Join(dir, "self-signed.crt"), filepath.Join(dir, "self-signed.key")}
}

// SelfSigned returns the certificate of our own for hostname, kept in dir; it makes one when there is none or when it is
// for another name or has expired. made tells whether it did.
func SelfSigned(dir, hostname string) (c *tls.Certificate, made bool, err error) {
	pair := SelfSignedPair(dir)
	c, _, err = pair.Read()
	if err == nil && c.Leaf.VerifyHostname(hostname) == nil && Dates(c.Leaf, time.Now()) == "" {
		return c, false, nil
	}
	// Damaged, expired or not there: a new one is as good, since nobody but a fingerprint trusts it.
	if err := make509(pair, hostname); err != nil {
		return nil, false, err
	}
	c, _, err = pair.Read()
	return c, true, err
}

// make509 writes key and certificate, the key first and each by rename, so that a crash leaves either the old pair or one
// that does not fit, which is made anew.
func make509(pair Pair, hostname string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("self-signed certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("self-signed certificate: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: hostname}, DNSNames: []string{hostname},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return fmt.Errorf("self-signed certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("self-signed certificate: %w", err)
	}
	if err := writePEM(pair.Key, "PRIVATE KEY", keyDER, 0o600); err != nil {
		return err
	}
	return writePEM(pair.Certificate, "CERTIFICATE", der, 0o644)
}

// writePEM writes a file that is whole, old or new: what is half written would be a new key at the next start, that no TLSA
// record knows.
func writePEM(name, kind string, der []byte, mode fs.FileMode) error {
	if err := durable.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return fmt.Errorf("self-signed certificate: %w", err)
	}
	return nil
}
