// Package acme gets certificates from a certificate authority by ACME (RFC 8555) and renews them in time: an account, orders
// for several names, the challenges http-01, tls-alpn-01 (RFC 8737) and dns-01, external account binding, and for each
// certificate a key that is used now and one that comes next, so that a TLSA record (RFC 6698) of the next can be published
// before it is shown.
//
// What an authority sends is never trusted further than it must be: answers are bounded in size, time and number, every
// address in them must be https, challenges are answered for names that were ordered and no others, and a certificate is
// looked at before it is shown. It never revokes, never listens, never asks DNS by itself, and never shows a private key.
package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"time"
)

// LetsEncrypt is the directory that is asked where none is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// KeyType is what keys an Entry has.
type KeyType int

const (
	// ECDSA is P-256; the default.
	ECDSA KeyType = iota
	// RSA is 2048 bits, for clients that are old.
	RSA
	// Both is a certificate of each, of two orders.
	Both
)

// String returns the word of the configuration.
func (t KeyType) String() string { return [...]string{"ecdsa", "rsa", "both"}[t] }

// each returns the kinds of keys of which t is made.
func (t KeyType) each() []KeyType {
	if t == Both {
		return []KeyType{ECDSA, RSA}
	}
	return []KeyType{t}
}

const rsaBits = 2048

// newKey makes a private key.
func newKey(t KeyType) (key crypto.Signer, err error) {
	if t == RSA {
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("acme: key: %w", err)
	}
	return key, nil
}

// Entry is one certificate (two, of both kinds of keys) for one or more names.
type Entry struct {
	// Names are host names in lower case, without a final dot; one that begins with "*." needs dns-01. The first names the
	// entry and its folder: no two entries may have the same.
	Names []string
	Keys  KeyType
	// Solver answers the challenges.
	Solver Solver
}

// Name is the first name.
func (e *Entry) Name() string { return e.Names[0] }

// folder is the name of the entry's folder.
func (e *Entry) folder() string { return strings.ReplaceAll(e.Name(), "*", "_") }

// Times that bound what an authority and a name server can cost.
const (
	orderTime   = 15 * time.Minute // one order, from the first question to the certificate
	cleanTime   = time.Minute      // taking answers to challenges away
	hurryTime   = 5 * time.Second  // the same when the daemon ends: what is left is taken away after its start
	requestTime = 45 * time.Second // one question
)

// maxAnswer bounds one answer of an authority, in octets: chains are some KiB.
const maxAnswer = 256 << 10
