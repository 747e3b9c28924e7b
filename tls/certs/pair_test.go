package certs

import (
	"crypto"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPairRead shows what is refused, what is told, and what is shown of a file in which things are not in order.
func TestPairRead(t *testing.T) {
	root, between := authority(t, "Test")
	strange, _ := authority(t, "Strange")
	leaf := issue(t, wish{subject: "mx", names: []string{"mx.example.org"}, by: between})
	other := issue(t, wish{subject: "other", names: []string{"mx.example.org"}, by: between})
	weak := issue(t, wish{subject: "weak", names: []string{"mx.example.org"}, key: rsaOf(t, 1024), by: between})
	curve := issue(t, wish{subject: "curve", key: ec(t, elliptic.P224()), by: between})
	cross := issue(t, wish{subject: "Test Root", authority: true, key: root.key, by: strange})
	ecDER, _ := x509.MarshalPKCS8PrivateKey(leaf.key)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: ecDER})
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: ecDER})
	tests := []struct {
		name             string
		certificate, key []byte
		err              string
		notes            []string
		chain            []*made
	}{
		{"in order", chainPEM(leaf, between), keyPEM(t, leaf.key), "", nil, []*made{leaf, between}},
		{"with its root", chainPEM(leaf, between, root), keyPEM(t, leaf.key), "", nil, []*made{leaf, between, root}},
		{"one file for both", slices.Concat(keyPEM(t, leaf.key), chainPEM(leaf)), slices.Concat(chainPEM(leaf), keyPEM(t, leaf.key)), "", nil, []*made{leaf}},
		{"text around", slices.Concat([]byte("Bag Attributes\n"), chainPEM(leaf)), slices.Concat([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), keyPEM(t, leaf.key)), "", nil, []*made{leaf}},
		{"the wrong way round", chainPEM(root, between, leaf), keyPEM(t, leaf.key), "", []string{"crt.pem: is not in order"}, []*made{leaf, between, root}},
		{"root before intermediate", chainPEM(leaf, root, between), keyPEM(t, leaf.key), "", []string{"crt.pem: is not in order"}, []*made{leaf, between, root}},
		{"a foreign one", chainPEM(leaf, strange, between), keyPEM(t, leaf.key), "", []string{`"CN=Strange Root" does not belong`}, []*made{leaf, between}},
		{"another server's", chainPEM(other, leaf, between), keyPEM(t, leaf.key), "", []string{`"CN=other" does not belong`}, []*made{leaf, between}},
		{"twice", chainPEM(leaf, between, leaf, between), keyPEM(t, leaf.key), "", nil, []*made{leaf, between}},
		{"cross-signed", chainPEM(leaf, between, cross, root), keyPEM(t, leaf.key), "", nil, []*made{leaf, between, cross, root}},
		{"the key of another", chainPEM(leaf, between), keyPEM(t, other.key), "crt.pem: the file holds 2 certificates, and none of it is that of the key", nil, nil},
		{"weak", chainPEM(weak), keyPEM(t, weak.key), "key.pem: has 1024 bits, which is too weak; make an RSA key of 2048", nil, nil},
		{"a curve of old", chainPEM(curve), keyPEM(t, curve.key), "key.pem: is of the curve P-224", nil, nil},
		{"a password", chainPEM(leaf), encrypted, "key.pem: is encrypted, and nobody is there to type its password; write it without one with openssl pkey", nil, nil},
		{"a password, as it was", chainPEM(leaf), old, "key.pem: is encrypted", nil, nil},
		{"exchanged", keyPEM(t, leaf.key), chainPEM(leaf), "crt.pem: holds a private key and no certificate; certificate and key may be exchanged", nil, nil},
		{"a certificate as key", chainPEM(leaf), chainPEM(leaf), "key.pem: holds a certificate and no private key", nil, nil},
		{"binary", leaf.Raw, keyPEM(t, leaf.key), "crt.pem: is binary (DER)", nil, nil},
		{"a binary key", chainPEM(leaf), ecDER, "key.pem: is binary (DER)", nil, nil},
		{"empty", nil, keyPEM(t, leaf.key), "crt.pem: holds no certificate in PEM", nil, nil},
		{"no key", chainPEM(leaf), []byte("nothing"), "key.pem: holds no private key in PEM", nil, nil},
		{"damaged", []byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), keyPEM(t, leaf.key), "crt.pem: certificate 1 of the file cannot be read", nil, nil},
		{"a kind of old", chainPEM(leaf), pem.EncodeToMemory(&pem.Block{Type: "DSA PRIVATE KEY", Bytes: ecDER}), "key.pem: is a key of a kind that TLS does not have here (DSA PRIVATE KEY)", nil, nil},
		{"a damaged key", chainPEM(leaf), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "key.pem: cannot be read", nil, nil},
		{"too many", chainPEM(slices.Repeat([]*made{leaf}, maxChain+1)...), keyPEM(t, leaf.key), "crt.pem: holds more than 32 certificates", nil, nil},
		{"huge", make([]byte, maxFile+1), keyPEM(t, leaf.key), "crt.pem: is over 1 MiB", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, notes, err := pairIn(t, t.TempDir(), tt.certificate, tt.key).Read()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(notes) != len(tt.notes) || !slices.EqualFunc(notes, tt.notes, strings.Contains) {
				t.Errorf("notes %q, want %q", notes, tt.notes)
			}
			var want [][]byte
			for _, m := range tt.chain {
				want = append(want, m.Raw)
			}
			if !slices.EqualFunc(c.Certificate, want, slices.Equal) || !c.Leaf.Equal(leaf.Certificate) {
				t.Errorf("shown are %d certificates, of %s", len(c.Certificate), c.Leaf.Subject)
			}
		})
	}
	p := pairIn(t, t.TempDir(), chainPEM(leaf), keyPEM(t, leaf.key))
	os.Chmod(p.Key, 0o644)
	if _, notes, err := p.Read(); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "every user of this system can read it (mode 0644); chmod 640") {
		t.Errorf("a key for everybody: %v, %q", err, notes)
	}
	if _, _, err := (Pair{p.Certificate, p.Key + ".none"}).Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, _, err := (Pair{t.TempDir(), p.Key}).Read(); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a folder: %v", err)
	}
}

