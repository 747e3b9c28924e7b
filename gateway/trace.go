package gateway

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Received returns our own Received field for the transaction, folded and with its CRLF (RFC 5321 section 4.4, with the
// protocol words of RFC 3848 and RFC 6531). The recipient is named only where there is exactly one, so that no recipient
// learns of another. Scanners are shown the same field, so that they see the right client.
func Received(e *Envelope, at time.Time) string { return string(AppendReceived(nil, e, at)) }

// AppendReceived is Received, appended to b.
func AppendReceived(b []byte, e *Envelope, at time.Time) []byte {
	s := e.Session
	add := func(words ...string) {
		for _, w := range words {
			b = append(b, w...)
		}
	}
	reverse := Evident(e.Findings, EvidenceReverse)
	if reverse == "" {
		reverse = Evident(s.Findings, EvidenceReverse)
	}
	add("Received: from ", traceToken(s.Helo.Name, "unknown"), " (", traceToken(reverse, "unknown"), " ")
	b = appendLiteral(b, s.Client.Addr())
	add(")\r\n")
	if s.TLS.On() {
		b = appendTLS(b, &s.TLS)
	}
	add("\tby ", traceToken(s.Snapshot.Hostname, "localhost"), " (Gatepost) with ", s.Protocol(e.Options.UTF8), " id ", e.ID.String())
	if only := e.only(); only != nil && (!only.Address.UTF8 || e.Options.UTF8) {
		add("\r\n\tfor <", only.Address.Text, ">")
	}
	add(";\r\n\t")
	b = at.AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 -0700")
	return append(b, "\r\n"...)
}

// appendTLS tells of the encryption, in the words of Postfix: others read them.
func appendTLS(b []byte, t *TLS) []byte {
	add := func(words ...string) {
		for _, w := range words {
			b = append(b, w...)
		}
	}
	version := t.Version
	if rest, ok := strings.CutPrefix(version, "TLS"); ok {
		version = "TLSv" + rest
	}
	add("\t(using ", traceToken(version, ""), " with cipher ", traceToken(t.Cipher, ""))
	if bits := t.Bits(); bits > 0 {
		add(" (", strconv.Itoa(bits), " bits)")
	}
	if t.Group != "" {
		add(",\r\n\t group ", traceToken(t.Group, ""))
	}
	add(")\r\n")
	if t.Certificate != "" {
		how := "verified OK"
		if t.Doubt != "" {
			how = "not verified"
		}
		add("\t(Client CN \"", traceComment(CommonName(t.Client)), "\",\r\n\t Issuer \"", traceComment(CommonName(t.Issuer)), "\" (", how, "))\r\n")
	}
	return b
}

// only is the recipient where exactly one was accepted.
func (e *Envelope) only() (only *Recipient) {
	for i := range e.Rcpts {
		if e.Rcpts[i].Accepted() {
			if only != nil {
				return nil
			}
			only = &e.Rcpts[i]
		}
	}
	return only
}

// appendLiteral appends an address as RFC 5321 section 4.1.3 writes it, in brackets.
func appendLiteral(b []byte, a netip.Addr) []byte {
	a = a.Unmap().WithZone("")
	b = append(b, '[')
	if a.Is6() {
		b = append(b, "IPv6:"...)
	}
	if !a.IsValid() {
		return append(b, "invalid IP]"...)
	}
	return append(a.AppendTo(b), ']')
}

// traceComment makes a stranger's words safe within a comment of a trace field: what could end it or the line reads as "?".
func traceComment(words string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("()\\\"", r) {
			return '?'
		}
		return r
	}, CleanText(words, 100))
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
