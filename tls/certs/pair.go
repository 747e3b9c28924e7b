package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Pair is a certificate with its chain, and its key, as two files in PEM, which may be one.
type Pair struct{ Certificate, Key string }

// Bounds of what is read.
const (
	maxFile  = 1 << 20
	maxChain = 32 // certificates in a file
)

// minRSA is the least that an RSA key may have: shorter ones are refused by those who verify.
const minRSA = 2048

// Read reads a pair and checks that it can be shown: the key is that of the certificate and strong enough. The certificate
// comes back with its Leaf and with its chain in order. notes say what works and should not stay so, each with the file and
// with what to do. Dates, names and who signed are no matter here: see Examine.
func (p Pair) Read() (c *tls.Certificate, notes []string, err error) {
	certificate, _, err := readFile(p.Certificate)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", p.Certificate, err)
	}
	key, mode, err := readFile(p.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("key %s: %w", p.Key, err)
	}
	if c, notes, err = p.parse(certificate, key); err == nil && mode&0o004 != 0 {
		notes = append(notes, fmt.Sprintf("key %s: every user of this system can read it (mode %04o); chmod 640, with the group of the daemon", p.Key, mode))
	}
	return c, notes, err
}

// parse makes a pair of what its files hold.
func (p Pair) parse(certificate, private []byte) (c *tls.Certificate, notes []string, err error) {
	all, err := parseChain(certificate)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", p.Certificate, err)
	}
	key, err := firstKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("key %s: %w", p.Key, err)
	}
	at := slices.IndexFunc(all, func(c *x509.Certificate) bool { return isOf(key, c) })
	if at < 0 {
		return nil, nil, fmt.Errorf("certificate %s: %s, and none of it is that of the key %s; write the key that the certificate was made for",
			p.Certificate, count(len(all)), p.Key)
	}
	if err := strong(all[at].PublicKey); err != nil {
		return nil, nil, fmt.Errorf("key %s: %w", p.Key, err)
	}
	chain, orderNotes := order(all, at)
	for _, n := range orderNotes {
		notes = append(notes, "certificate "+p.Certificate+": "+n)
	}
	c = &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c, notes, nil
}

func count(n int) string {
	if n == 1 {
		return "the file holds one certificate"
	}
	return fmt.Sprintf("the file holds %d certificates", n)
}

// readFile reads a file that is no larger than anything that could be meant, and returns its mode. One that is no file, such as
// a pipe, is not opened: that could wait for ever.
func readFile(name string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("is no file, but a folder or the like; write the name of a file in PEM")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxFile {
		return nil, 0, errors.New("is over 1 MiB; write a file in PEM that holds nothing else")
	}
	return data, info.Mode().Perm(), nil
}

// parseChain returns the certificates of a file, in its order.
func parseChain(data []byte) (all []*x509.Certificate, err error) {
	keys := false
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		keys = keys || strings.HasSuffix(block.Type, "PRIVATE KEY")
		if block.Type != "CERTIFICATE" {
			continue
		}
		if len(all) == maxChain {
			return nil, fmt.Errorf("holds more than %d certificates; write that of the server first, and its chain behind it", maxChain)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file cannot be read: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case keys:
		return nil, errors.New("holds a private key and no certificate; certificate and key may be exchanged")
	case len(data) > 0 && data[0] == 0x30:
		return nil, errors.New("is binary (DER); make it PEM with openssl x509 -inform DER, or openssl pkcs12 where it is PKCS #12")
	}
	return nil, errors.New("holds no certificate in PEM; write that of the server first, and its chain behind it")
}

// errEncrypted is what to do about a key with a password.
var errEncrypted = errors.New("is encrypted, and nobody is there to type its password; write it without one with openssl pkey, readable by the daemon's user only")

