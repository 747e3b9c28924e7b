package mime

import (
	"slices"
	"strings"
)

// said is what clients make of one parameter: the value that most would take first.
type said struct {
	values   []string
	repeated bool // it stands there twice, with different values
	split    bool // clients put it together differently
	broken   bool // an encoded word in it cannot be decoded
}

// maxNames bounds how many readings of one parameter are kept.
const maxNames = 8

func (r *said) add(s string) {
	if s = strings.TrimRight(s, "\x00"); s != "" && len(r.values) < maxNames && !slices.Contains(r.values, s) {
		r.values = append(r.values, s)
	}
}

// says reads one parameter: as RFC 2231 has it, else as it stands. Encoded words in it are decoded where decode says so,
// which no RFC allows and nearly all clients do.
func (v *value) says(name string, decode bool) (r said) {
	var sections []param
	plain := ""
	for i := range v.params {
		p := &v.params[i]
		switch {
		case p.name != name:
		case p.section >= 0:
			sections = append(sections, *p)
		case p.extended:
			r.add(join([]param{*p}))
		}
	}
	r.sections(sections)
	special := len(r.values)
	for i := range v.params {
		p := &v.params[i]
		if p.name != name || p.section >= 0 || p.extended {
			continue
		}
		if plain != "" && plain != p.text {
			r.repeated = true
		}
		plain = p.text
		r.plain(p, decode)
	}
	if special > 0 && len(r.values) > special {
		r.split = true
	}
	return r
}

// plain adds the readings of a parameter that is not of RFC 2231.
func (r *said) plain(p *param, decode bool) {
	text := p.text
	if decode {
		var broken bool
		text, broken = decodeWords(text)
		r.broken = r.broken || broken
	}
	r.add(text)
	if p.short != "" {
		r.split = true
		r.add(p.short)
	}
	if p.raw != "" && strings.ContainsFunc(p.raw, func(c rune) bool { return c != '\\' && c != '"' }) && !onlyQuotes(p.raw) {
		r.add(readable(p.raw)) // "C:\dir\name": an escape to some, a path to others
	}
}

// onlyQuotes reports whether backslashes stand only where they must: before a quote or a backslash.
func onlyQuotes(raw string) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if i < len(raw) && raw[i] != '"' && raw[i] != '\\' {
			return false
		}
	}
	return true
}

// sections adds what continuations come to: in the order of their numbers, which is right, and in that in which they stand,
// which is what some clients do. Behind a missing number nothing counts, and for some clients all does.
func (r *said) sections(list []param) {
	if len(list) == 0 {
		return
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b param) int { return a.section - b.section })
	whole := 0
	for whole < len(sorted) && sorted[whole].section == whole {
		whole++
	}
	r.add(join(sorted[:whole]))
	if whole < len(sorted) {
		r.split = true
		r.add(join(sorted))
	}
	if !slices.EqualFunc(list, sorted, func(a, b param) bool { return a.section == b.section && a.text == b.text }) {
		r.split = true
		r.add(join(list))
	}
}

// join puts sections together. The first extended one says the charset of all.
func join(list []param) string {
	var out []byte
	charset, told := "", false
	for i := range list {
		text := list[i].text
		if !list[i].extended {
			out = append(out, text...)
			continue
		}
		if !told {
			told = true
			if a, rest, ok := strings.Cut(text, "'"); ok {
				if _, b, ok := strings.Cut(rest, "'"); ok {
					charset, text = a, b
				}
			}
		}
		out = unpercent(out, text)
	}
	if charset == "" {
		return readable(string(out))
	}
	return string(toUTF8(charset, out))
}

// unpercent undoes the escapes of RFC 2231 section 4.
func unpercent(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && hexDigit(s[i+1])|hexDigit(s[i+2]) < 16 {
			out = append(out, hexDigit(s[i+1])<<4|hexDigit(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

// all returns the parameters of a field by their names, each as most clients take it; nil for none.
func (v *value) all() map[string]string {
	if len(v.params) == 0 {
		return nil
	}
	out := make(map[string]string, len(v.params))
	for i := range v.params {
		p := &v.params[i]
		if _, done := out[p.name]; done {
			continue
		}
		if p.section < 0 && !p.extended && p.name == "charset" {
			out[p.name] = p.text // nearly always
			continue
		}
		if r := v.says(p.name, true); len(r.values) > 0 {
			out[p.name] = r.values[0]
		} else {
			out[p.name] = ""
		}
	}
	return out
}
