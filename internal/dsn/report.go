package dsn

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strconv"
	"strings"
	"time"
)

// Report is what a notice tells.
type Report struct {
	Hostname  string // our name: the Reporting-MTA, and the domain of the notice's author
	Language  string // "en", "de", "fr", "es", "it", "pt", "nl", "pl"; any other is English
	Reference string // letters, digits and hyphens: it is part of the Message-ID
	To        string // the reverse-path of the message, as on the wire
	UTF8      bool   // its transaction was one of SMTPUTF8: who sent it takes RFC 6533
	Arrived   time.Time
	Date      time.Time // of the notice
	EnvID     string    // as MAIL had it, in xtext; "" for none
	Rcpts     []Rcpt    // at least one
	Full      bool      // RET=FULL
	Drop      []string  // what names of fields begin with that are left out of what is returned, in any case
	Only      []string  // with what a field must begin to be returned, in any case; nil: with anything. Beside it Full counts for nothing
	Message   io.Reader // the message as it came; no more is read than the notice can hold
}

// Rcpt is one recipient to whom the message was not delivered.
type Rcpt struct {
	Final    string // the address that was tried, as on the wire
	Original string // as RCPT had it: address type, semicolon, xtext; "" for none
	Status   string // RFC 3463, "5.1.1"
	Code     int    // of Said
	Said     string // the answer of the next hop, without the names of inner hosts; "" where there was none
	LastTry  time.Time
}

// Notice is a mail that is ready to be sent, with the null reverse-path.
type Notice struct {
	Mail []byte // lines ended by CRLF
	UTF8 bool   // it needs SMTPUTF8 and 8BITMIME; else all of it is 7 bit
}

// Bounds of what a notice repeats, in octets.
const (
	maxCopy = 64 << 10 // of a header section or a message
	maxLine = 998      // RFC 5322 section 2.1.1
	maxSaid = 900
)

// Make writes the notice. Its error is one of reading the message.
func (r *Report) Make() (Notice, error) {
	head, all, err := r.read()
	if err != nil {
		return Notice{}, fmt.Errorf("notice: the message: %w", err)
	}
	n := Notice{UTF8: r.UTF8 && r.international()}
	text, status := r.text(), r.status(n.UTF8)
	returned := r.returned(head, all, n.UTF8)
	boundary := "=_notice_" + r.Reference
	for i := 0; bytes.Contains(status, []byte(boundary)) || bytes.Contains(returned, []byte(boundary)) || bytes.Contains(text, []byte(boundary)); i++ {
		boundary = "=_notice_" + r.Reference + "_" + strconv.Itoa(i)
	}
	var b bytes.Buffer
	r.header(&b, boundary)
	part := func(content []byte) {
		if len(content) > 0 {
			b.WriteString("--" + boundary + "\r\n")
			b.Write(content)
			b.WriteString("\r\n")
		}
	}
	part(text)
	part(status)
	part(returned)
	b.WriteString("--" + boundary + "--\r\n")
	n.Mail = b.Bytes()
	return n, nil
}

// header writes the header section of the notice. Auto-Submitted keeps the vacation notices of others away (RFC 3834).
func (r *Report) header(b *bytes.Buffer, boundary string) {
	w := r.words()
	line := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	line("From", "Mail Delivery System <postmaster@"+r.Hostname+">")
	line("To", "<"+r.To+">")
	line("Subject", mime.QEncoding.Encode("utf-8", w.Subject))
	line("Date", date(r.Date))
	line("Message-ID", "<"+r.Reference+".notice@"+r.Hostname+">")
	line("Auto-Submitted", "auto-replied")
	line("MIME-Version", "1.0")
	line("Content-Type", "multipart/report; report-type=delivery-status;\r\n\tboundary=\""+boundary+"\"")
	b.WriteString("\r\n")
}

func date(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }

func (r *Report) words() words {
	if w, ok := languageOf(r.Language); ok {
		return w
	}
	w, _ := languageOf(english)
	return w
}

// text is the part for people: in the language asked for, and below it in English.
func (r *Report) text() []byte {
	var b strings.Builder
	r.say(&b, r.words())
	if e, _ := languageOf(english); e != r.words() {
		b.WriteString("\n-- English --\n\n")
		r.say(&b, e)
	}
	return append([]byte("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"), quoted([]byte(b.String()))...)
}

func (r *Report) say(b *strings.Builder, w words) {
	fmt.Fprintf(b, w.Lead+"\n\n", r.Arrived.UTC().Format("2006-01-02 15:04 UTC"))
	for i := range r.Rcpts {
		to := &r.Rcpts[i]
		fmt.Fprintf(b, "    <%s>\n", clean(to.Final, maxLine, true))
		if said := to.said(); said != "" {
			fmt.Fprintf(b, "    %s\n        %s\n", w.Answer, said)
		} else {
			fmt.Fprintf(b, "    %s\n", w.Late)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, w.Over+"\n", r.Reference)
}

// said is the answer in one line, with its code.
func (to *Rcpt) said() string {
	text := strings.Join(strings.Fields(clean(to.Said, maxSaid, false)), " ")
	if to.Code > 0 {
		text = strings.TrimSpace(strconv.Itoa(to.Code) + " " + text)
	}
	return text
}

// status is the part for programs (RFC 3464 section 2).
func (r *Report) status(utf8 bool) []byte {
	var b bytes.Buffer
	if utf8 {
		b.WriteString("Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	} else {
		b.WriteString("Content-Type: message/delivery-status\r\n\r\n")
	}
	line := func(name, value string) {
		if value != "" {
			b.WriteString(fold(name+": "+value) + "\r\n")
		}
	}
	if id, ok := fromXtext(r.EnvID); ok {
		line("Original-Envelope-Id", id)
	}
	line("Reporting-MTA", "dns; "+r.Hostname)
	line("Arrival-Date", date(r.Arrived))
	for i := range r.Rcpts {
		to := &r.Rcpts[i]
		b.WriteString("\r\n")
		line("Original-Recipient", originalRecipient(to.Original, utf8))
		line("Final-Recipient", addressField(to.Final, utf8))
		line("Action", "failed")
		line("Status", to.status())
		if said := to.said(); said != "" {
			line("Diagnostic-Code", "smtp; "+said)
		}
		if !to.LastTry.IsZero() {
			line("Last-Attempt-Date", date(to.LastTry))
		}
	}
	return b.Bytes()
}

// status is a code of RFC 3463 that says failure, whatever was handed in.
func (to *Rcpt) status() string {
	class, rest, ok := strings.Cut(to.Status, ".")
	subject, detail, two := strings.Cut(rest, ".")
	digits := func(s string) bool { return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == "" }
	if !ok || !two || class != "4" && class != "5" || !digits(subject) || !digits(detail) {
		return "5.0.0"
	}
	return to.Status
}

// quoted is text in quoted-printable.
func quoted(text []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// fold breaks a field at spaces where it is long. A word of endless length was cut before.
func fold(field string) string {
	const most = 76
	var b strings.Builder
	width := 0
	for i, word := range strings.Split(field, " ") {
		switch {
		case i == 0:
		case i > 1 && width+1+len(word) > most:
			b.WriteString("\r\n ")
			width = 1
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}
