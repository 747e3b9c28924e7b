package mime

import (
	"bytes"
	"strings"
	"unicode"
)

func printable(r rune) bool { return unicode.IsPrint(r) }

// header reads the header section of a part. It reports whether the section ended by an empty line: without one, by a
// boundary or the end of all, the part has no content.
func (r *run) header(part int, f *fields) (ended bool) {
	n, end := 0, 0 // what of the section was looked at, and where it ends
	first := true
	for {
		b := r.win.rest()
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			if len(b) <= r.l.Header && r.win.more() {
				continue
			}
			if len(b) <= r.l.Header { // the message ends within it
				end, n = len(b), len(b)
				break
			}
		}
		if n+i > r.l.Header || i < 0 {
			r.defect(TooBig, part, "header section")
			end, ended = n, true
			break
		}
		line := b[n : n+i+1]
		if line[0] == '\n' || len(line) == 2 && line[0] == '\r' {
			end, n, ended = n, n+len(line), true
			break
		}
		if line[0] == '-' && len(r.frames) > 0 {
			if _, _, is := r.match(line); is {
				end = n
				break
			}
		}
		if first && r.noField(part, line, f) {
			end, ended = 0, true
			n = 0
			break
		}
		first = false
		n += len(line)
	}
	section := r.win.rest()[:end]
	r.win.at += n
	r.t.Parts[part].Content = r.win.place()
	f.section(section)
	return ended
}

// noField reports whether the first line of a section is no field: then there is no section, and the content begins with it.
// The separator of an mbox file is passed over.
func (r *run) noField(part int, line []byte, f *fields) bool {
	if part == 0 && (bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))) {
		return false
	}
	colon := bytes.IndexByte(line, ':')
	if colon > 0 && !bytes.ContainsAny(bytes.TrimRight(line[:colon], " \t"), " \t") || line[0] == ' ' || line[0] == '\t' {
		return false
	}
	f.spoil(bytes.TrimRight(line, "\r\n"))
	return true
}

// section cuts a header section into fields.
func (f *fields) section(b []byte) {
	for len(b) > 0 {
		end := 0
		for {
			i := bytes.IndexByte(b[end:], '\n')
			if i < 0 {
				end = len(b)
				break
			}
			end += i + 1
			if end == len(b) || b[end] != ' ' && b[end] != '\t' {
				break
			}
			if isWhite(b[end:]) {
				f.spoil(nil) // an empty line to some clients, and then the end of the section
			}
		}
		if !f.field(b[:end]) && !bytes.HasPrefix(b, []byte("From ")) {
			f.spoil(bytes.TrimRight(b[:end], "\r\n"))
		}
		b = b[end:]
	}
}

// isWhite reports whether the first line of b is nothing but blanks.
func isWhite(b []byte) bool {
	for _, c := range b {
		switch c {
		case '\n':
			return true
		case ' ', '\t', '\r':
		default:
			return false
		}
	}
	return false
}

// decide tells what a part is by its fields, and begins to read it: as a multipart, as content, or as a message, whose place
// it returns.
func (r *run) decide(part int, f *fields, implied string, ended bool) (next int, message bool) {
	v := r.describe(part, f, implied)
	p := &r.t.Parts[part]
	kind := p.kind()
	isMessage := p.Type == "message/rfc822" || p.Type == "message/global" || p.Type == "message/news"
	switch {
	case strings.HasPrefix(p.Type, "multipart/"):
		if !ended {
			return 0, false
		}
		boundary := v.says("boundary", false)
		if kind > plain {
			r.defect(EncodingNested, part, p.Encoding)
		}
		if !r.multipart(part, &v, boundary) {
			r.takes(part, kind)
		}
		return 0, false
	case isMessage && p.Depth+1 > r.l.Depth:
		r.defect(TooDeep, part, p.Type)
	case isMessage && kind == plain:
		return r.enclosed(part)
	case isMessage:
		r.defect(EncodingNested, part, p.Encoding)
		r.owes(owed{part: part, kind: encodedMessage})
	case p.Type == "message/partial":
		r.defect(Partial, part, p.Params["number"])
	case p.Type == "message/external-body":
		r.defect(ExternalBody, part, p.Params["access-type"]+" "+p.Params["site"]+p.Params["url"])
	}
	r.takes(part, kind)
	return 0, false
}

// takes begins to take content in.
func (r *run) takes(part int, kind transferEncoding) {
	r.leaf.begin(r.walk, part, kind, r.win.r == nil)
	r.active = true
}

// enclosed adds the message that a part is.
func (r *run) enclosed(part int) (next int, ok bool) {
	p := r.t.Parts[part]
	path := p.Path
	if path == "" {
		path = "1" // a message whose content is a message
	}
	return r.part(Part{Parent: part, Depth: p.Depth + 1, Path: path + ".1", Doubt: p.Doubt})
}

// multipart begins to read the parts of a multipart. It reports false where there is nothing to tell them apart, or they lie too
// deep: then the part is content like any other.
func (r *run) multipart(part int, v *value, boundary said) bool {
	p := &r.t.Parts[part]
	if p.Depth+1 > r.l.Depth {
		r.defect(TooDeep, part, p.Type)
		return false
	}
	if len(boundary.values) == 0 {
		for i := range v.params {
			if v.params[i].name == "boundary" {
				r.defect(BoundaryOdd, part, "an empty one")
				r.frame(part, "")
				return true
			}
		}
		r.defect(BoundaryMissing, part, p.Type)
		r.owes(owed{part: part, kind: guessed})
		return false
	}
	for _, other := range boundary.values[1:] {
		r.owes(owed{part: part, kind: bySecond, text: other})
	}
	r.frame(part, boundary.values[0])
	return true
}

// frame begins to read parts by a boundary.
func (r *run) frame(part int, boundary string) {
	boundary = strings.TrimRight(boundary, " \t")
	if odd := oddBoundary(boundary); odd {
		r.defect(BoundaryOdd, part, boundary)
	}
	b := []byte("--" + boundary)
	for i := range r.frames {
		if other := r.frames[i].boundary; bytes.HasPrefix(other, b) || bytes.HasPrefix(b, other) {
			r.defect(BoundaryOdd, part, boundary+" and "+string(other[2:]))
		}
	}
	r.frames = append(r.frames, frame{part: part, at: len(r.open) - 1, boundary: b, path: r.pathBelow(part), from: r.win.place()})
}

// pathBelow is what the paths of the parts of a multipart begin with. A message that is a multipart gives its own number to
// them.
func (r *run) pathBelow(part int) string {
	p := &r.t.Parts[part]
	path := p.Path
	if p.Parent >= 0 && strings.HasPrefix(r.t.Parts[p.Parent].Type, "message/") && !strings.Contains(path, "~") {
		path = strings.TrimSuffix(path, ".1")
		p.Path = path + ".TEXT"
	}
	if path == "" {
		return ""
	}
	return path + "."
}

// oddBoundary reports whether RFC 2046 section 5.1.1 does not allow a boundary.
func oddBoundary(b string) bool {
	if len(b) > 70 || b == "" || strings.HasSuffix(b, "--") && strings.Trim(b, "-") != "" {
		return true
	}
	for _, c := range []byte(b) {
		if c < ' ' || c > '~' || strings.IndexByte("\"\\<>@[]{}|^~`!#$%&*;", c) >= 0 {
			return true
		}
	}
	return false
}
