// Package signer signs and seals messages for tests and demonstrations: DKIM (RFC 6376, 8463) and ARC (RFC 8617), relaxed
// in header and body. It shares no line with the engines that verify, so that each is held against the other.
//
// It never verifies, and its keys are made anew each time: nothing that it signs is worth anything.
package signer

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Key signs for a domain.
type Key struct {
	Domain, Selector string
	private          crypto.Signer
}

// RSA makes a key of so many bits.
func RSA(domain, selector string, bits int) (*Key, error) {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	return &Key{domain, selector, k}, err
}

// Ed25519 makes a key of RFC 8463.
func Ed25519(domain, selector string) (*Key, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	return &Key{domain, selector, k}, err
}

// For is the same key under another domain and selector: making one takes longer than using it.
func (k *Key) For(domain, selector string) *Key { return &Key{domain, selector, k.private} }

// Record is the key as a line of a zone in which every name is written in full.
func (k *Key) Record() string {
	kind, public := "rsa", []byte(nil)
	switch p := k.private.Public().(type) {
	case ed25519.PublicKey:
		kind, public = "ed25519", p
	default:
		public, _ = x509.MarshalPKIXPublicKey(p) // an RSA key of our own making
	}
	text := "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(public)
	var parts []string
	for ; len(text) > 200; text = text[200:] {
		parts = append(parts, strconv.Quote(text[:200]))
	}
	return fmt.Sprintf("%s._domainkey.%s. TXT %s\n", k.Selector, k.Domain, strings.Join(append(parts, strconv.Quote(text)), " "))
}

func (k *Key) algorithm() string {
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		return "ed25519-sha256"
	}
	return "rsa-sha256"
}

// sign signs a text and returns the value of b=.
func (k *Key) sign(text []byte) (string, error) {
	sum := sha256.Sum256(text)
	how := crypto.SignerOpts(crypto.SHA256)
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		how = crypto.Hash(0) // RFC 8463 section 3: the hash is the message
	}
	b, err := k.private.Sign(rand.Reader, sum[:], how)
	return base64.StdEncoding.EncodeToString(b), err
}

// usual are the fields that are signed where none are named.
const usual = "from:to:subject:date:message-id"

// Sign returns the message with a DKIM-Signature in front. Tags are further ones, as "x=1700000000" or "l=10"; h= says
// which fields are signed.
func (k *Key) Sign(message []byte, tags ...string) ([]byte, error) {
	fields := usual
	more := ""
	for _, t := range tags {
		if h, ok := strings.CutPrefix(t, "h="); ok {
			fields = h
			continue
		}
		more += " " + t + ";"
	}
	length := -1
	for _, t := range tags {
		if l, ok := strings.CutPrefix(t, "l="); ok {
			length, _ = strconv.Atoi(l) // what is no number signs everything, and is then seen to be wrong
		}
	}
	head := "v=1; a=" + k.algorithm() + "; c=relaxed/relaxed; d=" + k.Domain + "; s=" + k.Selector + ";" + more
	return k.put(message, "DKIM-Signature", head, fields, length)
}

// put signs fields and body and puts the field with the signature in front.
func (k *Key) put(message []byte, name, head, fields string, length int) ([]byte, error) {
	header, body := split(message)
	canonical := relaxedBody(body)
	if length >= 0 && length < len(canonical) {
		canonical = canonical[:length]
	}
	sum := sha256.Sum256(canonical)
	value := head + "\r\n\th=" + fields + ";\r\n\tbh=" + base64.StdEncoding.EncodeToString(sum[:]) + "; b="
	var text bytes.Buffer
	used := map[string]int{}
	for _, f := range strings.Split(strings.ToLower(fields), ":") {
		if field, ok := fromBottom(header, f, used[f]); ok {
			text.WriteString(relaxedField(field) + "\r\n")
		}
		used[f]++
	}
	text.WriteString(relaxedField(name + ": " + value))
	b, err := k.sign(text.Bytes())
	return append([]byte(name+": "+value+fold(b)+"\r\n"), message...), err
}

// fold breaks a signature into lines.
func fold(b string) string {
	var out strings.Builder
	for ; len(b) > 70; b = b[70:] {
		out.WriteString(b[:70] + "\r\n\t")
	}
	return out.String() + b
}
