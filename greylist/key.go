package greylist

import (
	"encoding/base64"
	"errors"
)

// Tag stands for an identity: 48 bits of an HMAC. Two identities with one tag share their passes, which costs nothing:
// nobody without the installation's key can find two.
type Tag [6]byte

// Key stands for a pair of sender and recipient, of an identity: 120 bits of HMACs. It is comparable, and tells nobody
// without the installation's key who they are.
type Key struct {
	Tag  Tag
	Pair [9]byte
}

// The lengths of the texts of a Tag and a Key. The first octets of a Key's text are its Tag's.
const (
	TagText = 8
	KeyText = 20
)

// String returns the tag as TagText letters of base64url (RFC 4648 section 5).
func (t Tag) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// AppendText appends the key as KeyText letters: its tag, then its pair.
func (k Key) AppendText(b []byte) ([]byte, error) {
	b = base64.RawURLEncoding.AppendEncode(b, k.Tag[:])
	return base64.RawURLEncoding.AppendEncode(b, k.Pair[:]), nil
}

// String returns the key as KeyText letters.
func (k Key) String() string {
	var room [KeyText]byte
	b, _ := k.AppendText(room[:0])
	return string(b)
}

var errKey = errors.New("greylist: not a key: 20 letters, digits, - and _")
var errTag = errors.New("greylist: not the tag of an identity: 8 letters, digits, - and _")

// ParseKey reads what String wrote.
func ParseKey(text string) (Key, error) {
	var k Key
	if len(text) != KeyText || !decode(k.Tag[:], text[:TagText]) || !decode(k.Pair[:], text[TagText:]) {
		return Key{}, errKey
	}
	return k, nil
}

// ParseTag reads what String wrote.
func ParseTag(text string) (Tag, error) {
	var t Tag
	if len(text) != TagText || !decode(t[:], text) {
		return Tag{}, errTag
	}
	return t, nil
}

// decode fills all of b, whose length is a multiple of three, so that each text has one reading. The decoder skips line
// ends, which leave b short.
func decode(b []byte, text string) bool {
	n, err := base64.RawURLEncoding.Decode(b, []byte(text))
	return err == nil && n == len(b)
}
