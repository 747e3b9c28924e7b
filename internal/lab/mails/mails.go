// Package mails makes the messages that the demo and the end-to-end tests send:
// clean mail in the charsets and encodings of the world, and the test patterns of
// the scanners, alone and inside archives.
//
// A message is a function of its Options alone, octet by octet. The patterns are
// put together at run time, so that no scanner objects to these sources or to
// the program. The form is that of RFC 5322 with MIME (RFC 2045 to 2047) and, for
// one of them, RFC 6532. The package never sends anything.
package mails

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"gatepost/internal/lab"
)

// Kind is what is in a message.
type Kind string

// The kinds.
const (
	Clean Kind = "clean"
	Spam  Kind = "spam"  // GTUBE, which spamd scores 1000
	Virus Kind = "virus" // EICAR
	// Doubtful is what no scanner knows: a program in an archive, a link that lies, somebody else's name.
	Doubtful Kind = "doubtful"
)

// Mail is one message with what its envelope needs.
type Mail struct {
	Name     string // short and unique: us-ascii, eicar-zip ...
	Title    string // what it is, for a table
	Kind     Kind
	From, To string // reverse-path and recipient
	EightBit bool   // it has octets over 127: MAIL needs BODY=8BITMIME
	UTF8     bool   // an address or the header has them: MAIL needs SMTPUTF8
	Body     []byte // header and body, lines ended by CRLF
}

// Options say who writes to whom and when.
type Options struct {
	From string    // sender's address; empty: anna@sender.test
	To   string    // recipient's address; empty: post@lab.test
	Date time.Time // zero: now
}

func (o Options) filled() Options {
	if o.From == "" {
		o.From = "anna@sender.test"
	}
	if o.To == "" {
		o.To = "post@lab.test"
	}
	if o.Date.IsZero() {
		o.Date = time.Now()
	}
	return o
}

// All are the messages of the set, in the order of a table: clean, spam, viruses.
func All(o Options) []Mail {
	return []Mail{
		ASCII(o), UTF8EightBit(o), Latin1(o), Japanese(o), UTF8Base64(o), Internationalized(o),
		GTUBE(o), EICAR(o), EICARInZips(o), EICARInTar(o),
	}
}

// header is the fields above the MIME fields.
type header struct {
	name    string // of the message
	from    string // display name, as it stands in the field
	subject string // as it stands in the field
}

