package links

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
)

// Page is what else was seen in HTML: what asks a reader for something, and what acts by itself.
type Page struct {
	Password bool     // a field that asks for a password
	Form     string   // where the first form is sent, absolute; "" for nowhere
	Base     string   // what relative links are relative to; "" where it says nothing
	Refresh  string   // where it leads by itself
	Frame    string   // the first page in a frame that comes from elsewhere
	Handler  string   // the first event handler, with its code
	Foreign  bool     // an SVG with HTML in it (foreignObject)
	Code     []string // the code of scripts, handlers and javascript: links
	Plugin   bool     // an object, embed or applet
}

// maxCode is how many pieces of code are kept.
const maxCode = 256

// maxNested bounds HTML in HTML: conditional comments, srcdoc, data:, and what only some readers take for text.
const maxNested = 3

// HTML finds the links of HTML with the text that is shown for each. It reads tokens and builds no tree, so that its memory is
// bounded by the text, its time is linear, and nothing that is not closed hides anything. What only some clients show is looked
// at too: comments for Outlook, noscript, what stands in elements whose content is text.
func (l *List) HTML(part int, s string) Page {
	p := page{list: l, part: part}
	p.read(s, 0)
	for _, k := range p.relative {
		k.URI = Resolve(p.Base, k.URI)
		l.Add(k)
	}
	if p.Form != "" {
		p.Form = Resolve(p.Base, p.Form)
	}
	return p.Page
}

// page is the work on one page.
type page struct {
	Page
	list     *List
	part     int
	relative []Link // whose base may still come
	pieces   int    // of HTML in HTML, so far
}

// maxPieces is how much HTML in HTML is read piece by piece, each of which takes a buffer. What is more is read together, in
// which one piece may hide another.
const maxPieces = 500

// reading is the work on one text: the page, or what is nested in it.
type reading struct {
	*page
	z      *html.Tokenizer
	depth  int
	anchor Link            // the link that is open
	open   bool            // there is one
	shown  strings.Builder // its text
	space  bool            // white space in it that was not written yet
	hidden string          // the element that is not shown; "" for none
	level  int             // how often that element is open in itself
	later  strings.Builder // pieces of HTML in it that are read together
	raw    string          // the element whose content is text, which comes next
}

func (p *page) read(s string, depth int) {
	r := reading{page: p, z: html.NewTokenizer(strings.NewReader(s)), depth: depth}
	for {
		switch r.z.Next() {
		case html.ErrorToken:
			r.close()
			if r.later.Len() > 0 {
				p.read(r.later.String(), depth+1)
			}
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			r.start()
		case html.EndTagToken:
			r.end()
		case html.TextToken:
			r.text()
		case html.CommentToken:
			if c := r.z.Text(); bytes.HasPrefix(c, []byte("[if")) {
				_, c, _ = bytes.Cut(c, []byte("]>"))
				r.nested(string(c))
			}
		}
	}
}

// nested reads HTML in HTML.
func (r *reading) nested(s string) {
	switch {
	case s == "" || r.depth == maxNested:
	case r.pieces < maxPieces:
		r.pieces++
		r.read(s, r.depth+1)
	default:
		r.later.WriteString(s + "\n")
	}
}

// void reports whether an element has no content.
func void(name string) bool {
	switch name {
	case "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr":
		return true
	}
	return false
}

// tag is what matters of the attributes of one tag.
type tag struct {
	name, href, src, typ, equiv, content, alt, action string
	hidden                                            bool
}

func (r *reading) start() {
	b, more := r.z.TagName()
	t := tag{name: string(b)}
	for more {
		var key, val []byte
		key, val, more = r.z.TagAttr()
		r.attribute(&t, key, val)
	}
	switch t.name {
	case "noscript": // mail clients run no script, and show it
		r.z.NextIsNotRawText()
	case "script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "plaintext":
		r.raw = t.name
		if kind := strings.ToLower(t.typ); r.raw == "script" && (strings.Contains(kind, "json") || strings.Contains(kind, "template") || strings.Contains(kind, "html")) {
			r.raw = "data" // runs nowhere
		}
	}
	if r.hidden == t.name && !void(t.name) {
		r.level++
	}
	r.element(&t)
	if t.hidden && r.hidden == "" && !void(t.name) {
		r.hidden, r.level = t.name, 1
	}
}

// attribute takes one attribute in.
func (r *reading) attribute(t *tag, key, val []byte) {
	set := func(to *string) {
		if *to == "" {
			*to = string(val[:min(len(val), maxValue)])
		}
	}
	switch string(key) {
	case "href", "xlink:href":
		set(&t.href)
	case "src":
		set(&t.src)
	case "type":
		set(&t.typ)
	case "http-equiv":
		set(&t.equiv)
	case "content":
		set(&t.content)
	case "alt":
		set(&t.alt)
	case "action", "formaction":
		set(&t.action)
	case "hidden":
		t.hidden = true
	case "style":
		t.hidden = t.hidden || invisible(val)
		if bytes.IndexByte(val, '(') >= 0 {
			r.css(string(val))
		}
	case "srcset", "imagesrcset", "ping":
		for f := range strings.FieldsFuncSeq(string(val), func(c rune) bool { return c == ',' || c <= ' ' }) {
			if strings.Contains(f, "//") {
				r.link(InResource, f, "")
			}
		}
	case "background", "poster", "data", "lowsrc", "dynsrc", "longdesc", "cite", "manifest", "codebase", "classid":
		if len(val) > 0 && t.name != "blockquote" && t.name != "q" {
			r.link(InResource, string(val[:min(len(val), maxValue)]), "")
		}
	case "srcdoc":
		r.nested(string(val))
	default:
		if len(key) > 4 && key[0] == 'o' && key[1] == 'n' && len(val) > 0 {
			code := string(val)
			if r.Handler == "" {
				r.Handler = string(key) + "=" + cut(code, maxShown)
			}
			r.code(code)
		}
	}
}

