package digest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"gatepost/gateway"
)

// News is what a mail about linked addresses says.
type News uint8

// The news.
const (
	LinkAsked News = iota // with a link by which the owner proves that he reads the address
	LinkMade              // to both
	LinkEnded             // to both
)

// LinkMail is a mail about a further address that a user sees as his own.
type LinkMail struct {
	Host           string // of the gateway, for the Message-ID
	To             gateway.Address
	Language       string
	Date           time.Time
	News           News
	Owner, Address string        // who sees what is held back for the address
	By             string        // who ended it; "" for an administrator
	Link           string        // of LinkAsked; of the others the address of the pages
	Valid          time.Duration // of the link
}

// linkWords are subject and text of each of the news: the text gets owner, address, link, minutes and who ended it.
func linkWords(language string) [LinkEnded + 1][2]string {
	const page = "\r\n\r\n%[3]s\r\n"
	if language == "de" {
		return [...][2]string{
			{"Adresse verknüpfen", "%[1]s möchte sehen, was für %[2]s zurückgehalten wird. Wer beide Adressen hat, meldet sich als %[1]s an und öffnet diesen Link:" + page +
				"\r\nEr gilt einmal und %[4]d Minuten lang, und nur für den, der als %[1]s angemeldet ist. Waren Sie es nicht, ist nichts zu tun. Geben Sie ihn nicht weiter.\r\n"},
			{"Adresse verknüpft", "%[1]s sieht jetzt, was für %[2]s zurückgehalten wird, gibt es frei und ändert die Listen von %[2]s. Jede der beiden Adressen kann das jederzeit beenden:" + page},
			{"Verknüpfung beendet", "%[1]s sieht nicht mehr, was für %[2]s zurückgehalten wird. Beendet durch: %[5]s" + page},
		}
	}
	return [...][2]string{
		{"Link your address", "%[1]s asks to see what is held back for %[2]s. Whoever has both addresses logs in as %[1]s and opens this link:" + page +
			"\r\nIt can be used once, for %[4]d minutes, and only by who is logged in as %[1]s. If it was not you, do nothing. Do not pass it on.\r\n"},
		{"Address linked", "%[1]s now sees what is held back for %[2]s, releases it, and changes the lists of %[2]s. Either address can end that at any time:" + page},
		{"Linked address removed", "%[1]s no longer sees what is held back for %[2]s. Ended by: %[5]s" + page},
	}
}

// Make writes it, whole, with CRLF; see Mail.Make.
func (m *LinkMail) Make() (text []byte, utf8 bool) {
	words, by := linkWords(m.Language)[m.News], m.By
	if by == "" {
		by = cmp.Or(map[string]string{"de": "Ihren Administrator"}[m.Language], "your administrator")
	}
	body := fmt.Sprintf(words[1], m.Owner, m.Address, m.Link, int(m.Valid/time.Minute), by)
	return plainMail(m.Host, m.To, m.Date, words[0], "link", body)
}

// plainMail writes a mail of one text to an address, from the postmaster of its domain.
func plainMail(host string, to gateway.Address, date time.Time, subject, kind, body string) (text []byte, utf8 bool) {
	from := "postmaster@" + to.Domain
	var b bytes.Buffer
	head(&b, date, from, to.Text, subject, kind+"."+hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(Random())))+"@"+host)
	part(&b, "plain", body)
	return b.Bytes(), !ascii(to.Text) || !ascii(from)
}
