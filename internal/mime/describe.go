package mime

import "strings"

// describe writes down what the fields of a part say of it, and returns its Content-Type.
func (r *run) describe(part int, f *fields, implied string) value {
	p := &r.t.Parts[part]
	p.Type = implied
	var v value
	if len(f.contentType) > 0 {
		v = parse(f.contentType[0])
		r.typed(part, &v, f)
	}
	if len(f.encoding) > 0 {
		r.encoded(part, f)
	}
	if len(f.disposition) > 0 {
		r.disposed(part, f)
	}
	if len(v.params) > 0 {
		p.Params = v.all()
		r.repeated(part, &v)
		r.named(part, &v, "name")
	}
	p.ContentID = f.id
	if f.broken != "" {
		r.defect(HeaderBroken, part, f.broken)
	}
	if part == 0 && !f.version && len(f.contentType)+len(f.encoding) > 0 {
		r.defect(MissingVersion, part, "")
	}
	return v
}

// repeated notes a boundary or a charset that stands there twice and differs.
func (r *run) repeated(part int, v *value) {
	if len(v.params) < 2 {
		return
	}
	for _, name := range [...]string{"boundary", "charset"} {
		s := v.says(name, false)
		if len(s.values) < 2 {
			continue
		}
		r.defect(ParamRepeated, part, name+" "+strings.Join(s.values, " | "))
		for _, other := range s.values[1:] {
			if _, odd, _ := charsetOf(other); odd && name == "charset" {
				r.defect(CharsetOdd, part, other)
			}
		}
	}
}

// typed reads Content-Type, of which there may be several: the first counts, and what others make of the part is owed.
func (r *run) typed(part int, v *value, f *fields) {
	p := &r.t.Parts[part]
	switch {
	case isType(v.word):
		p.Type = v.word
		if v.broken {
			r.defect(TypeBroken, part, f.contentType[0])
			r.forgotten(part, f.contentType[0])
		}
	default:
		p.Type = "text/plain" // RFC 2045 section 5.2
		r.defect(TypeBroken, part, f.contentType[0])
		r.forgotten(part, f.contentType[0])
	}
	for _, other := range f.contentType[1:] {
		if other == f.contentType[0] {
			continue
		}
		r.defect(TypeRepeated, part, f.contentType[0]+" | "+other)
		r.owes(owed{part: part, kind: byType, text: other})
	}
}

// forgotten owes a reading of a broken field that names a multipart and, somewhere, a boundary.
func (r *run) forgotten(part int, text string) {
	lower := asciiLower(text)
	i := strings.Index(lower, "boundary")
	if i < 0 || !strings.Contains(lower, "multipart") {
		return
	}
	s := scanner{in: text, at: i}
	if p, ok := s.param(); ok && p.name == "boundary" && p.text != "" {
		if p.short != "" {
			p.text = p.short
		}
		r.owes(owed{part: part, kind: bySecond, text: p.text})
	}
}

// asciiLower keeps the places of octets, which strings.ToLower does not.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// isType reports whether a word is a media type: two tokens and a slash.
func isType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && isToken(major) && isToken(minor)
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 127 || strings.IndexByte("()<>@,;:\\\"/[]?=", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// encoded reads Content-Transfer-Encoding.
func (r *run) encoded(part int, f *fields) {
	p := &r.t.Parts[part]
	p.Encoding = transfer(f.encoding[0])
	kind, ok := known(p.Encoding)
	if !ok {
		r.defect(EncodingUnknown, part, p.Encoding)
	}
	for _, other := range f.encoding[1:] {
		other = transfer(other)
		if other == p.Encoding {
			continue
		}
		r.defect(EncodingRepeated, part, p.Encoding+" | "+other)
		if k, _ := known(other); k != kind {
			r.owes(owed{part: part, kind: byEncoding, text: other})
		}
	}
}

// disposed reads Content-Disposition, whose name counts before that of Content-Type. A disposition that nobody knows is an
// attachment (RFC 2183 section 2.8).
func (r *run) disposed(part int, f *fields) {
	for i, text := range f.disposition {
		v := parse(text)
		if i == 0 {
			if r.t.Parts[part].Disposition = "attachment"; v.word == "inline" {
				r.t.Parts[part].Disposition = "inline"
			}
		}
		r.named(part, &v, "filename")
	}
}

// named adds the names that a field gives a part.
func (r *run) named(part int, v *value, param string) {
	p := &r.t.Parts[part]
	s := v.says(param, true)
	before := len(p.Names)
	all := said{values: p.Names}
	for _, name := range s.values {
		all.add(name)
	}
	p.Names = all.values
	what := strings.Join(p.Names, " | ")
	if s.repeated {
		r.defect(ParamRepeated, part, what)
	}
	if s.split || before > 0 && len(p.Names) > before {
		r.defect(NameSplit, part, what)
	}
	if s.broken {
		r.defect(WordBroken, part, what)
	}
}
