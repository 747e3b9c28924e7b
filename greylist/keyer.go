package greylist

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// Keyer makes keys. It never prints the key of the installation. It is safe for concurrent use.
type Keyer struct {
	macs sync.Pool // of *mac: the key stands in its New and in the states of the hashes only
}

type mac struct {
	hash hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// LeastKey is the least length of an installation's key, in octets.
const LeastKey = 16

// The longest text that is kept for the next key.
const keepText = 4096

// NewKeyer returns the keyer of an installation, of whose nodes each has the same key. Another key forgets everything that
// stores remember. The key should be 32 random octets; one shorter than LeastKey is an error, since addresses can be
// guessed, and only the key keeps a store's keys from telling whether a guess was right.
func NewKeyer(key []byte) (*Keyer, error) {
	if len(key) < LeastKey {
		return nil, fmt.Errorf("greylist: the key has %d octets, fewer than %d", len(key), LeastKey)
	}
	own := append([]byte(nil), key...)
	k := &Keyer{}
	k.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, own)} }
	return k, nil
}

// Tag returns the tag of an identity.
func (k *Keyer) Tag(id Identity) Tag {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	m.text = append(m.text[:0], id...)
	return Tag(m.sign('i')[:len(Tag{})])
}

// Key returns the key of a pair: the addresses of MAIL FROM and RCPT TO without angle brackets, "" being the null sender.
// The sender is as AppendSender makes it; of the recipient, only case does not count.
func (k *Keyer) Key(id Identity, sender, recipient string) Key {
	key := Key{Tag: k.Tag(id)}
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	// Each part is preceded by its length, or two addresses could be cut in another place and be the same.
	m.text = binary.BigEndian.AppendUint32(m.text[:0], uint32(len(id)))
	m.text = append(m.text, id...)
	m.text = append(m.text, 0, 0, 0, 0)
	start := len(m.text)
	m.text = AppendSender(m.text, sender)
	binary.BigEndian.PutUint32(m.text[start-4:], uint32(len(m.text)-start))
	m.text = appendLower(m.text, strings.TrimRight(recipient, "."))
	copy(key.Pair[:], m.sign('p'))
	return key
}

// sign returns the HMAC of a kind and the text, until the next.
func (m *mac) sign(kind byte) []byte {
	m.hash.Reset()
	m.text = append(m.text, kind)
	m.hash.Write(m.text)
	if cap(m.text) > keepText {
		m.text = nil
	}
	return m.hash.Sum(m.sum[:0])
}
