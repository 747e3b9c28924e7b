package web

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"
	"unicode/utf16"

	"gatepost/internal/links"
	"gatepost/internal/unpack"
)

// Formats are the kinds of page. They belong behind all others, since a page is told by what is in it and not by how it begins.
func Formats() []unpack.Format { return []unpack.Format{mht{}, page{}} }

// page is HTML and SVG.
type page struct{}

func (page) Name() string { return "html" }

// tags are those of which one at least stands in a page that does anything.
func tags() [16]string {
	return [...]string{"<script", "<html", "<body", "<head", "<iframe", "<form", "<meta", "<svg", "<a ", "<a\t", "<a\n", "<a\r", "<object", "<embed", "<base", "<img"}
}

// Match takes text with a tag in it.
func (page) Match(head []byte, c unpack.Content) bool {
	if wide(head) != nil {
		return true
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	b := c.Bytes()
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 {
			return false
		}
		b = b[i:]
		for _, tag := range tags() {
			if len(b) >= len(tag) && strings.EqualFold(string(b[:len(tag)]), tag) {
				return true
			}
		}
		b = b[1:]
	}
}

// wide is the order of octets of UTF-16 with its mark; nil for other text.
func wide(head []byte) binary.ByteOrder {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")) && !bytes.HasPrefix(head, []byte("\xff\xfe\x00\x00")):
		return binary.LittleEndian
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return binary.BigEndian
	}
	return nil
}

func (page) Open(w *unpack.Walk, at int, c unpack.Content) error {
	b := c.Bytes()
	text := string(b)
	if order := wide(b); order != nil {
		units := make([]uint16, 0, len(b)/2)
		for i := 2; i+1 < len(b); i += 2 {
			units = append(units, order.Uint16(b[i:]))
		}
		text = string(utf16.Decode(units))
	}
	l := &look{w: w, at: at, acts: acts(w.Object(at).Name, text)}
	l.page(text, 0)
	// Links that somebody follows come first: of each object only so many are kept.
	for _, resources := range [...]bool{false, true} {
		for _, k := range l.found.Links {
			if (k.Where == links.InResource) == resources {
				w.Link(at, unpack.Link{URI: k.URI, Text: k.Text, Where: string(k.Where)})
			}
		}
	}
	return l.pieces()
}

// acts reports whether a browser would take the content for a page: by how it begins, or by its name.
func acts(name, text string) bool {
	switch strings.ToLower(path.Ext(strings.TrimRight(name, ". "))) {
	case ".html", ".htm", ".shtml", ".shtm", ".xhtml", ".xht", ".svg", ".svgz", ".hta", ".mht", ".mhtml", ".asp", ".aspx", ".php", ".xml":
		return true
	}
	text = strings.TrimPrefix(text, "\ufeff")
	for {
		text = strings.TrimLeft(text, " \t\r\n\f\x00")
		switch {
		case strings.HasPrefix(text, "<!--"):
			_, text, _ = strings.Cut(text, "-->")
		case strings.HasPrefix(text, "<!"), strings.HasPrefix(text, "<?"):
			_, text, _ = strings.Cut(text, ">")
		default:
			for _, tag := range tags() {
				if len(text) >= len(tag) && strings.EqualFold(text[:len(tag)], tag) {
					return true
				}
			}
			return false
		}
	}
}

// look is the work on one page.
type look struct {
	w      *unpack.Walk
	at     int
	acts   bool
	found  links.List
	packed []packed
	pages  int // looked at: this one, and those in its scripts
	seen   int // links that were looked through for data
	data   int // links that are data
}

// What bounds pages in the scripts of pages: how deep, and how many.
const (
	maxNested = 3
	maxPages  = 64
)

// page looks at a page, and at those that its scripts write.
func (l *look) page(text string, depth int) {
	if l.pages++; l.pages > maxPages {
		return
	}
	p := l.found.HTML(0, text)
	if l.acts {
		l.signs(&p, depth)
	}
	for ; l.seen < len(l.found.Links); l.seen++ {
		if k := &l.found.Links[l.seen]; len(k.URI) > 5 && strings.EqualFold(k.URI[:5], "data:") && k.Where != links.InResource && l.data < 2*maxPacked {
			l.data++
			l.linked(text, k.URI)
		}
	}
	for _, code := range p.Code {
		for _, inner := range l.literals(code) {
			if depth < maxNested && strings.Contains(inner, "<") {
				l.page(inner, depth+1)
			}
		}
	}
}

// signs tells what a page does and asks for.
func (l *look) signs(p *links.Page, depth int) {
	say := func(k unpack.Kind, text string) {
		if depth > 0 {
			text += " (in what a script writes)"
		}
		l.w.Sign(l.at, k, text)
	}
	if p.Password {
		text := "asks for a password"
		if p.Form != "" {
			text += ", sent to " + p.Form
		}
		say(unpack.Form, text)
	} else if u := links.Read(p.Form); u.Web() {
		say(unpack.Form, "is sent to "+p.Form)
	}
	code := strings.Join(p.Code, "\n")
	if strings.TrimSpace(code) != "" {
		say(unpack.Script, "script: "+strings.Join(strings.Fields(code[:min(len(code), 400)]), " "))
		if why := smuggles(code); why != "" {
			say(unpack.Smuggling, why)
		}
	} else if p.Handler != "" {
		say(unpack.Script, p.Handler)
	}
	if p.Foreign {
		say(unpack.Script, "HTML in SVG (foreignObject)")
	}
	if p.Refresh != "" {
		say(unpack.Launch, "goes on by itself to "+p.Refresh)
	}
	if p.Frame != "" {
		say(unpack.RemoteContent, "frame: "+p.Frame)
	}
}

// smuggles tells how code makes a file of what it holds and gives it to the reader; "" where it does not.
func smuggles(code string) string {
	has := func(words ...string) string {
		for _, w := range words {
			if strings.Contains(code, w) {
				return w
			}
		}
		return ""
	}
	made := has("new Blob", "new window.Blob", "new self.Blob", "new File(", "Blob([", "window[\"Blob\"]", "window['Blob']", "BlobBuilder")
	given := has("msSaveOrOpenBlob", "msSaveBlob", "createObjectURL", ".download", "saveAs(", "'download'", `"download"`)
	if made != "" && given != "" {
		return made + " and " + given
	}
	if given != "" && strings.Contains(code, "data:application/") {
		return "data: and " + given
	}
	return ""
}

// mht is a page with all that belongs to it in one file, a MIME message of its own.
type mht struct{}

func (mht) Name() string { return "mht" }

// Match looks for the header section of a multipart/related whose first part is a page.
func (mht) Match(head []byte, _ unpack.Content) bool {
	lower := bytes.ToLower(head)
	return bytes.Contains(lower, []byte("mime-version:")) && bytes.Contains(lower, []byte("multipart/related")) && bytes.Contains(lower, []byte("text/html"))
}

func (mht) Open(w *unpack.Walk, at int, c unpack.Content) error {
	w.Sign(at, unpack.Unseen, "a page with its files in one (MHT)")
	var l links.List
	l.Text(0, string(c.Bytes()))
	for _, k := range l.Links {
		w.Link(at, unpack.Link{URI: k.URI, Where: string(k.Where)})
	}
	return nil
}
