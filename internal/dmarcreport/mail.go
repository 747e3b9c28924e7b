package dmarcreport

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// ID makes the identifier of a report of what makes it unlike others: the same of the same, so that a report that is sent
// again is known again (RFC 9990 section 3.5.1). It is letters and digits, since it is part of the file's name.
func ID(of ...string) string {
	h := sha256.New()
	for _, s := range of {
		fmt.Fprintf(h, "%d:%s", len(s), s) // so that two lists are never one
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:16]))
}

// Filename is the name of the report's file (RFC 9990 section 3.5.2). receiver is the host that reports.
func (f *Feedback) Filename(receiver string) string {
	return fmt.Sprintf("%s!%s!%d!%d!%s.xml.gz", receiver, f.Policy.Domain, f.Begin.Unix(), f.End.Unix(), f.ID)
}

// Gzip packs a report. The same report gives the same octets.
func Gzip(report []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(report) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// Mail is the mail around a report.
type Mail struct {
	From     string // address
	To       string // address
	Receiver string // the host that reports: the submitter, and the beginning of the file's name
	Date     time.Time
	Packed   []byte // of Gzip
}

// Write returns the mail, lines ended by CRLF, 7 bit. Its texts are ASCII whose caller has seen to it that they are
// addresses and domains (ParseRUA, ValidDomain).
func (m *Mail) Write(f *Feedback) []byte {
	_, domain, _ := strings.Cut(m.From, "@")
	boundary := "=_report_" + f.ID
	var b bytes.Buffer
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format, args...)
		b.WriteString("\r\n")
	}
	line("From: <%s>", m.From)
	line("To: <%s>", m.To)
	line("Subject: Report Domain: %s", f.Policy.Domain)
	line(" Submitter: %s", m.Receiver)
	line(" Report-ID: <%s>", f.ID)
	line("Date: %s", m.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"))
	line("Message-ID: <%s@%s>", f.ID, domain)
	line("Auto-Submitted: auto-generated") // RFC 3834: nobody's vacation notice shall come back
	line("MIME-Version: 1.0")
	line(`Content-Type: multipart/mixed; boundary="%s"`, boundary)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=us-ascii")
	line("")
	line("This is a DMARC aggregate report about mail with %s", f.Policy.Domain)
	line("as author that %s received from %s to %s (UTC).", m.Receiver, minute(f.Begin), minute(f.End))
	line("It is attached for a program to read.")
	line("")
	line("--%s", boundary)
	line("Content-Type: application/gzip;")
	line(` name="%s"`, f.Filename(m.Receiver))
	line("Content-Transfer-Encoding: base64")
	line("Content-Disposition: attachment;")
	line(` filename="%s"`, f.Filename(m.Receiver))
	line("")
	writeBase64(&b, m.Packed)
	line("--%s--", boundary)
	return b.Bytes()
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// writeBase64 writes lines of 76 (RFC 2045 section 6.8).
func writeBase64(b *bytes.Buffer, data []byte) {
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(len(text), 76)
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
}
