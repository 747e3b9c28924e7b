package accept

import (
	"crypto/sha256"
	"encoding/binary"
	"io"

	"gatepost/gateway"
)

// Digest names a message, the same at each attempt of the sender and for each of its recipients: reverse-path, content,
// Message-ID, Date and From, without the trace fields and signatures that change between attempts. ok is false for mail
// without Message-ID or Date: equal alarms of a device must all arrive.
func Digest(e *gateway.Envelope) (digest [32]byte, ok bool, err error) {
	if e.Header.Count("Message-ID") == 0 || e.Header.Count("Date") == 0 {
		return digest, false, nil
	}
	h := sha256.New()
	write := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		io.WriteString(h, s)
	}
	write(e.From.Key())
	for _, name := range [...]string{"Message-ID", "Date", "From"} {
		write(e.Header.Get(name))
	}
	content := io.NewSectionReader(e.Body, e.Header.BodyStart, e.Body.Size()-e.Header.BodyStart)
	if _, err := io.Copy(h, content); err != nil {
		return digest, false, err
	}
	h.Sum(digest[:0])
	return digest, true, nil
}
