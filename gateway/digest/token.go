package digest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"gatepost/gateway"
)

// Action is what a token is for.
type Action uint8

// The actions. Zero is none, and no token has it.
const (
	Release Action = 1 // a message, once
	Login   Action = 2 // the pages of a user, once: what a link in a mail to him holds
	Session Action = 3 // the pages of a user, until it ends: what his browser holds
	Link    Action = 4 // see a further address, once: what a link in a mail to that address holds
)

// Token is what a link lets its holder do.
type Token struct {
	ID      gateway.ID // of the message; for all but Release a random number
	Rcpt    string     // the recipient, as the quarantine names him
	Owner   string     // of a Link: the user who asked for it; "" for all others
	Further string     // of a Session: other addresses that were proved at the login, with a NUL between each two; "" for none
	Action  Action
	Expires time.Time // to the second
}

// Why a token is none. What a stranger made up and what was changed on its way are the same.
var (
	ErrForged  = errors.New("digest: not a token of ours")
	ErrExpired = errors.New("digest: the token has expired")
)

// A token is, in base64 for addresses of pages (RFC 4648 section 5): version, action, id, expiry in Unix seconds, recipient,
// and the HMAC-SHA256 of all before it. Behind the recipient of a Link there is a NUL and its owner, behind that of
// a Session a NUL and further addresses where there are any.
const (
	tokenVersion = 1
	tokenFixed   = 1 + 1 + 8 + 8
	maxRcpt      = 320
	maxFurther   = MaxFurther * (maxRcpt/4 + 1)
	maxToken     = (tokenFixed + maxRcpt + 1 + maxFurther + sha256.Size + 2) / 3 * 4
)

// MaxFurther is how many further addresses a Session has room for, if they are not uncommonly long: see JoinFurther.
const MaxFurther = 15

// JoinFurther writes further addresses for a Session, as many from the first on as there is room for, and says how many those are.
func JoinFurther(addresses []string) (further string, n int) {
	for n < min(len(addresses), MaxFurther) {
		next := addresses[n]
		if n > 0 {
			next = "\x00" + next
		}
		if len(further)+len(next) > maxFurther {
			break
		}
		further += next
		n++
	}
	return further, n
}

// SplitFurther is the opposite of JoinFurther.
func SplitFurther(further string) []string {
	if further == "" {
		return nil
	}
	return strings.Split(further, "\x00")
}

// KeySize is how long a key is, in octets.
const KeySize = 32

// Make writes a token. It is the same for the same words.
func Make(key []byte, t *Token) string {
	b := make([]byte, 0, tokenFixed+len(t.Rcpt)+sha256.Size)
	b = append(b, tokenVersion, byte(t.Action))
	b = binary.BigEndian.AppendUint64(b, uint64(t.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix()))
	b = append(b, t.Rcpt...)
	if t.Action == Link {
		b = append(append(b, 0), t.Owner...)
	}
	if t.Action == Session && t.Further != "" {
		b = append(append(b, 0), t.Further...)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, sign(key, b)...))
}

// Read reads a token for an action: one for another is none. Nothing of it is believed before its signature was compared, in constant time. Beside ErrExpired it is
// returned, so that its holder can be told what it was for.
func Read(key []byte, text string, want Action, now time.Time) (*Token, error) {
	if len(text) > maxToken || len(key) != KeySize {
		return nil, ErrForged
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) <= tokenFixed+sha256.Size || base64.RawURLEncoding.EncodeToString(b) != text { // the decoder skips line breaks
		return nil, ErrForged
	}
	said, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(mac, sign(key, said)) || said[0] != tokenVersion || Action(said[1]) != want {
		return nil, ErrForged
	}
	t := &Token{Action: Action(said[1]), ID: gateway.ID(binary.BigEndian.Uint64(said[2:])), Rcpt: string(said[tokenFixed:]),
		Expires: time.Unix(int64(binary.BigEndian.Uint64(said[10:])), 0).UTC()}
	switch t.Action {
	case Link:
		t.Rcpt, t.Owner, _ = strings.Cut(t.Rcpt, "\x00")
	case Session:
		t.Rcpt, t.Further, _ = strings.Cut(t.Rcpt, "\x00")
	}
	if len(t.Rcpt) > maxRcpt || len(t.Further) > maxFurther || len(t.Owner) > maxRcpt || (t.Owner != "") != (t.Action == Link) || !utf8.ValidString(t.Owner) || !utf8.ValidString(t.Rcpt) {
		return nil, ErrForged
	}
	if !now.Before(t.Expires) {
		return t, ErrExpired
	}
	return t, nil
}

// sign is the HMAC of what a token says. The words in front keep what else the key may come to sign apart.
func sign(key, said []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("gatepost quarantine link\x00"))
	h.Write(said)
	return h.Sum(nil)
}
