package accept

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// banners writes what policy wants said above the text that is shown first: into the plain text and the HTML of it.
func (d *editor) banners(names []string) {
	var texts, pages strings.Builder
	var told []string
	for _, name := range names {
		b, known := d.e.Session.Snapshot.Banners[name]
		if !known {
			d.f.Edits = append(d.f.Edits, "no banner "+name+": there is none of that name")
			continue
		}
		told = append(told, name)
		texts.WriteString(b.Text)
		if b.Text != "" && !strings.HasSuffix(b.Text, "\n") {
			texts.WriteByte('\n')
		}
		pages.WriteString(b.HTML)
	}
	if len(told) == 0 {
		return
	}
	what := "banner " + strings.Join(told, ", ")
	parts := d.shown()
	if len(parts) == 0 {
		d.f.Edits = append(d.f.Edits, "no "+what+": no text is shown first that may be changed")
		return
	}
	for _, part := range parts {
		words, page := texts.String(), d.tree.Parts[part].Type == "text/html"
		if page {
			words = pages.String()
		}
		if words == "" {
			continue
		}
		if err := d.above(part, words, page); err != nil {
			d.f.Edits = append(d.f.Edits, gateway.CleanText("no "+what+" in part "+d.name(part)+": "+err.Error(), 200))
			continue
		}
		d.f.Edits = append(d.f.Edits, what+" in part "+d.name(part))
	}
}

// shown are the parts that a client shows first: the first text, and the other forms of it beside it in a multipart/alternative.
func (d *editor) shown() []int {
	first := -1
	for i := range d.tree.Parts {
		if d.isText(i) {
			first = i
			break
		}
	}
	if first < 0 {
		return nil
	}
	group := -1
	for up := d.tree.Parts[first].Parent; up >= 0; up = d.tree.Parts[up].Parent {
		if d.tree.Parts[up].Type == "multipart/alternative" {
			group = up
		}
	}
	out := []int{first}
	seen := map[string]bool{d.tree.Parts[first].Type: true}
	for i := first + 1; group >= 0 && i < len(d.tree.Parts); i++ {
		if t := d.tree.Parts[i].Type; d.isText(i) && d.within(i, group) && !seen[t] {
			seen[t] = true
			out = append(out, i)
		}
	}
	return out
}

// isText reports whether a part is a text that is shown and may be changed: none of an enclosed message, none that is signed.
func (d *editor) isText(part int) bool {
	p := &d.tree.Parts[part]
	if p.Type != "text/plain" && p.Type != "text/html" || !p.Leaf || p.Doubt || p.Within >= 0 || p.Disposition == "attachment" || len(p.Names) > 0 ||
		d.isCut(part) || d.sealed(part) >= 0 {
		return false
	}
	for up := p.Parent; up >= 0; up = d.tree.Parts[up].Parent {
		if !strings.HasPrefix(d.tree.Parts[up].Type, "multipart/") {
			return false
		}
	}
	return true
}

// within reports whether a part lies in another.
func (d *editor) within(part, in int) bool {
	for ; part >= 0; part = d.tree.Parts[part].Parent {
		if part == in {
			return true
		}
	}
	return false
}

// above writes words at the beginning of a text. Where they can be said in its charset and its encoding they are put in, and
// no other octet changes; else the part is written anew, in UTF-8.
func (d *editor) above(part int, words string, page bool) error {
	p := &d.tree.Parts[part]
	if p.Octets > maxEdited {
		return fmt.Errorf("it has %d octets", p.Octets)
	}
	if p.Encoding != "" && p.Encoding != "7bit" && p.Encoding != "8bit" && p.Encoding != "binary" && p.Encoding != "base64" && p.Encoding != "quoted-printable" {
		return fmt.Errorf("it is in the encoding %s", p.Encoding)
	}
	content, err := d.tree.Content(part, maxEdited)
	if err != nil {
		return err
	}
	words = strings.ReplaceAll(strings.ReplaceAll(words, "\r\n", "\n"), "\n", "\r\n")
	if page {
		words = references(words)
	} else {
		words += "\r\n"
	}
	charset := p.Params["charset"]
	octets, ok := mime.Encode(charset, words)
	if !ok {
		return d.anew(part, content, words, page)
	}
	at := 0
	if page {
		at = bodyOf(content)
	} else if bytes.HasPrefix(content, []byte("\xef\xbb\xbf")) {
		at = 3
	}
	for !page && p.Encoding == "base64" && at == 0 && len(octets)%3 != 0 { // whole letters, so that what follows stays as it is
		octets = append(octets[:len(octets)-2], " \r\n"...)
	}
	return d.insert(part, content, octets, at)
}

