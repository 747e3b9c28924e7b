package accept

import (
	"strings"
	"unicode"

	"gatepost/gateway"
)

// notice is what stands in the place of a part that was taken out: what it was, why it is not there, and whom to ask.
func (d *editor) notice(part int, why []*gateway.Cut) replacement {
	p := &d.tree.Parts[part]
	var b strings.Builder
	b.WriteString("A part of this message was removed by the mail gateway " + d.e.Session.Snapshot.Hostname + ".\r\n\r\n")
	line := func(name, text string) {
		if text != "" {
			b.WriteString(name + strings.Repeat(" ", 11-len(name)) + text + "\r\n")
		}
	}
	line("Name:", legible(p.Name(), 200))
	line("Type:", gateway.CleanText(p.Type, 100))
	size := p.Octets
	if !p.Leaf {
		size = p.End - p.Content
	}
	line("Size:", octets(size))
	for i, c := range why {
		if i == 5 {
			break
		}
		line("Reason:", removedFor(c))
	}
	line("Reference:", d.e.ID.String())
	b.WriteString("\r\nIf you need it, ask " + d.whom() + " and name the reference.\r\n")
	text := b.String()
	fields := []string{"Content-Type: text/plain; charset=us-ascii", "Content-Transfer-Encoding: 7bit"}
	content := []byte(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		fields = []string{"Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable"}
		content = quotedPrintable(content)
	}
	return replacement{append(fields, "Content-Disposition: inline"), content}
}

// whom is who can tell more: what the recipient's domain names as its contact, else its postmaster.
func (d *editor) whom() string {
	for i := range d.e.Rcpts {
		r := &d.e.Rcpts[i]
		if !r.Accepted() {
			continue
		}
		if p := d.e.Session.Snapshot.Policy; p != nil {
			if of := p.Serves(r.Address); of != nil && of.Contact != "" {
				return legible(of.Contact, 200)
			}
		}
		if r.Address.Domain != "" {
			return "postmaster@" + r.Address.Domain
		}
	}
	return "your postmaster"
}

// legible makes a text of a stranger fit to be shown: what is no letter, as what turns the direction of text, reads "?".
func legible(s string, limit int) string {
	out := make([]rune, 0, min(len(s), limit))
	for _, r := range s {
		if len(out) == limit {
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}

// removedFor says to a reader why a part was taken out.
func removedFor(c *gateway.Cut) string {
	text, told := map[gateway.Reason]string{
		gateway.AttachmentType:      "files of this kind are not taken here",
		gateway.AttachmentName:      "its name disguises what it is",
		gateway.AttachmentEncrypted: "it is encrypted, so that it cannot be scanned",
		gateway.AttachmentLimits:    "it is too deeply packed or unpacks to too much to be scanned",
		gateway.AttachmentBroken:    "it is broken, so that it cannot be scanned",
		gateway.AttachmentPath:      "it would write outside of its folder",
		gateway.AttachmentMacro:     "it has macros",
		gateway.AttachmentAutoExec:  "it runs programs when it is opened",
		gateway.AttachmentRemote:    "it fetches content when it is opened",
		gateway.AttachmentEmbedded:  "it has a program or an object in it",
		gateway.AttachmentScript:    "it has a script in it",
		gateway.AttachmentForm:      "it asks for passwords",
		gateway.MIMEAmbiguous:       "mail clients would read it differently",
	}[c.Reason]
	if !told {
		text = string(c.Reason)
	}
	if len(c.Args) > 0 {
		text += " (" + legible(strings.Join(c.Args, ", "), 200) + ")"
	}
	return text
}

// quotedPrintable encodes octets (RFC 2045 section 6.7). CRLF is a line end; everything else that is not plain is escaped, so
// that it decodes to exactly what it was.
func quotedPrintable(b []byte) []byte {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(b)+len(b)/8)
	width := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			out, width = append(out, "\r\n"...), 0
			i++
			continue
		}
		atEnd := i+1 == len(b) || b[i+1] == '\r'
		safe := c > ' ' && c <= '~' && c != '=' || (c == ' ' || c == '\t') && !atEnd
		if width == 0 && (c == '.' || c == 'F' || c == '-') {
			safe = false // "From " and boundaries: nobody downstream is to take it for anything else
		}
		need := 1
		if !safe {
			need = 3
		}
		if width+need > 75 {
			out, width = append(out, "=\r\n"...), 0
		}
		if safe {
			out = append(out, c)
		} else {
			out = append(out, '=', digits[c>>4], digits[c&15])
		}
		width += need
	}
	return out
}
