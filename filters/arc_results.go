package filters

import (
	"strings"

	"gatepost/gateway"
)

// ownResults are results as a sealer signed them.
type ownResults struct {
	server  string // authserv-id
	results []gateway.AuthResult
}

// maxResults bounds the results and the properties of one that are read.
const maxResults = 100

// readResults reads the value of an ARC-Authentication-Results behind i= by the grammar of RFC 8601 section 2.2. Text in
// comments is never a result. It is strict: what does not follow the grammar from its first to its last octet is nothing,
// but for properties without a type ("action=none"), which large sealers write and which say nothing here.
func readResults(text string) (r ownResults, ok bool) {
	p := &resultReader{text: text}
	p.space()
	if r.server, ok = p.value(); !ok {
		return r, false
	}
	if p.space(); p.rest() != "" && p.text[p.at] != ';' {
		if version, ok := p.value(); !ok || strings.Trim(version, "0123456789") != "" { // authres-version
			return r, false
		}
	}
	for p.space(); p.rest() != ""; p.space() {
		if !p.octet(';') || len(r.results) == maxResults {
			return r, false
		}
		p.space()
		if p.rest() == "" {
			return r, len(r.results) > 0 // a semicolon at the end: obsolete, and harmless
		}
		one, ok := p.result()
		if !ok {
			return r, false
		}
		if one.Method != "" {
			r.results = append(r.results, one)
		}
	}
	return r, true
}

// resultReader reads from text at at. Each step leaves it behind what it read.
type resultReader struct {
	text string
	at   int
}

func (p *resultReader) rest() string { return p.text[p.at:] }

// space leaves out white space, folds and comments; a comment that does not end hides the rest.
func (p *resultReader) space() {
	depth := 0
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			p.at++
		case depth > 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n':
		default:
			return
		}
	}
	p.at = min(p.at, len(p.text))
}

func (p *resultReader) octet(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// word reads a keyword: letters, digits and hyphens (RFC 5321 section 4.1.2, Keyword).
func (p *resultReader) word() string {
	from := p.at
	for p.at < len(p.text) {
		c := p.text[p.at] | 0x20
		if (c < 'a' || c > 'z') && (p.text[p.at] < '0' || p.text[p.at] > '9') && p.text[p.at] != '-' && p.text[p.at] != '_' {
			break
		}
		p.at++
	}
	return strings.ToLower(p.text[from:p.at])
}

// value reads a token (RFC 2045 section 5.1, with the "/" and "=" that identities and base64 have) or a quoted string.
func (p *resultReader) value() (string, bool) {
	if p.octet('"') {
		var b strings.Builder
		for p.at < len(p.text) {
			c := p.text[p.at]
			p.at++
			switch {
			case c == '"':
				return b.String(), true
			case c == '\\' && p.at < len(p.text):
				b.WriteByte(p.text[p.at])
				p.at++
			case c == '\r' || c == '\n':
				return "", false
			default:
				b.WriteByte(c)
			}
		}
		return "", false
	}
	from := p.at
	for p.at < len(p.text) && p.text[p.at] > ' ' && p.text[p.at] != 0x7f && !strings.ContainsRune(`()<>,;:\"[]?`, rune(p.text[p.at])) {
		p.at++
	}
	return p.text[from:p.at], p.at > from
}

// result reads one: method, result, reason, properties. The word none alone has no method.
func (p *resultReader) result() (r gateway.AuthResult, ok bool) {
	if r.Method = p.word(); r.Method == "" {
		return r, false
	}
	p.space()
	if p.octet('/') {
		p.space()
		if p.word() == "" {
			return r, false
		}
		p.space()
	}
	if !p.octet('=') {
		return gateway.AuthResult{}, r.Method == "none" && (p.rest() == "" || p.text[p.at] == ';')
	}
	p.space()
	if r.Result = p.word(); r.Result == "" {
		return r, false
	}
	for p.space(); p.rest() != "" && p.text[p.at] != ';'; p.space() {
		kind, name := p.word(), ""
		p.space()
		if p.octet('.') {
			p.space()
			name = p.word()
			p.space()
		}
		if kind == "" || !p.octet('=') || len(r.Props) == maxResults {
			return r, false
		}
		p.space()
		value, ok := p.value()
		if p.octet('@') && ok { // a quoted local part
			domain, well := p.value()
			value, ok = value+"@"+domain, well
		}
		if !ok {
			return r, false
		}
		r.Props = append(r.Props, gateway.AuthProp{Type: kind, Name: name, Value: value})
	}
	return r, true
}