// FuzzPair shows that whatever two files hold ends, and that what can be shown is a key with its certificate, and with nothing
// that issued none of the others.
func FuzzPair(f *testing.F) {
	root, between := authority(f, "Test")
	leaf := issue(f, wish{subject: "mx", names: []string{"mx.example.org"}, by: between})
	f.Add(chainPEM(leaf, between, root), keyPEM(f, leaf.key))
	f.Add(chainPEM(root, between, leaf, root), keyPEM(f, leaf.key))
	f.Add(chainPEM(root), keyPEM(f, root.key))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END EC PRIVATE KEY-----\n"))
	none := x509.NewCertPool()
	f.Fuzz(func(t *testing.T, certificate, key []byte) {
		c, _, err := Pair{"c", "k"}.parse(certificate, key)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "certificate c: ") && !strings.HasPrefix(err.Error(), "key k: ") {
				t.Errorf("%v names no file", err)
			}
			return
		}
		if !SameKey(c.PrivateKey.(crypto.Signer).Public(), c.Leaf.PublicKey) || !slices.Equal(c.Certificate[0], c.Leaf.Raw) {
			t.Error("the key is not that of the certificate")
		}
		chain := parsed(c)
		for i, by := range chain[1:] {
			if !slices.ContainsFunc(chain[:i+1], func(c *x509.Certificate) bool { return issued(c, by) }) {
				t.Errorf("%d issued none of those before it", i+1)
			}
		}
		if len(chain) != len(c.Certificate) {
			t.Errorf("%d of %d can be read", len(chain), len(c.Certificate))
		}
		Examine(c, none, time.Now())
	})
}

