package accounts

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// newToken makes a secret of 256 bits for a session.
func newToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// newID makes a name for a thing that is no secret.
func newID() string { return strings.ToLower(rand.Text())[:16] }

// isID reports whether a text can be one of newID.
func isID(text string) bool {
	return len(text) == 16 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// digestOf is what the store has of a secret. what keeps secrets of one use from being taken for another's.
func digestOf(what, secret string) Digest {
	return sha256.Sum256([]byte("gatepost " + what + "\x00" + secret))
}

// newCode makes a code that people copy: 80 bits in four groups of four letters and digits.
func newCode() string {
	s := strings.ToLower(rand.Text())[:16]
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
}

// plainCode is a code as its digest is made of: without what people put between and in another case. ok is false where it
// cannot be one.
func plainCode(text string) (string, bool) {
	if len(text) > 64 {
		return "", false
	}
	s := strings.Map(func(c rune) rune {
		switch {
		case c == '-' || c == ' ' || c == '\t' || c == '\n' || c == '\r':
			return -1
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case c >= 'a' && c <= 'z' || c >= '2' && c <= '7':
			return c
		case c == '0':
			return 'o'
		case c == '1':
			return 'l'
		}
		return '?'
	}, text)
	return s, len(s) == 16 && !strings.Contains(s, "?")
}

// recoveryCodes is how many are made.
const recoveryCodes = 10

// newRecovery makes recovery codes and what the store keeps of them.
func newRecovery(user string) (codes []string, digests []Digest) {
	for range recoveryCodes {
		c := newCode()
		plain, _ := plainCode(c)
		codes, digests = append(codes, c), append(digests, digestOf("recovery "+user, plain))
	}
	return codes, digests
}

// tokenPrefix begins each token of the API, so that scanners of sources find one that somebody left behind.
const tokenPrefix = "gp_"

// newAPIToken makes a token of 260 bits.
func newAPIToken() string { return tokenPrefix + strings.ToLower(rand.Text()+rand.Text()) }

// Bearer returns the token of an Authorization field (RFC 6750 section 2.1), if it is one of ours.
func Bearer(header string) (token string, ok bool) {
	const scheme = "bearer "
	if len(header) != len(scheme)+len(tokenPrefix)+52 || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", false
	}
	token = header[len(scheme):]
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	for _, c := range []byte(rest) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '2' && c <= '7')
	}
	return token, ok
}
