package accept

import (
	"crypto/sha256"
	"encoding/binary"

	"gatepost/gateway"
)

// Digest names a message, the same at each attempt of the sender and for each of its recipients: reverse-path, content,
// Message-ID, Date and From, and what else a reader sees another message by, without the trace fields and signatures that
// change between attempts. ok is false for mail without Message-ID or Date: equal alarms of a device must all arrive. So must
// those of a device that has no clock, always writes one Message-ID, and says what is wrong in the subject.
func (n *Names) Digest(e *gateway.Envelope) (digest [32]byte, ok bool, err error) {
	id, date := e.Header.Get("Message-ID"), e.Header.Get("Date")
	if id == "" || date == "" {
		return digest, false, nil
	}
	h := sha256.New()
	words := make([]byte, 0, 512)
	for _, s := range [...]string{e.From.Key(), id, date, e.Header.Get("From"), e.Header.Get("Subject"), e.Header.Get("To"), e.Header.Get("Content-Type")} {
		words = append(binary.BigEndian.AppendUint64(words, uint64(len(s))), s...)
	}
	h.Write(words)
	if err := n.content(h, e, words[:0]); err != nil {
		return digest, false, err
	}
	h.Sum(digest[:0])
	return digest, true, nil
}