// maxValue is how much of a value is kept: a data: link may hold a page.
const maxValue = 1 << 20

// element looks at a tag whose attributes are known.
func (r *reading) element(t *tag) {
	switch t.name {
	case "base":
		if r.Base == "" && t.href != "" {
			r.Base = cut(t.href, MaxURI)
			r.link(InBase, t.href, "")
		}
	case "form", "button":
		r.form(t)
	case "input":
		if strings.EqualFold(strings.TrimSpace(t.typ), "password") {
			r.Password = true
		}
		r.form(t)
	case "meta":
		if strings.EqualFold(strings.TrimSpace(t.equiv), "refresh") {
			r.refresh(t.content)
		}
	case "link", "image", "use", "feimage", "pattern", "lineargradient", "radialgradient", "filter":
		r.link(InResource, t.href, "")
	case "iframe", "frame", "object", "embed", "applet":
		r.Plugin = r.Plugin || t.name[0] != 'i' && t.name != "frame"
		if u := Read(t.src); r.Frame == "" && (u.Web() || u.Opaque() || strings.HasPrefix(t.src, "//")) {
			r.Frame = cut(t.src, maxShown)
		}
	case "foreignobject":
		r.Foreign = true
	case "br", "p", "td", "div", "li", "tr", "h1", "h2", "h3":
		r.space = r.space || r.shown.Len() > 0
	case "img":
		if r.open && r.hidden == "" {
			r.show(t.alt)
		}
	}
	if t.src != "" {
		r.link(InResource, t.src, "")
	}
	switch t.name {
	case "base", "link", "image", "use", "feimage", "pattern", "lineargradient", "radialgradient", "filter":
	case "a":
		r.close()
		if t.href != "" {
			r.open, r.anchor = true, Link{URI: strings.TrimSpace(t.href), Where: InAnchor, Part: r.part}
		}
	default: // area, and buttons as Outlook draws them (VML)
		if t.href != "" {
			r.link(InAnchor, t.href, t.alt)
		}
	}
}

func (r *reading) form(t *tag) {
	if t.action == "" {
		return
	}
	if r.Form == "" {
		r.Form = cut(strings.TrimSpace(t.action), MaxURI)
	}
	r.link(InForm, t.action, "")
}

// refresh takes where <meta http-equiv=refresh> leads: a number, a separator, and url= or not.
func (r *reading) refresh(content string) {
	_, rest, _ := strings.Cut(strings.Replace(content, ",", ";", 1), ";")
	rest = strings.TrimSpace(rest)
	if len(rest) > 4 && strings.EqualFold(rest[:3], "url") {
		if after, ok := strings.CutPrefix(strings.TrimSpace(rest[3:]), "="); ok {
			rest = strings.TrimSpace(after)
		}
	}
	rest = strings.Trim(rest, `"'`)
	if rest != "" {
		if r.Refresh == "" {
			r.Refresh = cut(rest, MaxURI)
		}
		r.link(InRefresh, rest, "")
	}
}

// link takes a link that has no text of its own.
func (r *reading) link(where Where, uri, text string) {
	r.take(Link{URI: strings.TrimSpace(uri), Text: cut(text, maxShown), Where: where, Part: r.part})
}

// take sorts out what leads nowhere, keeps what is relative, and looks into what is content itself.
func (r *reading) take(k Link) {
	head, _ := withoutBreaks(k.URI[:min(len(k.URI), 64)])
	scheme, rest, ok := cutScheme(head)
	switch {
	case !ok:
		if strings.HasPrefix(head, `\\`) { // a share of Windows, where nothing says what links are relative to
			r.list.Add(k)
		}
		if r.list.More || len(r.relative) == Most || k.URI == "" || k.URI[0] == '#' {
			return
		}
		k.URI = cut(k.URI, MaxURI)
		r.relative = append(r.relative, k)
		return
	case scheme == "data":
		if k.Where == InResource && hasPrefixFold(rest, "image/") && !hasPrefixFold(rest, "image/svg") || k.Where == InResource && hasPrefixFold(rest, "font/") {
			return // a picture that is there
		}
		r.nested(dataPage(k.URI))
	case scheme == "javascript" || scheme == "vbscript":
		r.code(k.URI)
	case scheme == "mailto" || scheme == "tel" || scheme == "cid" || scheme == "sms" || scheme == "mid" || scheme == "about":
		return
	}
	r.list.Add(k)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