// message puts a message together; the body has its MIME fields at its head.
func message(o Options, h header, body string) []byte {
	domain := o.From[strings.LastIndexByte(o.From, '@')+1:]
	var b bytes.Buffer
	fmt.Fprintf(&b, "Date: %s\r\n", o.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	fmt.Fprintf(&b, "From: %s <%s>\r\n", h.from, o.From)
	fmt.Fprintf(&b, "To: <%s>\r\n", o.To)
	fmt.Fprintf(&b, "Subject: %s\r\n", h.subject)
	fmt.Fprintf(&b, "Message-ID: <%s.%d@%s>\r\n", h.name, o.Date.UnixNano(), domain)
	b.WriteString("MIME-Version: 1.0\r\n")
	b.WriteString(body)
	return b.Bytes()
}

// text is a text part: MIME fields, an empty line, and lines ended by CRLF.
func text(charset, encoding, lines string) string {
	return fmt.Sprintf("Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s", charset, encoding, lines)
}

// crlf ends each line by CRLF.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// ASCII is plain mail. It has lines that begin with a dot, which SMTP doubles.
func ASCII(o Options) Mail {
	o = o.filled()
	lines := crlf("Dear Paul,\n\nthe minutes of our meeting on Thursday are in the usual folder.\n" +
		".This line begins with a dot, and the next has nothing else:\n.\n..\n\nShall we talk about them tomorrow at ten?\n\nAnna\n")
	body := message(o, header{"us-ascii", "Anna Berg", "Minutes of Thursday's meeting"}, text("us-ascii", "7bit", lines))
	return Mail{Name: "us-ascii", Title: "clean, US-ASCII", Kind: Clean, From: o.From, To: o.To, Body: body}
}

// UTF8EightBit is UTF-8 as it is, with its header encoded.
func UTF8EightBit(o Options) Mail {
	o = o.filled()
	lines := crlf("Grüß Gott,\n\nкогда приходит поезд? Ο συρμός φτάνει στις δέκα. 列車は十時に着きます。\n\nЖду вас, Анна ☀\n")
	subject := mime.BEncoding.Encode("UTF-8", "Ankunft – прибытие – 到着")
	body := message(o, header{"utf8-8bit", mime.QEncoding.Encode("UTF-8", "Änne Berg"), subject}, text("UTF-8", "8bit", lines))
	return Mail{Name: "utf8-8bit", Title: "clean, UTF-8, 8bit", Kind: Clean, From: o.From, To: o.To, EightBit: true, Body: body}
}

// Latin1 is ISO-8859-1 in quoted-printable.
func Latin1(o Options) Mail {
	o = o.filled()
	var lines strings.Builder
	w := quotedprintable.NewWriter(&lines)
	// Neither can fail on a strings.Builder.
	_, _ = w.Write(latin1("Sehr geehrter Herr Müller,\r\n\r\ndie Straße nach Köln ist für zwei Tage gesperrt; die Umleitung führt über Düren. Déjà vu?\r\n\r\nMit freundlichen Grüßen\r\nÄnne Berg\r\n"))
	_ = w.Close()
	subject := "=?ISO-8859-1?Q?Stra=DFensperrung_K=F6ln?="
	body := message(o, header{"latin1-qp", "=?ISO-8859-1?Q?=C4nne_Berg?=", subject}, text("ISO-8859-1", "quoted-printable", lines.String()))
	return Mail{Name: "latin1-qp", Title: "clean, ISO-8859-1, quoted-printable", Kind: Clean, From: o.From, To: o.To, Body: body}
}

// latin1 writes each character, all of which are below U+0100, as one octet.
func latin1(s string) []byte {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

// Japanese is ISO-2022-JP (RFC 1468), a 7-bit charset with escape sequences.
func Japanese(o Options) Mail {
	o = o.filled()
	// JIS X 0208 of "konnichiwa" in hiragana, and of "nihongo" in kanji.
	hello, nihongo := "\x1b$B$3$s$K$A$O\x1b(B", "\x1b$BF|K\\8l\x1b(B"
	lines := hello + "\r\n\r\nThis line and the one above are " + nihongo + ".\r\n\r\nAnna\r\n"
	subject := "=?ISO-2022-JP?B?" + base64.StdEncoding.EncodeToString([]byte(nihongo)) + "?="
	body := message(o, header{"iso-2022-jp", "Anna Berg", subject}, text("ISO-2022-JP", "7bit", lines))
	return Mail{Name: "iso-2022-jp", Title: "clean, ISO-2022-JP", Kind: Clean, From: o.From, To: o.To, Body: body}
}

// UTF8Base64 is UTF-8 text and HTML in base64, as many programs write them.
func UTF8Base64(o Options) Mail {
	o = o.filled()
	const boundary = "=_alternative_7f3a"
	part := func(kind, content string) string {
		return "--" + boundary + "\r\nContent-Type: " + kind + "; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrapped([]byte(content))
	}
	const said = "Olá Paulo, a reunião de quinta-feira começa às dez. Até amanhã! Ana"
	body := message(o, header{"utf8-base64", "Anna Berg", mime.BEncoding.Encode("UTF-8", "Reunião de quinta-feira")},
		"Content-Type: multipart/alternative; boundary=\""+boundary+"\"\r\n\r\n"+
			part("text/plain", said+"\r\n")+
			part("text/html", "<!DOCTYPE html>\r\n<html><head><title>Reunião</title></head><body><p>"+said+"</p></body></html>\r\n")+
			"--"+boundary+"--\r\n")
	return Mail{Name: "utf8-base64", Title: "clean, UTF-8, base64, text and HTML", Kind: Clean, From: o.From, To: o.To, Body: body}
}

// Internationalized is mail from an address that is not ASCII, its header in
// UTF-8 (RFC 6532). Its sender has the domain of Options.From.
func Internationalized(o Options) Mail {
	o = o.filled()
	o.From = "änne.грин" + o.From[strings.LastIndexByte(o.From, '@'):]
	body := message(o, header{"smtputf8", "Änne Грин", "Grüße aus Köln"}, text("UTF-8", "8bit", crlf("Schöne Grüße!\n\nÄnne\n")))
	return Mail{
		Name: "smtputf8", Title: "clean, address and header in UTF-8", Kind: Clean,
		From: o.From, To: o.To, EightBit: true, UTF8: true, Body: body,
	}
}

// GTUBE has the line that spam filters agree to call spam.
func GTUBE(o Options) Mail {
	o = o.filled()
	body := message(o, header{"gtube", "Anna Berg", "A test of the spam filter"},
		text("us-ascii", "7bit", "The next line is for the spam filter.\r\n\r\n"+lab.GTUBE()+"\r\n"))
	return Mail{Name: "gtube", Title: "spam, GTUBE", Kind: Spam, From: o.From, To: o.To, Body: body}
}

// Big is clean mail of size octets, in all, with an attachment that does not
// compress. The smallest size is 2000.
func Big(o Options, size int) Mail {
	o = o.filled()
	const lineLength = 76 + 2
	made := attached(o, header{"big", "Anna Berg", "The recordings"}, file{name: "recordings.bin", kind: "application/octet-stream"})
	room := max(0, size-len(made))
	lines := room / lineLength
	if room%lineLength == 1 {
		lines-- // no line of text has one octet, its CRLF included
	}
	octets := make([]byte, lines*57)
	source := rand.NewChaCha8([32]byte{'b', 'i', 'g'})
	_, _ = source.Read(octets) // never fails
	body := attached(o, header{"big", "Anna Berg", "The recordings"}, file{name: "recordings.bin", kind: "application/octet-stream", data: octets})
	// What lacks to the size goes below the last boundary, where readers skip it.
	for lacks := size - len(body); lacks >= 2; lacks = size - len(body) {
		line := min(lacks, lineLength) - 2
		if lacks-line-2 == 1 {
			line--
		}
		body = append(append(body, strings.Repeat("=", line)...), "\r\n"...)
	}
	return Mail{Name: "big", Title: fmt.Sprintf("clean, %d MB", size/1000/1000), Kind: Clean, From: o.From, To: o.To, Body: body}
}
