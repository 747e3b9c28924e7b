// Package dane says whether the certificate of a mail server is the one that its domain publishes in DNS under DNSSEC: TLSA
// records (RFC 6698), as SMTP uses them (RFC 7671, RFC 7672).
//
// It never opens a connection, and asks DNS by a Resolver that it is given. It takes nothing that was not validated: an answer
// that is bogus or did not come is a temporary failure, never an absence.
package dane

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"slices"
)

// Record is one TLSA record (RFC 6698 section 2.1). Its numbers are as published; Usable says whether they mean anything here.
type Record struct {
	Usage    uint8  // 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE (RFC 7218)
	Selector uint8  // 0 the whole certificate, 1 its public key (SubjectPublicKeyInfo)
	Matching uint8  // 0 the data itself, 1 its SHA-256, 2 its SHA-512
	Data     []byte // what is to match
}

// The numbers of RFC 7218 that SMTP knows.
const (
	anchor  = 2 // DANE-TA
	itself  = 3 // DANE-EE
	whole   = 0 // Cert
	key     = 1 // SPKI
	full    = 0 // Full
	with256 = 1 // SHA2-256
	with512 = 2 // SHA2-512
)

// String is the record as a zone file has it.
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}

// Kind is the three numbers of the record, as people name it: "3 1 1".
func (r Record) Kind() string { return fmt.Sprintf("%d %d %d", r.Usage, r.Selector, r.Matching) }

// Equal reports whether both say the same.
func (r Record) Equal(o Record) bool {
	return r.Usage == o.Usage && r.Selector == o.Selector && r.Matching == o.Matching && slices.Equal(r.Data, o.Data)
}

// Usable reports whether a mail server can be authenticated by the record (RFC 7671 section 10.1, RFC 7672 section 3.1):
// usages 0 and 1 cannot, since nobody knows which authorities both sides know (RFC 7672 section 3.1.3), nor can a number that
// is not known, a digest of the wrong length, or data that is neither a certificate nor a key.
func (r Record) Usable() bool {
	if r.Usage != anchor && r.Usage != itself {
		return false
	}
	switch {
	case r.Selector > key:
		return false
	case r.Matching == with256:
		return len(r.Data) == sha256.Size
	case r.Matching == with512:
		return len(r.Data) == sha512.Size
	case r.Matching != full || len(r.Data) > maxData:
		return false
	case r.Selector == key:
		_, err := x509.ParsePKIXPublicKey(r.Data)
		return err == nil
	}
	_, err := x509.ParseCertificate(r.Data)
	return err == nil
}

// Bounds of what is looked at; what is beyond them is as if it were not there.
const (
	maxRecords = 100
	maxData    = 16 << 10 // octets of one record
	maxAnchors = 8        // that records hold themselves, and not only a digest of
	maxChain   = 10       // certificates that a server shows
)

// Usable returns those records that can be used, and of digests of the same thing only the strongest (RFC 7671 section 9):
// whoever breaks the weaker one gains nothing. None means that TLS is needed all the same, but nobody can be authenticated
// (RFC 7672 section 2.2).
func Usable(records []Record) []Record {
	var usable []Record
	var strongest [itself + 1][key + 1]uint8
	for _, r := range records[:min(len(records), maxRecords)] {
		if r.Usable() {
			usable = append(usable, r)
			best := &strongest[r.Usage][r.Selector]
			*best = max(*best, r.Matching)
		}
	}
	return slices.DeleteFunc(usable, func(r Record) bool {
		return r.Matching != full && r.Matching != strongest[r.Usage][r.Selector]
	})
}

// matches reports whether the record is of this certificate.
func (r Record) matches(c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == key {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case with256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case with512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return slices.Equal(data, r.Data)
}