// TestExamine shows what is told of a certificate that can be shown.
func TestExamine(t *testing.T) {
	root, between := authority(t, "Test")
	roots := x509.NewCertPool()
	roots.AddCert(root.Certificate)
	none := x509.NewCertPool()
	late := issue(t, wish{subject: "Test R0", authority: true, by: root, after: -time.Minute})
	name := []string{"mx.example.org"}
	good := issue(t, wish{subject: "mx", names: name, by: between})
	tests := []struct {
		name  string
		chain []*made
		roots *x509.CertPool
		want  Chain
		told  string // in Detail
		notes []string
	}{
		{"trusted", []*made{good, between}, roots, ChainTrusted, "", nil},
		{"private", []*made{good, between, root}, none, ChainPrivate, `"CN=Test Root" is no authority that this system knows`, nil},
		{"the intermediate is missing", []*made{good}, roots, ChainIncomplete, `lacks the certificate of "CN=Test R1", which issued "CN=mx"`, []string{`lacks the certificate of "CN=Test R1"`}},
		{"the root is missing and not known", []*made{good, between}, none, ChainIncomplete, `lacks the certificate of "CN=Test Root", which issued "CN=Test R1"`, []string{"lacks the certificate of"}},
		{"self-signed", []*made{issue(t, wish{subject: "mx", names: name})}, none, ChainSelfSigned, "", nil},
		{"an intermediate has expired", []*made{issue(t, wish{subject: "mx", names: name, by: late}), late}, roots, ChainInvalid, `"CN=Test R0" of its chain expired on`, []string{"CN=Test R0"}},
		{"expired", []*made{issue(t, wish{subject: "mx", names: name, by: between, before: -time.Hour, after: -time.Minute}), between}, roots, ChainTrusted, "", []string{"expired on"}},
		{"not yet", []*made{issue(t, wish{subject: "mx", names: name, by: between, before: 30 * time.Minute}), between}, roots, ChainTrusted, "", []string{"is not good before"}},
		{"other names", []*made{issue(t, wish{subject: "mx", names: []string{"*.example.net"}, by: between}), between}, roots, ChainTrusted, "", nil},
		{"a wildcard", []*made{issue(t, wish{subject: "mx", names: []string{"*.example.org"}, by: between}), between}, roots, ChainTrusted, "", nil},
		{"no names", []*made{issue(t, wish{subject: "mx.example.org", by: between}), between}, roots, ChainTrusted, "", []string{"has no name that counts"}},
		{"for clients", []*made{issue(t, wish{subject: "mx", names: name, by: between, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), between}, roots, ChainTrusted, "", []string{"is not for servers"}},
		{"a young kind of key", []*made{issue(t, wish{subject: "mx", names: name, by: between, key: ed(t)}), between}, roots, ChainTrusted, "", []string{"Ed25519"}},
		{"signed as of old", []*made{issue(t, wish{subject: "mx", names: name, by: between, signature: x509.ECDSAWithSHA1}), between}, roots, ChainInvalid, "which nobody believes any more", []string{`"CN=mx" is signed with ECDSA-SHA1`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &tls.Certificate{Leaf: tt.chain[0].Certificate}
			for _, m := range tt.chain {
				c.Certificate = append(c.Certificate, m.Raw)
			}
			f := Examine(c, tt.roots, time.Now())
			if f.Chain != tt.want || !strings.Contains(f.Detail, tt.told) {
				t.Errorf("%s, %q; want %s, %q", f.Chain, f.Detail, tt.want, tt.told)
			}
			if len(f.Notes) != len(tt.notes) || !slices.EqualFunc(f.Notes, tt.notes, strings.Contains) {
				t.Errorf("notes %q, want %q", f.Notes, tt.notes)
			}
			if len(f.Fingerprint) != 64 || len(f.KeyPrint) != 64 || f.Fingerprint == f.KeyPrint {
				t.Errorf("fingerprints %s, %s", f.Fingerprint, f.KeyPrint)
			}
		})
	}
}

// TestLate shows when a renewal is missed: not while a client of an authority that renews at a third may still be at it.
func TestLate(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	for _, tt := range []struct {
		life, left time.Duration
		late       bool
	}{
		{90 * day, 31 * day, false}, {90 * day, 29 * day, false}, {90 * day, 28*day - time.Minute, true}, {90 * day, -day, true},
		{6 * day, 2 * day, false}, {6 * day, 43 * time.Hour, true},
		{time.Hour, 19 * time.Minute, false}, {time.Hour, 17 * time.Minute, true},
		{365 * day, 120 * day, false}, {365 * day, 119 * day, true},
	} {
		c := &x509.Certificate{NotBefore: now.Add(tt.left - tt.life), NotAfter: now.Add(tt.left)}
		if Late(c, now) != tt.late {
			t.Errorf("%s left of %s: late %v", tt.left, tt.life, !tt.late)
		}
	}
}

func TestKeyKind(t *testing.T) {
	for want, key := range map[string]any{"ECDSA P-256": ec(t, elliptic.P256()).Public(), "ECDSA P-384": ec(t, elliptic.P384()).Public(),
		"RSA 2048": rsaOf(t, 2048).Public(), "Ed25519": ed(t).Public(), "string": "none"} {
		if got := KeyKind(key); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
