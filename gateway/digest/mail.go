package digest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// Most is how many messages a digest lists; of more it tells how many there are.
const Most = 100

// Mail is a digest. All in it that strangers wrote is made safe when it is written.
type Mail struct {
	Host     string // of the gateway, for the Message-ID
	From     string // the address of the field From, of the recipient's domain
	To       string
	Language string // one of Languages; any other is "en"
	Date     time.Time
	Zone     *time.Location // of the times in it; nil is UTC
	Rows     []quarantine.Row
	More     int // that are not in Rows
	// Link makes the link of a message, nil for none: it is asked for messages that the recipient may release only.
	Link  func(id gateway.ID) string
	Until time.Time // when the links end
}

// Make writes the digest, whole, with CRLF. UTF8 says that it needs SMTPUTF8, as its recipient does.
func (m *Mail) Make() (text []byte, utf8 bool) {
	w := wordsOf(m.Language)
	name := m.name()
	boundary := "=_digest_" + name // never in quoted-printable, where = is followed by a hexadecimal digit
	subject := w.one
	if n := len(m.Rows) + m.More; n != 1 {
		subject = fmt.Sprintf(w.many, n)
	}
	var b bytes.Buffer
	head(&b, m.Date, m.From, m.To, subject, "digest."+name+"@"+m.Host)
	b.WriteString("Content-Type: multipart/alternative; boundary=\"" + boundary + "\"\r\n\r\n")
	for _, p := range [...]struct{ kind, text string }{{"plain", m.plain(w)}, {"html", m.html(w)}} {
		b.WriteString("--" + boundary + "\r\n")
		part(&b, p.kind, p.text)
		b.WriteString("\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.Bytes(), !ascii(m.To) || !ascii(m.From)
}

// head writes the fields that mails to users have, but for Content-Type.
func head(b *bytes.Buffer, date time.Time, from, to, subject, id string) {
	line := func(field, value string) { b.WriteString(field + ": " + value + "\r\n") }
	line("Date", date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	line("From", "Quarantine <"+from+">")
	line("To", "<"+to+">")
	line("Subject", mime.QEncoding.Encode("utf-8", subject))
	line("Message-ID", "<"+id+">")
	line("Auto-Submitted", "auto-generated")
	line("MIME-Version", "1.0")
}

// part writes text of a kind in quoted-printable, with its fields.
func part(b *bytes.Buffer, kind, text string) {
	b.WriteString("Content-Type: text/" + kind + "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	q := quotedprintable.NewWriter(b)
	_, _ = io.WriteString(q, text) // a buffer takes all
	_ = q.Close()
}

func ascii(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > 126 }) < 0 }

// name is the same for the same recipient and messages: so whoever gets a digest twice can tell.
func (m *Mail) name() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%d", m.To, m.More)
	for i := range m.Rows {
		fmt.Fprintf(h, "\x00%d", m.Rows[i].ID)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Entry is a message as it is told of, in words, with all that strangers wrote made safe to be shown as text.
type Entry struct {
	When, Envelope, Shown, Why, Reference string

	link string
}

// EntryOf words a message. A nil zone is UTC.
func EntryOf(language string, zone *time.Location, r *quarantine.Row) Entry {
	w := wordsOf(language)
	if zone == nil {
		zone = time.UTC
	}
	return Entry{When: r.Arrived.In(zone).Format(w.layout), Envelope: cmp.Or(plain(r.From, 100), w.null), Shown: cmp.Or(shown(r.Author), w.null), Why: w.class[r.Class], Reference: r.ID.String()}
}

func (m *Mail) entries() []Entry {
	out := make([]Entry, 0, len(m.Rows))
	for i := range m.Rows {
		e := EntryOf(m.Language, m.Zone, &m.Rows[i])
		if m.Link != nil && m.Rows[i].Class.UserMay() {
			e.link = m.Link(m.Rows[i].ID)
		}
		out = append(out, e)
	}
	return out
}

// shown is the address of a field From: not the name beside it, which is what deceives.
func shown(author string) string {
	list, err := mail.ParseAddressList(author)
	if err != nil {
		return plain(author, 100)
	}
	var all []string
	for _, a := range list {
		all = append(all, a.Address)
	}
	return plain(strings.Join(all, ", "), 100)
}

// plain is text of strangers that shows what it is. What programs would make a link of, in text of strangers, they do not find:
// there is no scheme and no www. in it.
func plain(text string, most int) string {
	return strings.NewReplacer("://", ":?/", "www.", "www?").Replace(gateway.ShowText(text, most))
}

// pairs are what is told of a message besides its link.
func (e *Entry) pairs(w *words) [5][2]string {
	return [...][2]string{{w.date, e.When}, {w.envelope, e.Envelope}, {w.shown, e.Shown}, {w.why, e.Why}, {w.reference, e.Reference}}
}

// end are the lines below the list.
func (m *Mail) end(w *words) (out []string) {
	if m.More > 0 {
		out = append(out, fmt.Sprintf(w.more, m.More))
	}
	if m.Link != nil {
		zone := m.Zone
		if zone == nil {
			zone = time.UTC
		}
		out = append(out, fmt.Sprintf(w.until, m.Until.In(zone).Format(w.layout)))
	}
	return append(out, w.close)
}

func (m *Mail) plain(w *words) string {
	var b strings.Builder
	b.WriteString(fmt.Sprintf(w.intro, plain(m.To, maxRcpt)) + "\n")
	for _, e := range m.entries() {
		b.WriteByte('\n')
		for _, p := range e.pairs(w) {
			b.WriteString(p[0] + ": " + p[1] + "\n")
		}
		if e.link == "" {
			b.WriteString(w.ask + "\n")
			continue
		}
		b.WriteString(w.release + ": " + e.link + "\n")
	}
	for _, line := range m.end(w) {
		b.WriteString("\n" + line + "\n")
	}
	return b.String()
}

// How the parts of the HTML look. Mail programs know no style but that of each element.
const (
	styleBody  = ` style="font-family:sans-serif;font-size:15px;line-height:1.45;max-width:640px;margin:0;padding:8px"`
	styleRule  = ` style="border:0;border-top:1px solid #cccccc;margin:16px 0"`
	styleName  = ` style="padding:2px 14px 2px 0;vertical-align:top;white-space:nowrap;color:#666666"`
	styleValue = ` style="padding:2px 0;vertical-align:top;word-break:break-word"`
	styleLink  = ` style="display:inline-block;padding:8px 18px;border-radius:5px;background:#0b5cad;color:#ffffff;text-decoration:none"`
)

// html has no script, no image and no address but that of the links.
func (m *Mail) html(w *words) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head><body" + styleBody +
		">\n<p>" + html.EscapeString(fmt.Sprintf(w.intro, plain(m.To, maxRcpt))) + "</p>\n")
	for _, e := range m.entries() {
		b.WriteString("<hr" + styleRule + ">\n<table>\n")
		for _, p := range e.pairs(w) {
			b.WriteString("<tr><td" + styleName + ">" + html.EscapeString(p[0]) + "</td><td" + styleValue + "><bdi>" + html.EscapeString(p[1]) + "</bdi></td></tr>\n")
		}
		b.WriteString("</table>\n")
		if e.link == "" {
			b.WriteString("<p>" + html.EscapeString(w.ask) + "</p>\n")
			continue
		}
		b.WriteString("<p><a href=\"" + html.EscapeString(e.link) + "\"" + styleLink + ">" + html.EscapeString(w.release) + "</a></p>\n")
	}
	b.WriteString("<hr" + styleRule + ">\n")
	for _, line := range m.end(w) {
		b.WriteString("<p>" + html.EscapeString(line) + "</p>\n")
	}
	return b.String() + "</body></html>\n"
}
