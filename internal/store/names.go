package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"strings"
)

// Names are the pseudonyms of addresses: the same address has the same one as long as the key is, and nobody without the key finds
// the address of one, but by guessing with it. The zero value has no key; use NewNames.
type Names struct{ key []byte }

// NewNames makes the pseudonyms of a key, which is a secret of the installation. The key is not kept.
func NewNames(key []byte) *Names {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("gatepost pseudonyms 1"))
	return &Names{h.Sum(nil)}
}

// A pseudonym stands where a local part did: a tilde and the first 80 bits of the hash. Mail to it could be sent; nobody is there.
const (
	nameMark   = '~'
	nameDigits = 16
)

// hash is what stands for a text.
func (n *Names) hash(kind, text string) string {
	h := hmac.New(sha256.New, n.key)
	h.Write([]byte(kind + "\n" + text))
	return string(nameMark) + strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil))[:nameDigits])
}

// Address is the pseudonym of an address: its local part is hashed, in lower case, and its domain stays. What has no local part
// stays as it is, and a pseudonym does.
func (n *Names) Address(text string) string {
	key := addressKey(text)
	at := strings.LastIndexByte(key, '@')
	if at <= 0 || hashed(key[:at]) {
		return key
	}
	return n.hash("address", key) + key[at:]
}

// messageID is the pseudonym of a Message-ID, which often tells a machine or a user.
func (n *Names) messageID(key string) string {
	if key == "" || hashed(key) {
		return key
	}
	return n.hash("message-id", key)
}

// hashed reports whether a text is a hash of ours, or looks like one.
func hashed(s string) bool {
	return len(s) == nameDigits+1 && s[0] == nameMark && strings.Trim(s[1:], "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// The networks that stay of a client's address.
const (
	bits4 = 24
	bits6 = 56
)

// networkOf is the network of an address, as the address with which it begins.
func networkOf(a netip.Addr) netip.Addr {
	bits := bits6
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = bits4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}

// named is what is wanted as it is looked for where addresses have pseudonyms: each that is known in whole by its own, and a client
// by its network.
func (w *wanted) named(n *Names) *wanted {
	out := *w
	if n != nil {
		for _, a := range []*wantedAddress{&out.from, &out.to} {
			if a.how == exact {
				a.key = n.Address(a.key)
			}
		}
		out.messageID = n.messageID(out.messageID)
	}
	if w.client {
		keep := bits6
		if mapped := netip.AddrFrom16(w.first); mapped.Is4In6() {
			keep = 128 - 32 + bits4
		}
		for i := keep; i < 128; i++ {
			out.first[i/8] &^= 1 << (7 - i%8)
			out.last[i/8] |= 1 << (7 - i%8)
		}
	}
	return &out
}
