package accounts

import (
	"encoding/base64"
	"encoding/binary"
	"time"
)

// longestTicket is how many octets of text a ticket may have.
const longestTicket = 4096

// ticket seals what a ceremony needs to go on, so that the store keeps nothing of it: for one use, and for a while.
func (a *Accounts) ticket(content []byte, use string, lives time.Duration) string {
	over := binary.BigEndian.AppendUint64(nil, uint64(clock().Add(lives).Unix()))
	return base64.RawURLEncoding.EncodeToString(a.sealer.seal(append(over, content...), use))
}

// opened is what ticket sealed for the same use. over is said of a ticket that is over, or of another use.
func (a *Accounts) opened(ticket, use, over string) ([]byte, error) {
	sealed, err := ticketBytes(ticket)
	if err != nil {
		return nil, err
	}
	plain, err := a.sealer.open(sealed, use)
	if err != nil || len(plain) < 8 || clock().Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, bad("ticket", "%s", over)
	}
	return plain[8:], nil
}

func ticketBytes(s string) ([]byte, error) {
	if len(s) > longestTicket {
		return nil, bad("ticket", "is too long")
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, bad("ticket", "cannot be read")
	}
	return b, nil
}
