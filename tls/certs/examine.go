package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Chain is who vouches for a certificate.
type Chain string

// The verdicts.
const (
	ChainTrusted    Chain = "trusted"     // an authority that this system knows
	ChainPrivate    Chain = "private"     // an authority that this system does not know, whose certificate comes along
	ChainSelfSigned Chain = "self-signed" // nobody
	ChainIncomplete Chain = "incomplete"  // it ends at a certificate whose issuer neither comes along nor is known here
	ChainInvalid    Chain = "invalid"     // who verifies it will refuse it
	ChainUnknown    Chain = "unknown"     // this system knows no authorities
)

// Facts are what is to be known of a certificate. They hold for a moment: dates pass.
type Facts struct {
	Names       []string  `json:"names"`
	Key         string    `json:"key"` // kind and size: ECDSA P-256, RSA 2048
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Chain       Chain     `json:"chain"`
	Detail      string    `json:"chain_detail,omitempty"` // why
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"sha256"`     // of the certificate, in hexadecimal
	KeyPrint    string    `json:"key_sha256"` // of its public key (SubjectPublicKeyInfo): what a TLSA record 3 1 1 holds
	Notes       []string  `json:"notes,omitempty"`
}

// Examine tells the facts of a certificate at a moment. roots are the authorities that count, nil for those of the system.
func Examine(c *tls.Certificate, roots *x509.CertPool, now time.Time) Facts {
	leaf := c.Leaf
	f := Facts{Names: namesOf(leaf), Key: KeyKind(leaf.PublicKey), Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Fingerprint: print256(leaf.Raw), KeyPrint: print256(leaf.RawSubjectPublicKeyInfo)}
	f.Chain, f.Detail = verify(parsed(c), roots, now)
	note := func(format string, args ...any) { f.Notes = append(f.Notes, fmt.Sprintf(format, args...)) }
	if dates := Dates(leaf, now); dates != "" {
		note("%s", dates)
	}
	if f.Chain == ChainIncomplete || f.Chain == ChainInvalid {
		note("%s", f.Detail)
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		note("has no name that counts: only names in subjectAltName do (RFC 9525)")
	}
	if !mayServe(leaf) {
		note("is not for servers (extended key usage without serverAuth): those who verify it refuse it")
	}
	if _, ok := leaf.PublicKey.(ed25519.PublicKey); ok {
		note("has an Ed25519 key, which many mail servers cannot verify: show one with an ECDSA or RSA key beside it")
	}
	return f
}

// Dates tells what the dates of a certificate forbid at a moment; nothing where it is good.
func Dates(c *x509.Certificate, now time.Time) string {
	switch {
	case now.After(c.NotAfter):
		return "expired on " + c.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(c.NotBefore):
		return "is not good before " + c.NotBefore.UTC().Format(time.RFC3339) + "; look at the clock"
	}
	return ""
}

// Late reports whether a certificate should have been replaced by now: a third of its life is left, less the days that a
// client of an authority which renews at that third may take.
func Late(c *x509.Certificate, now time.Time) bool {
	life := c.NotAfter.Sub(c.NotBefore)
	return c.NotAfter.Sub(now) < life/3-min(2*24*time.Hour, life/30)
}

// KeyKind tells kind and size of a key.
func KeyKind(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}

func print256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func namesOf(c *x509.Certificate) []string {
	out := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}

// mayServe reports whether a certificate may be that of a server (RFC 5280 section 4.2.1.12).
func mayServe(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool { return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny })
}

func weakSignature(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

// parsed returns all certificates that are shown; one that cannot be read is left out.
func parsed(c *tls.Certificate) []*x509.Certificate {
	out := []*x509.Certificate{c.Leaf}
	for _, der := range c.Certificate[min(1, len(c.Certificate)):] {
		if x, err := x509.ParseCertificate(der); err == nil {
			out = append(out, x)
		}
	}
	return out
}

// verify says who vouches for a chain. That the certificate itself has expired is not said here.
func verify(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) (Chain, string) {
	leaf := chain[0]
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	switch { // a moment at which the certificate itself is good
	case now.After(leaf.NotAfter):
		now = leaf.NotAfter
	case now.Before(leaf.NotBefore):
		now = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err == nil {
		return ChainTrusted, ""
	}
	if _, none := errors.AsType[x509.SystemRootsError](err); none {
		return ChainUnknown, err.Error()
	}
	for _, c := range chain {
		if weakSignature(c) && !selfSigned(c) {
			return ChainInvalid, fmt.Sprintf("%q is signed with %s, which nobody believes any more; have it issued anew", c.Subject.String(), c.SignatureAlgorithm)
		}
	}
	for _, c := range chain[1:] {
		if dates := Dates(c, now); dates != "" {
			return ChainInvalid, fmt.Sprintf("%q of its chain %s", c.Subject.String(), dates)
		}
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		return ChainInvalid, err.Error()
	}
	end := leaf
	for range chain {
		by := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return issued(end, c) })
		if selfSigned(end) || by < 0 {
			break
		}
		end = chain[by]
	}
	switch {
	case selfSigned(leaf):
		return ChainSelfSigned, ""
	case selfSigned(end):
		return ChainPrivate, fmt.Sprintf("%q is no authority that this system knows", end.Subject.String())
	}
	return ChainIncomplete, fmt.Sprintf("the chain lacks the certificate of %q, which issued %q: append it to the file, unless it is an authority of your own that those who verify know", end.Issuer.String(), end.Subject.String())
}
