package author

import (
	"bytes"
	"strings"
)

// maxValue bounds a From field. Real ones have some dozen octets, long encoded names some hundred.
const maxValue = 4096

// reading is one From field on its way to an Author.
type reading struct {
	*Author
	lexed
	text     string
	smtputf8 bool
}

// value reads one From field, given what stands behind its colon.
func (a *Author) value(raw []byte, smtputf8 bool) {
	if len(raw) > maxValue {
		a.wrong(TooLong, "")
		return
	}
	text, ok := a.unfold(raw)
	if text = strings.Trim(text, " \t"); text == "" {
		a.wrong(Empty, "")
		return
	}
	var room [usualTokens]token
	r := reading{a, lex(text, room[:]), text, smtputf8}
	if !ok {
		r.gather() // what it names is told all the same
		return
	}
	problems, addresses := len(a.Problems), len(a.Addresses)
	switch {
	case r.angles == 1 && r.closed == 1:
		r.nameAddr()
	case r.angles == 0 && r.closed == 0:
		r.addrSpec()
	case strings.Trim(text, "<> \t") == "":
		r.wrong(Empty, text)
	case r.ats > 1:
		r.wrong(SeveralAuthors, text)
	default:
		r.wrong(Syntax, text)
	}
	if len(a.Problems) > problems && len(a.Addresses) == addresses {
		r.gather()
	}
}

// unfold takes the folds out of a field (RFC 5322 section 2.2.3), and reports false where it holds what no field may.
func (a *Author) unfold(raw []byte) (text string, ok bool) {
	raw = bytes.TrimRight(raw, " \t\r\n")
	if !bytes.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return string(raw), true
	}
	ok = true
	b := make([]byte, 0, len(raw))
	blank := false // the line so far is a folded one of white space only
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\r' && i+2 < len(raw) && raw[i+1] == '\n' && (raw[i+2] == ' ' || raw[i+2] == '\t'):
			if blank {
				a.wrong(Folding, "")
				ok = false
			}
			i++
			blank = true
		case c < ' ' && c != '\t' || c == 0x7f:
			a.wrong(Control, "octet "+string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15]))
			ok = false
			b = append(b, ' ')
		default:
			blank = blank && (c == ' ' || c == '\t')
			b = append(b, c)
		}
	}
	return string(b), ok
}

// gather keeps every address of a field that is no plain one, so that it can be told whom it names.
func (r *reading) gather() {
	for i, t := range r.tokens {
		if !t.is('@') || i == 0 || i+1 == len(r.tokens) {
			continue
		}
		local, host := r.tokens[i-1], r.tokens[i+1]
		if (local.kind == atom || local.kind == encoded || local.kind == quoted) && host.kind == atom {
			if domain, wrong := toDomain(host.text, true); wrong == 0 || wrong == NoDomain {
				r.found(local.text, domain)
			}
		}
	}
}

// addrSpec reads a field without angle brackets: one address, with comments around it, or a group.
func (r *reading) addrSpec() {
	tokens, comments := r.withoutComments(r.tokens)
	if r.group(tokens) {
		return
	}
	tokens = withoutTail(tokens)
	switch {
	case r.ats == 0:
		r.wrong(NoAddress, r.text)
	case r.ats > 1:
		r.wrong(SeveralAuthors, r.text)
	case r.broken:
		r.wrong(Syntax, r.text)
	case comments.strange || comments.ats > 0:
		r.wrong(InComment, r.text)
	case r.address(tokens):
		r.nameIs(comments.text, "")
	}
}

// group reports whether a field without angle brackets is a group (RFC 5322 section 3.4), or something else with the colon
// of one.
func (r *reading) group(tokens []token) bool {
	colon := -1
	for i, t := range tokens {
		if t.is(':') {
			colon = i
			break
		}
	}
	if colon < 0 {
		return false
	}
	all, _ := decode(r.text)
	if rest := tokens[colon+1:]; strings.Contains(all, "@") || len(rest) > 1 || len(rest) == 1 && !rest[0].is(';') || colon == 0 {
		r.wrong(Group, r.text)
	} else {
		r.wrong(EmptyGroup, r.text)
		r.nameIs(r.text, "")
	}
	return true
}

// withoutTail drops a comma or semicolon that ends the field and separates its address from nothing.
func withoutTail(tokens []token) []token {
	if n := len(tokens); n > 0 && (tokens[n-1].is(',') || tokens[n-1].is(';')) {
		return tokens[:n-1]
	}
	return tokens
}

// remarks are the comments of a field.
type remarks struct {
	text    string
	ats     int
	strange bool // a reader without an idea of comments, or of quotes in them, would see angle brackets
}

// withoutComments parts the comments from other tokens.
func (r *reading) withoutComments(tokens []token) ([]token, remarks) {
	var c remarks
	for i, t := range tokens {
		if t.kind != comment {
			continue
		}
		rest := tokens[:i:i]
		for _, t := range tokens[i:] {
			if t.kind != comment {
				rest = append(rest, t)
				continue
			}
			all, _ := decode(t.text)
			c.text += " " + all
			c.ats += strings.Count(all, "@")
			c.strange = c.strange || strings.ContainsAny(t.text, "<>")
		}
		return rest, c
	}
	return tokens, c
}

// nameAddr reads a field with one pair of angle brackets: a name or none, the address, and nothing but comments behind.
func (r *reading) nameAddr() {
	open, end := -1, -1
	for i, t := range r.tokens {
		switch {
		case t.is('<'):
			open = i
		case t.is('>'):
			end = i
		}
	}
	if end < open {
		r.wrong(Syntax, r.text)
		return
	}
	name, inner, behind := r.tokens[:open], r.tokens[open+1:end], r.tokens[end+1:]
	behind, after := r.withoutComments(behind)
	switch {
	case len(behind) > 0 && behind[len(behind)-1].is(';') && hasSign(name, ':'):
		r.wrong(Group, r.text)
		return
	case len(withoutTail(behind)) > 0:
		if hasSign(behind, '@') {
			r.wrong(SeveralAuthors, r.text)
		} else {
			r.wrong(TextBehind, r.text)
		}
		return
	case after.strange || after.ats > 0:
		r.wrong(InComment, r.text)
		return
	case len(inner) == 0:
		r.wrong(Empty, r.text)
		return
	case inner[0].is('@') || hasSign(inner, ':') && !hasSign(inner, '['):
		r.wrong(Route, r.text)
		return
	}
	if r.address(inner) {
		r.name(name, r.text[:r.tokens[open].at], after.text)
	}
}

func hasSign(tokens []token, c byte) bool {
	for _, t := range tokens {
		if t.is(c) {
			return true
		}
	}
	return false
}
