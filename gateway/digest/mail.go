package digest

import (
	"bytes"
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
	"unicode"
	"unicode/utf8"

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
	line := func(field, value string) { b.WriteString(field + ": " + value + "\r\n") }
	line("Date", m.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	line("From", "Quarantine <"+m.From+">")
	line("To", "<"+m.To+">")
	line("Subject", mime.QEncoding.Encode("utf-8", subject))
	line("Message-ID", "<digest."+name+"@"+m.Host+">")
	line("Auto-Submitted", "auto-generated")
	line("MIME-Version", "1.0")
	line("Content-Type", "multipart/alternative; boundary=\""+boundary+"\"")
	b.WriteString("\r\n")
	for _, p := range [...]struct{ kind, text string }{{"plain", m.plain(w)}, {"html", m.html(w)}} {
		b.WriteString("--" + boundary + "\r\nContent-Type: text/" + p.kind + "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
		q := quotedprintable.NewWriter(&b)
		_, _ = io.WriteString(q, p.text) // a buffer takes all
		_ = q.Close()
		b.WriteString("\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.Bytes(), !ascii(m.To) || !ascii(m.From)
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

// entry is a message as it is told of.
type entry struct {
	when, envelope, shown, why, reference, link string
}

func (m *Mail) entries(w *words) []entry {
	zone := m.Zone
	if zone == nil {
		zone = time.UTC
	}
	out := make([]entry, 0, len(m.Rows))
	for i := range m.Rows {
		r := &m.Rows[i]
		e := entry{when: r.Arrived.In(zone).Format(w.layout), envelope: plain(r.From, 100), shown: shown(r.Author), why: w.class[r.Class], reference: r.ID.String()}
		if e.envelope == "" {
			e.envelope = w.null
		}
		if e.shown == "" {
			e.shown = w.null
		}
		if m.Link != nil && r.Class.UserMay() {
			e.link = m.Link(r.ID)
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

// plain is text of strangers that shows what it is: what is not to be seen, or changes the direction of what is around it, reads
// as "?". What programs would make a link of, in text of strangers, they do not find: there is no scheme and no www. in it.
func plain(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			b.WriteString("...")
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return strings.NewReplacer("://", ":?/", "www.", "www?").Replace(b.String())
}

// pairs are what is told of a message besides its link.
func (e *entry) pairs(w *words) [5][2]string {
	return [...][2]string{{w.date, e.when}, {w.envelope, e.envelope}, {w.shown, e.shown}, {w.why, e.why}, {w.reference, e.reference}}
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
	for _, e := range m.entries(w) {
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

// html has no style, no script, no image and no address but that of the links.
func (m *Mail) html(w *words) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head><body>\n<p>" + html.EscapeString(fmt.Sprintf(w.intro, plain(m.To, maxRcpt))) + "</p>\n")
	for _, e := range m.entries(w) {
		b.WriteString("<hr>\n<table>\n")
		for _, p := range e.pairs(w) {
			b.WriteString("<tr><td>" + html.EscapeString(p[0]) + "</td><td><bdi>" + html.EscapeString(p[1]) + "</bdi></td></tr>\n")
		}
		b.WriteString("</table>\n")
		if e.link == "" {
			b.WriteString("<p>" + html.EscapeString(w.ask) + "</p>\n")
			continue
		}
		b.WriteString("<p><a href=\"" + html.EscapeString(e.link) + "\">" + html.EscapeString(w.release) + "</a></p>\n")
	}
	b.WriteString("<hr>\n")
	for _, line := range m.end(w) {
		b.WriteString("<p>" + html.EscapeString(line) + "</p>\n")
	}
	return b.String() + "</body></html>\n"
}
