// Package dane says whether the certificate of a mail server is the one that its domain publishes in DNS under DNSSEC: TLSA
// records (RFC 6698), as SMTP uses them (RFC 7671, RFC 7672).
//
// It never asks DNS and never opens a connection. It is told what a validating resolver said, and it takes nothing that was
// not validated: an answer that is bogus or did not come is a temporary failure, never an absence.
package dane

import "fmt"

// Record is one TLSA record (RFC 6698 section 2.1). Its numbers are as published; whether they can be used is not said here.
type Record struct {
	Usage    uint8  // 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE (RFC 7218)
	Selector uint8  // 0 the whole certificate, 1 its public key (SubjectPublicKeyInfo)
	Matching uint8  // 0 the data itself, 1 its SHA-256, 2 its SHA-512
	Data     []byte // what is to match
}

// String is the record as a zone file has it.
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}
