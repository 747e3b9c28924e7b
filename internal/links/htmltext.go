package links

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// end closes an element.
func (r *reading) end() {
	b, _ := r.z.TagName()
	r.raw = ""
	if string(b) == "a" {
		r.close()
	}
	if r.hidden != "" && string(b) == r.hidden {
		if r.level--; r.level == 0 {
			r.hidden = ""
		}
	}
}

// close ends the link that is open.
func (r *reading) close() {
	if !r.open {
		return
	}
	r.anchor.Text = r.shown.String()
	r.shown.Reset()
	r.open, r.space = false, false
	r.take(r.anchor)
}

// text looks at text: of a link that is open, or of the page, in which clients make links of what looks like one.
func (r *reading) text() {
	raw := r.raw
	r.raw = ""
	switch raw {
	case "":
	case "script":
		r.code(string(r.z.Text()))
		return
	default:
		b := r.z.Raw()
		if raw == "style" {
			r.css(string(b))
		}
		if containsFold(b, "href") || containsFold(b, "src") {
			r.nested(string(b)) // text for one reader, HTML for another
		}
		return
	}
	switch {
	case r.open:
		if r.hidden == "" && r.shown.Len() < maxShown {
			b := r.z.Raw()
			if len(b) > 8*maxShown { // enough for what is kept, were each letter an entity
				b = b[:8*maxShown]
				r.show(unescape(b))
				return
			}
			r.show(string(r.z.Text()))
		}
	case bytes.IndexByte(r.z.Raw(), '.') >= 0 || bytes.IndexByte(r.z.Raw(), ';') >= 0:
		r.list.Octets(r.part, r.z.Text())
	}
}

// unescape is a beginning of a long text, whose entities nobody needs.
func unescape(b []byte) string { return strings.ToValidUTF8(string(b), "") }

// show adds to the shown text: white space folded, without what nobody sees.
func (r *reading) show(s string) {
	for _, c := range s {
		switch {
		case unicode.IsSpace(c) || c == 0x2800 || c == 0x3164:
			r.space = r.space || r.shown.Len() > 0
			continue
		case c == 0xad || c == 0x34f || c == 0xfeff || c == utf8.RuneError || c < ' ' || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Variation_Selector, c):
			continue
		}
		if r.shown.Len() >= maxShown-utf8.UTFMax {
			return
		}
		if r.space {
			r.shown.WriteByte(' ')
			r.space = false
		}
		r.shown.WriteRune(c)
	}
}

// invisible reports whether a style hides an element.
func invisible(style []byte) bool {
	if bytes.IndexByte(style, '0') < 0 && !containsFold(style, "none") && !containsFold(style, "hid") {
		return false
	}
	flat := bytes.ToLower(bytes.Map(func(c rune) rune {
		if c <= ' ' {
			return -1
		}
		return c
	}, style[:min(len(style), 4096)]))
	for _, what := range [...]string{"display:none", "visibility:hidden", "font-size:0", "mso-hide:all", "opacity:0;", "max-height:0;overflow:hidden"} {
		i := bytes.Index(flat, []byte(what))
		if i < 0 {
			continue
		}
		after := flat[i+len(what):]
		if what == "font-size:0" && len(after) > 0 && (after[0] == '.' || after[0] >= '0' && after[0] <= '9') {
			continue
		}
		return true
	}
	return false
}

// css takes what a style fetches: url(...) and @import.
func (r *reading) css(s string) {
	for rest := s; ; {
		i := strings.IndexByte(rest, '(')
		if i < 0 {
			break
		}
		before := rest[:i]
		rest = rest[i+1:]
		if len(before) < 3 || !strings.EqualFold(before[len(before)-3:], "url") {
			continue
		}
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			break
		}
		r.link(InResource, strings.Trim(rest[:end], " \t\r\n\"'"), "")
		rest = rest[end+1:]
	}
	for rest := s; ; {
		i := strings.Index(rest, "@import")
		if i < 0 {
			return
		}
		rest = strings.TrimLeft(rest[i+len("@import"):], " \t\r\n")
		if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
			if end := strings.IndexByte(rest[1:], rest[0]); end >= 0 {
				r.link(InResource, rest[1:1+end], "")
			}
		}
	}
}

// code takes the links that stand in a script: those that it leads to, and those that it only knows.
func (r *reading) code(s string) {
	if len(r.Code) < maxCode {
		r.Code = append(r.Code, s)
	}
	for at := 0; !r.list.More; {
		i := strings.Index(s[at:], "://")
		slashes := 3
		if j := strings.Index(s[at:], `:\/\/`); i < 0 || j >= 0 && j < i {
			i, slashes = j, 5
		}
		if i < 0 {
			return
		}
		i += at
		at = i + slashes
		begin := i - len("https")
		switch {
		case begin >= 0 && strings.EqualFold(s[begin:i], "https"):
		case i >= len("http") && strings.EqualFold(s[i-len("http"):i], "http"):
			begin = i - len("http")
		default:
			continue
		}
		end := strings.IndexAny(s[at:min(len(s), at+MaxURI)], "\"'`<> \t\r\n)")
		if end < 0 {
			end = min(len(s), at+MaxURI) - at
		}
		if end == 0 {
			continue
		}
		where, before := InResource, strings.ToLower(s[max(0, begin-40):begin])
		if strings.Contains(before, "location") || strings.Contains(before, "open(") || strings.Contains(before, "navigate(") {
			where = InRefresh
		}
		r.list.Add(Link{URI: strings.ReplaceAll(s[begin:at+end], `\/`, "/"), Where: where, Part: r.part})
		at += end
	}
}

// dataPage is the page that a data: link holds; "" where it holds another thing.
func dataPage(uri string) string {
	uri, _ = withoutBreaks(uri)
	head, body, ok := strings.Cut(uri, ",")
	head = strings.ToLower(head)
	if !ok || !strings.Contains(head, "html") && !strings.Contains(head, "svg") && !strings.Contains(head, "xml") {
		return ""
	}
	if u, err := url.PathUnescape(body); err == nil {
		body = u
	}
	if strings.Contains(head, ";base64") {
		b, _ := base64.StdEncoding.DecodeString(strings.TrimRight(body, "="))
		if len(b) == 0 {
			b, _ = base64.RawStdEncoding.DecodeString(strings.TrimRight(body, "="))
		}
		body = string(b)
	}
	return body
}

// containsFold reports whether b has a word of lower-case letters, in any case.
func containsFold(b []byte, word string) bool {
	for {
		i := bytes.IndexAny(b, word[:1]+strings.ToUpper(word[:1]))
		if i < 0 || len(b)-i < len(word) {
			return false
		}
		if bytes.EqualFold(b[i:i+len(word)], []byte(word)) {
			return true
		}
		b = b[i+1:]
	}
}
