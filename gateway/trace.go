package gateway

import (
	"net/netip"
	"strings"
	"time"
)

// Received returns our own Received field for the transaction, folded and with its CRLF (RFC 5321 section 4.4, with the
// protocol words of RFC 3848 and RFC 6531). The recipient is named only where there is exactly one, so that no recipient
// learns of another. Scanners are shown the same field, so that they see the right client.
func Received(e *Envelope, at time.Time) string {
	s := e.Session
	var b strings.Builder
	b.WriteString("Received: from " + traceToken(s.Helo.Name, "unknown"))
	reverse := Evident(e.Findings, EvidenceReverse)
	if reverse == "" {
		reverse = Evident(s.Findings, EvidenceReverse)
	}
	b.WriteString(" (" + traceToken(reverse, "unknown") + " " + AddressLiteral(s.Client.Addr()) + ")\r\n")
	if s.TLS.On() {
		b.WriteString("\t(using " + traceToken(s.TLS.Version, "") + " with cipher " + traceToken(s.TLS.Cipher, "") + ")\r\n")
	}
	b.WriteString("\tby " + traceToken(s.Snapshot.Hostname, "localhost") + " (Gatepost) with " + s.Protocol(e.Options.UTF8))
	b.WriteString(" id " + e.ID.String())
	var only *Recipient
	for i := range e.Rcpts {
		if e.Rcpts[i].Accepted() {
			if only != nil {
				only = nil
				break
			}
			only = &e.Rcpts[i]
		}
	}
	if only != nil && (!only.Address.UTF8 || e.Options.UTF8) {
		b.WriteString("\r\n\tfor " + only.Address.Path())
	}
	b.WriteString(";\r\n\t" + at.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\n")
	return b.String()
}

// AddressLiteral returns an address as RFC 5321 section 4.1.3 writes it, in brackets.
func AddressLiteral(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}

// traceToken makes a stranger's word safe in a trace field: what could end a token, a comment or the line reads as "?".
func traceToken(word, empty string) string {
	word = CleanText(word, 255)
	if word == "" {
		return empty
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ()<>,;\\\"", r) {
			return '?'
		}
		return r
	}, word)
}
