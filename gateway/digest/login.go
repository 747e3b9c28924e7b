package digest

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"gatepost/gateway"
)

// Invitation is a mail with a link by which a user logs in.
type Invitation struct {
	Host     string // of the gateway, for the Message-ID
	To       gateway.Address
	Language string
	Date     time.Time
	Link     string
	Valid    time.Duration
}

// Make writes it, whole, with CRLF; see Mail.Make.
func (i *Invitation) Make() (text []byte, utf8 bool) {
	subject, body := "Your link to your quarantine", "Somebody, probably you, asked for a link to the messages that are held back for %s:\r\n\r\n%s\r\n\r\nIt can be used once, for %d minutes. If it was not you, do nothing: nobody else has the link.\r\n"
	if i.Language == "de" {
		subject, body = "Ihr Link zu Ihrer Quarantäne", "Jemand, wahrscheinlich Sie, hat um einen Link zu den Nachrichten gebeten, die für %s zurückgehalten werden:\r\n\r\n%s\r\n\r\nEr gilt einmal und %d Minuten lang. Waren Sie es nicht, ist nichts zu tun: Sonst hat niemand den Link.\r\n"
	}
	return plainMail(i.Host, i.To, i.Date, subject, "login", fmt.Sprintf(body, i.To.Text, i.Link, int(i.Valid/time.Minute)))
}

// Random is a number that nobody guesses, for tokens that are not about a message.
func Random() gateway.ID {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return gateway.ID(binary.BigEndian.Uint64(b[:]))
}
