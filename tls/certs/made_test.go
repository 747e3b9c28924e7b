package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// made is a certificate of a test, with its key.
type made struct {
	*x509.Certificate
	key crypto.Signer
}

// wish is what a certificate of a test shall be.
type wish struct {
	subject       string
	names         []string
	key           crypto.Signer // nil: a new one of P-256
	by            *made         // nil: itself
	authority     bool
	before, after time.Duration // from now; 0: an hour ago, a hundred days
	usage         []x509.ExtKeyUsage
	signature     x509.SignatureAlgorithm
}

func ec(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaOf(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate.
func issue(t testing.TB, w wish) *made {
	t.Helper()
	if w.key == nil {
		w.key = ec(t, elliptic.P256())
	}
	if w.before == 0 {
		w.before = -time.Hour
	}
	if w.after == 0 {
		w.after = 100 * 24 * time.Hour
	}
	if w.usage == nil && !w.authority {
		w.usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: w.subject}, DNSNames: w.names, NotBefore: time.Now().Add(w.before), NotAfter: time.Now().Add(w.after),
		IsCA: w.authority, BasicConstraintsValid: true, ExtKeyUsage: w.usage, SignatureAlgorithm: w.signature}
	parent, signer := template, w.key
	if w.by != nil {
		parent, signer = w.by.Certificate, w.by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, w.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &made{c, w.key}
}

func chainPEM(chain ...*made) []byte {
	var b bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// pairIn writes a pair into a folder, each file by rename.
func pairIn(t testing.TB, dir string, certificate, key []byte) Pair {
	t.Helper()
	p := Pair{filepath.Join(dir, "crt.pem"), filepath.Join(dir, "key.pem")}
	writeTo(t, p.Certificate, certificate)
	writeTo(t, p.Key, key)
	return p
}

func writeTo(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// authority is a root with an intermediate.
func authority(t testing.TB, name string) (root, between *made) {
	t.Helper()
	root = issue(t, wish{subject: name + " Root", authority: true})
	return root, issue(t, wish{subject: name + " R1", authority: true, by: root})
}