// insert puts octets into the content of a part.
func (d *editor) insert(part int, content, octets []byte, at int) error {
	p := &d.tree.Parts[part]
	var then []byte
	switch {
	case p.Encoding == "base64" && at == 0 && len(octets)%3 == 0:
		then = inLines(octets)
	case p.Encoding == "base64":
		d.f.changes = append(d.f.changes, change{p.Content, p.End, inLines(joined(content, octets, at))})
		return nil
	case p.Encoding == "quoted-printable" && at == 0 && bytes.HasSuffix(octets, []byte("\r\n")):
		then = quotedPrintable(octets)
	case p.Encoding == "quoted-printable":
		d.f.changes = append(d.f.changes, change{p.Content, p.End, quotedPrintable(joined(content, octets, at))})
		return nil
	case bytes.ContainsFunc(octets, func(r rune) bool { return r > '~' }):
		return d.write(part, p.Params["charset"], joined(content, octets, at))
	default:
		then = octets
	}
	from := p.Content + int64(at)
	d.f.changes = append(d.f.changes, change{from, from, then})
	return nil
}

// anew writes a part in UTF-8, since its charset cannot say the words.
func (d *editor) anew(part int, content []byte, words string, page bool) error {
	charset := d.tree.Parts[part].Params["charset"]
	text, ok := mime.Decode(charset, content)
	if !ok {
		return fmt.Errorf("its charset %q cannot be read", charset)
	}
	at := 0
	if page {
		at = bodyOf([]byte(text))
	}
	return d.write(part, "utf-8", joined([]byte(strings.TrimPrefix(text, "\ufeff")), []byte(words), at))
}

// write puts another content in the place of a text, in quoted-printable.
func (d *editor) write(part int, charset string, content []byte) error {
	p := &d.tree.Parts[part]
	charset = strings.ToLower(strings.Trim(charset, " \t\r\n\"'"))
	if strings.Trim(charset, "abcdefghijklmnopqrstuvwxyz0123456789_-.:+") != "" {
		return fmt.Errorf("its charset %q cannot be written", charset)
	}
	fields := []string{"Content-Type: " + p.Type + "; charset=" + charset, "Content-Transfer-Encoding: quoted-printable"}
	for _, name := range [...]string{"format", "delsp"} {
		if v := p.Params[name]; v != "" && len(v) < 20 && strings.Trim(strings.ToLower(v), "abcdefghijklmnopqrstuvwxyz") == "" {
			fields[0] += "; " + name + "=" + v
		}
	}
	if p.Disposition != "" {
		fields = append(fields, "Content-Disposition: "+p.Disposition)
	}
	if p.ContentID != "" && !strings.ContainsFunc(p.ContentID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		fields = append(fields, "Content-ID: <"+p.ContentID+">")
	}
	d.replace(part, replacement{fields, quotedPrintable(content)})
	return nil
}

func joined(content, octets []byte, at int) []byte {
	out := append(make([]byte, 0, len(content)+len(octets)), content[:at]...)
	return append(append(out, octets...), content[at:]...)
}

// inLines encodes in base64, in lines of 76.
func inLines(b []byte) []byte {
	out := make([]byte, 0, len(b)*4/3+len(b)/28+4)
	for len(b) > 0 {
		n := min(57, len(b))
		out = append(base64.StdEncoding.AppendEncode(out, b[:n]), "\r\n"...)
		b = b[n:]
	}
	return out
}

// references writes letters beyond US-ASCII as numbers, which any page may hold.
func references(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// bodyOf returns where in a page what is shown begins: behind the tag body, else behind the tag html and the head, else at its
// beginning.
func bodyOf(page []byte) int {
	lower := bytes.ToLower(page)
	if len(lower) != len(page) {
		return 0
	}
	for _, tag := range [...]string{"<body", "</head", "<html"} {
		for from := 0; ; {
			i := bytes.Index(lower[from:], []byte(tag))
			if i < 0 {
				break
			}
			from += i + len(tag)
			if from < len(lower) && strings.IndexByte("> \t\r\n/", lower[from]) >= 0 {
				if end := tagEnd(lower[from:]); end >= 0 {
					return from + end
				}
			}
		}
	}
	return 0
}

// tagEnd returns where a tag ends, whose attributes may hold angle brackets in quotes; -1 for nowhere.
func tagEnd(b []byte) int {
	quote := byte(0)
	for i, c := range b[:min(len(b), 16<<10)] {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return -1
}
