package mime

import (
	"bytes"
	"strings"
)

// fields are those of a part's header section that tell what the part is, unfolded, in their order.
type fields struct {
	contentType, encoding, disposition []string
	id                                 string
	version                            bool   // MIME-Version stands there
	broken                             string // the first line that is no field
}

// maxRepeated bounds how many fields of one name are looked at.
const maxRepeated = 4

// field takes one field with its folded lines. It reports whether it is one.
func (f *fields) field(raw []byte) bool {
	colon := bytes.IndexByte(raw, ':')
	if colon <= 0 {
		return false
	}
	name := raw[:colon]
	if last := name[colon-1]; last == ' ' || last == '\t' {
		name = bytes.TrimRight(name, " \t")
		if isContent(name) {
			f.spoil(raw) // a disguise: some clients see the field, others a line of no meaning
		}
	}
	for _, c := range name {
		if c <= ' ' || c == 127 {
			return false
		}
	}
	if len(name) == 0 {
		return false
	}
	switch c := name[0] | 0x20; {
	case c == 'c' && isContent(name):
		f.content(name[len("content-"):], raw[colon+1:])
	case c == 'm' && len(name) == len("MIME-Version") && strings.EqualFold(string(name), "MIME-Version"):
		f.version = true
	}
	return true
}

func isContent(name []byte) bool {
	const content = "content-"
	return len(name) > len(content) && strings.EqualFold(string(name[:len(content)]), content)
}

// content takes a field whose name begins with "Content-"; name is what is behind that.
func (f *fields) content(name, value []byte) {
	switch {
	case strings.EqualFold(string(name), "type"):
		f.contentType = few(f.contentType, value)
	case strings.EqualFold(string(name), "transfer-encoding"):
		f.encoding = few(f.encoding, value)
	case strings.EqualFold(string(name), "disposition"):
		f.disposition = few(f.disposition, value)
	case strings.EqualFold(string(name), "id"):
		f.id = strings.Trim(unfold(value), "<>")
	}
}

func few(list []string, value []byte) []string {
	if len(list) == maxRepeated {
		return list
	}
	return append(list, unfold(value))
}

func (f *fields) spoil(line []byte) {
	if f.broken == "" {
		f.broken = clean(string(line[:min(len(line), maxText)]))
		if f.broken == "" {
			f.broken = "an empty line"
		}
	}
}

// unfold returns the value of a field as one line.
func unfold(value []byte) string {
	value = bytes.Trim(value, " \t\r\n")
	if bytes.IndexByte(value, '\n') < 0 {
		return string(value)
	}
	out := make([]byte, 0, len(value))
	for _, c := range value {
		if c != '\r' && c != '\n' {
			out = append(out, c)
		}
	}
	return string(out)
}

// transfer returns what a Content-Transfer-Encoding says, without comments, in lower case.
func transfer(value string) string {
	s := scanner{in: value}
	s.space()
	word := s.until("; \t(")
	return strings.ToLower(strings.Trim(word, `"`))
}

// isUU reports whether an encoding is one of the names under which uuencode goes. Its content is read as a text with a file in it.
func isUU(name string) bool {
	return name == "x-uuencode" || name == "x-uue" || name == "uuencode" || name == "uue"
}

// known returns the decoder of a transfer encoding. Those that RFC 2045 has not are taken as plain.
func known(name string) (kind transferEncoding, ok bool) {
	switch name {
	case "", "7bit", "8bit", "binary":
		return plain, true
	case "base64":
		return base64, true
	case "quoted-printable":
		return quoted, true
	}
	return plain, false
}
