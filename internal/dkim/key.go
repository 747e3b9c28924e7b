package dkim

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// maxRecord bounds a key record that is read: one of 4096 bits has about 800 octets.
const maxRecord = 16 << 10

// Key is the public key of a signer, as it is published (RFC 6376 section 3.6.1).
type Key struct {
	Bits    int  // of the modulus; 256 for Ed25519
	Testing bool // t=y: the signer tests
	Strict  bool // t=s: the domain of i= must be that of d=
	Email   bool // s= allows email
	SHA256  bool // h= allows sha256
	public  any  // *rsa.PublicKey or ed25519.PublicKey
}

// Algorithm returns that of the signatures that the key makes.
func (k *Key) Algorithm() Algorithm {
	if _, ok := k.public.(ed25519.PublicKey); ok {
		return Ed25519SHA256
	}
	return RSASHA256
}

// ErrRevoked says that a key was taken back: its p= is empty.
var ErrRevoked = errors.New("key revoked")

// ErrWeak says that a key is too short for anything it signs to count.
var ErrWeak = errors.New("weak key")

// ParseKey reads a key record. The errors ErrRevoked and ErrWeak stand apart; any other says that the record holds no key
// that may be used.
func ParseKey(record string) (*Key, error) {
	if len(record) > maxRecord {
		return nil, errors.New("key record: too long")
	}
	tags, err := ParseTags(record)
	if err != nil {
		return nil, fmt.Errorf("key record: %w", err)
	}
	for i := range tags {
		if tags[i].Name == "v" && (i > 0 || tags[i].Value != "DKIM1") {
			return nil, errors.New("key record: v= is not DKIM1 or not first")
		}
	}
	k := &Key{Email: true, SHA256: true}
	if err := k.flags(tags); err != nil {
		return nil, err
	}
	p, ok := tags.Get("p")
	if !ok {
		return nil, errors.New("key record: no p=")
	}
	if p == "" {
		return nil, ErrRevoked
	}
	der, err := DecodeBase64(p, maxRecord)
	if err != nil {
		return nil, fmt.Errorf("key record: p=: %w", err)
	}
	kind, ok := tags.Get("k")
	switch {
	case !ok || strings.EqualFold(kind, "rsa"):
		err = k.rsa(der)
	case strings.EqualFold(kind, "ed25519"):
		err = k.ed25519(der)
	default:
		err = fmt.Errorf("key record: k=%.20q is not known", kind)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// flags reads h=, s= and t=. Words that are not known are ignored.
func (k *Key) flags(tags Tags) error {
	for i := range tags {
		name := tags[i].Name
		if name != "h" && name != "s" && name != "t" {
			continue
		}
		words := SplitList(tags[i].Value, 100)
		if words == nil && (name != "t" || tags[i].Value != "") {
			return fmt.Errorf("key record: %s= is no list", name)
		}
		any := func(names ...string) bool {
			for _, w := range words {
				for _, n := range names {
					if strings.EqualFold(w, n) {
						return true
					}
				}
			}
			return false
		}
		switch name {
		case "h":
			k.SHA256 = any("sha256")
		case "s":
			k.Email = any("*", "email")
		case "t":
			k.Testing, k.Strict = any("y"), any("s")
		}
	}
	return nil
}

// rsa reads a SubjectPublicKeyInfo, which is what everybody publishes, or an RSAPublicKey, which is what RFC 6376 says (erratum 3017).
func (k *Key) rsa(der []byte) error {
	var pub *rsa.PublicKey
	if any, err := x509.ParsePKIXPublicKey(der); err == nil {
		ok := false
		if pub, ok = any.(*rsa.PublicKey); !ok {
			return errors.New("key record: p= is no RSA key")
		}
	} else if pub, err = x509.ParsePKCS1PublicKey(der); err != nil {
		return errors.New("key record: p= is no RSA key")
	}
	if k.Bits = pub.N.BitLen(); k.Bits > MaxBits {
		return fmt.Errorf("key record: RSA key of %d bits; at most %d are looked at", k.Bits, MaxBits)
	} else if k.Bits < MinBits {
		return fmt.Errorf("%w: RSA of %d bits; it must have %d (RFC 8301)", ErrWeak, k.Bits, MinBits)
	}
	k.public = pub
	return nil
}

func (k *Key) ed25519(raw []byte) error {
	if len(raw) != ed25519.PublicKeySize {
		return fmt.Errorf("key record: Ed25519 key of %d octets, not %d", len(raw), ed25519.PublicKeySize)
	}
	k.Bits, k.public = 8*len(raw), ed25519.PublicKey(raw)
	return nil
}
