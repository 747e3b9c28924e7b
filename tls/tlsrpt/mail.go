package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// MediaType is that of a packed report (RFC 8460 section 6.4).
const MediaType = "application/tlsrpt+gzip"

// Mail is the mail around a report (RFC 8460 section 5.3).
type Mail struct {
	From   string // address
	To     string // address
	Sender string // the host that reports: the submitter, and the beginning of the file's name
	Date   time.Time
	Note   string // one more line for people; "" for none
	Packed []byte // of Gzip
}

// Write returns the mail, lines ended by CRLF, 7 bit. Its texts are ASCII whose caller has seen to it that they are addresses
// and domains.
func (m *Mail) Write(r *Report) []byte {
	_, domain, _ := strings.Cut(m.From, "@")
	boundary := "=_report_" + r.ID
	var b bytes.Buffer
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format, args...)
		b.WriteString("\r\n")
	}
	line("From: <%s>", m.From)
	line("To: <%s>", m.To)
	line("Subject: Report Domain: %s", r.Domain())
	line(" Submitter: %s", m.Sender)
	line(" Report-ID: <%s@%s>", r.ID, domain)
	line("Date: %s", m.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"))
	line("Message-ID: <%s@%s>", r.ID, domain)
	line("TLS-Report-Domain: %s", r.Domain())
	line("TLS-Report-Submitter: %s", m.Sender)
	line("TLS-Required: No")               // RFC 8689 section 5: who cannot be reached by TLS is to learn of it
	line("Auto-Submitted: auto-generated") // RFC 3834: nobody's vacation notice shall come back
	line("MIME-Version: 1.0")
	line(`Content-Type: multipart/report; report-type="tlsrpt";`)
	line(` boundary="%s"`, boundary)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=us-ascii")
	line("")
	line("This is an aggregate report (RFC 8460) about the TLS connections that")
	line("%s made to mail hosts of", m.Sender)
	line("%s from %s to %s (UTC).", r.Domain(), minute(r.Range.Start), minute(r.Range.End))
	if m.Note != "" {
		line("%s", m.Note)
	}
	line("It is attached for a program to read.")
	line("")
	line("--%s", boundary)
	line("Content-Type: %s;", MediaType)
	line(` name="%s"`, r.Filename(m.Sender))
	line("Content-Transfer-Encoding: base64")
	line("Content-Disposition: attachment;")
	line(` filename="%s"`, r.Filename(m.Sender))
	line("")
	for text := base64.StdEncoding.EncodeToString(m.Packed); text != ""; { // lines of 76 (RFC 2045 section 6.8)
		n := min(len(text), 76)
		line("%s", text[:n])
		text = text[n:]
	}
	line("--%s--", boundary)
	return b.Bytes()
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
