package accept

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"gatepost/gateway"
)

// Names makes the names of messages for the ledger under a key. The content goes into them by GMAC of its pieces (NIST SP
// 800-38D, over AES-256 with one nonce), which costs a fifth of SHA-256: as long as neither the key nor a tag becomes known, and
// only their SHA-256 leaves here, nobody can make two contents of one name. nil is a way without a key: SHA-256 of all.
type Names struct {
	sum   cipher.AEAD
	nonce []byte // always the same
}

// piece is how much of a content has one tag, in octets: all nodes and all versions must agree on it.
const piece = 64 << 10

// NewNames makes names under the key of the installation, or of all its nodes.
func NewNames(key []byte) (*Names, error) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("names of messages"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	sum, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Names{sum: sum, nonce: make([]byte, sum.NonceSize())}, nil
}

// content takes in what stands behind the header section. What lies in memory is read where it lies. room is for a tag.
func (n *Names) content(h hash.Hash, e *gateway.Envelope, room []byte) error {
	if m, is := e.Body.(gateway.InMemory); is {
		if all := m.Memory(); all != nil {
			n.octets(h, all[e.Header.BodyStart:], room)
			return nil
		}
	}
	rest := gateway.Rest(e.Body, e.Header.BodyStart)
	if n == nil {
		_, err := io.Copy(h, rest)
		return err
	}
	buffer := make([]byte, piece)
	for {
		got, err := io.ReadFull(rest, buffer)
		n.octets(h, buffer[:got], room)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// octets takes in some pieces and, at the end of the content, less than one.
func (n *Names) octets(h hash.Hash, b, room []byte) {
	if n == nil {
		h.Write(b)
		return
	}
	for len(b) > 0 {
		some := b[:min(piece, len(b))]
		h.Write(n.sum.Seal(room[:0], n.nonce, nil, some))
		b = b[len(some):]
	}
}