// firstKey returns the first private key of a file.
func firstKey(data []byte) (crypto.Signer, error) {
	certificates := false
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificates = certificates || block.Type == "CERTIFICATE"
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // EC PARAMETERS stand before an EC PRIVATE KEY
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, errEncrypted
		}
		return parseKey(block)
	}
	switch {
	case certificates:
		return nil, errors.New("holds a certificate and no private key; certificate and key may be exchanged")
	case len(data) > 0 && data[0] == 0x30:
		return nil, errors.New("is binary (DER); make it PEM with openssl pkey -inform DER")
	}
	return nil, errors.New("holds no private key in PEM")
}

// parseKey reads the forms in which keys are written: PKCS #8, PKCS #1 and SEC 1.
func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("is a key of a kind that TLS does not have here (%s); make an ECDSA key of P-256 or an RSA key of 2048 bits", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be read (%w); make an ECDSA key of P-256 or an RSA key of 2048 bits", err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("is a key of a kind that TLS does not have here; make an ECDSA key of P-256 or an RSA key of 2048 bits")
}

// isOf reports whether a key is that of a certificate.
func isOf(key crypto.Signer, c *x509.Certificate) bool { return SameKey(key.Public(), c.PublicKey) }

// SameKey reports whether two public keys are one.
func SameKey(a, b crypto.PublicKey) bool {
	of, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && of.Equal(b)
}

// strong refuses keys that nobody who verifies would take.
func strong(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSA {
			return fmt.Errorf("has %d bits, which is too weak; make an RSA key of 2048 bits or more, or an ECDSA key of P-256", n)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return errors.New("is of the curve P-224, which TLS 1.3 does not have; make an ECDSA key of P-256")
		}
	}
	return nil
}

// order returns the chain of the certificate at an index of a file: it first, then each issuer that the file has, then other
// ways to the top (certificates that cross-sign one of the chain). TLS 1.2 wants that order (RFC 5246 section 7.4.2). What
// belongs to no way is left out. notes tell what was not as it should be.
func order(all []*x509.Certificate, at int) (chain []*x509.Certificate, notes []string) {
	chain = []*x509.Certificate{all[at]}
	rest := slices.DeleteFunc(slices.Clone(all), func(c *x509.Certificate) bool { return c.Equal(all[at]) })
	take := func(issued func(by *x509.Certificate) bool) bool {
		i := slices.IndexFunc(rest, issued)
		if i < 0 {
			return false
		}
		next := rest[i]
		chain = append(chain, next)
		rest = slices.DeleteFunc(rest, next.Equal)
		return true
	}
	for last := chain[0]; !selfSigned(last) && take(func(by *x509.Certificate) bool { return issued(last, by) }); {
		last = chain[len(chain)-1]
	}
	for take(func(by *x509.Certificate) bool {
		return slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return issued(c, by) })
	}) {
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(c *x509.Certificate) bool { return slices.ContainsFunc(rest, c.Equal) })
	if !slices.EqualFunc(kept[:min(len(kept), len(chain))], chain, (*x509.Certificate).Equal) {
		notes = append(notes, "is not in order, and is shown in order; write the certificate of the server first, then each with the one that issued it behind it")
	}
	for _, c := range rest {
		notes = append(notes, fmt.Sprintf("%q does not belong to its chain, and is left out; remove it", c.Subject.String()))
	}
	return chain, notes
}

// issued reports whether a certificate was issued by another. A signature of a kind that is not believed any more counts:
// it tells all the same to which chain a certificate belongs.
func issued(c, by *x509.Certificate) bool {
	if !bytes.Equal(c.RawIssuer, by.RawSubject) {
		return false
	}
	err := c.CheckSignatureFrom(by)
	_, old := errors.AsType[x509.InsecureAlgorithmError](err)
	return err == nil || old
}

// selfSigned reports whether a certificate is signed by its own key. One of a server need not be an authority for that.
func selfSigned(c *x509.Certificate) bool {
	if !bytes.Equal(c.RawIssuer, c.RawSubject) {
		return false
	}
	err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
	_, old := errors.AsType[x509.InsecureAlgorithmError](err)
	return err == nil || old
}
