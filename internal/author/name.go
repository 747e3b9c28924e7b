package author

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// name looks at what stands before the angle brackets: tokens and raw are the same text. The address was read.
func (r *reading) name(tokens []token, raw, behind string) {
	if len(tokens) == 0 {
		r.nameIs(behind, "")
		return
	}
	all, hidden := decode(raw)
	if r.broken && strings.Count(all, "@") > 0 {
		r.wrong(Syntax, r.text)
		return
	}
	if strings.Contains(all, "@") && r.disturbs(tokens, all, hidden) {
		return
	}
	r.nameIs(all, behind)
}

// disturbs reports, as a Problem, whether a reader that is no better than some that are in use could take an address in the
// name for the author's. One of the author's own domain changes nothing.
func (r *reading) disturbs(tokens []token, all, hidden string) bool {
	own := r.Addresses[len(r.Addresses)-1].Domain
	if i := slices.IndexFunc(tokens, func(t token) bool { return t.is('@') }); i >= 0 {
		if hasSign(tokens, ',') || hasSign(tokens, ';') {
			r.wrong(SeveralAuthors, r.text)
			return true
		}
		for ; i < len(tokens); i++ {
			if tokens[i].is('@') && !r.sameOrNone(tokens[i+1:], own) {
				r.wrong(InName, r.text)
				return true
			}
		}
	}
	if !foreign(all, own) {
		return false
	}
	// Some decode first and take apart then: the paper saw it in two large webmail services.
	if hidden != "" && hides(tokens, all, hidden, own) {
		r.wrong(InEncoded, r.text)
		return true
	}
	for _, t := range tokens {
		switch {
		case t.is('\\'), t.kind == quoted && strings.Count(t.text, `"`)%2 == 1,
			t.kind == quoted && strings.ContainsRune(t.text, '\\') && strings.ContainsAny(t.text, "<>,;") && foreign(t.text, own):
			r.wrong(InQuotes, r.text) // whether a backslash takes a quote away is up to the reader
			return true
		case t.kind == comment && (strings.ContainsAny(t.text, "<>\"\\") || strings.ContainsAny(t.text, ",;:") && foreign(t.text, own)):
			r.wrong(InComment, r.text)
			return true
		}
	}
	return false
}

// hides reports whether what encoded words hold would, decoded too early, bring out an address: in angle brackets, from
// within quotes, or parted by a comma.
func hides(tokens []token, all, hidden, own string) bool {
	switch {
	case strings.ContainsAny(hidden, "<>"), strings.Count(hidden, `"`)%2 == 1:
		return true
	case strings.Contains(hidden, "@") && (hasSign(tokens, ',') || hasSign(tokens, ';')):
		return true
	case !strings.ContainsAny(hidden, ",;"):
		return false
	}
	return slices.ContainsFunc(strings.FieldsFunc(all, func(c rune) bool { return c == ',' || c == ';' }), func(part string) bool {
		return !strings.ContainsAny(strings.TrimSpace(part), ` ("`) && foreign(part, own)
	})
}

// sameOrNone reports whether what follows an unquoted "@" is the domain itself, or nothing that could be one.
func (r *reading) sameOrNone(tokens []token, own string) bool {
	host := ""
	for _, t := range tokens {
		if t.kind == comment {
			continue
		}
		// White space may stand around the dots of an obsolete domain (RFC 5322 section 4.4).
		if t.kind != atom && t.kind != quoted || host != "" && !strings.HasSuffix(host, ".") && !strings.HasPrefix(t.text, ".") {
			break
		}
		host += t.text
	}
	host = strings.Trim(host, ".'") // some programs put an address into apostrophes where they mean it as a name
	if !strings.Contains(host, ".") {
		return true
	}
	domain, _ := toDomain(host, true)
	return domain != "" && domain == own
}

// foreign reports whether a text names an address of a domain that is neither the author's nor below it: who may use the
// author's domain need not be allowed to use one above it.
func foreign(text, own string) bool { return len(poses(text, own, below)) > 0 }

// nameIs tells what is remarkable about the name and the comments as they are shown.
func (r *reading) nameIs(name, remark string) {
	if remark != "" {
		name += " " + remark
	}
	r.Name = strings.TrimSpace(name[:min(len(name), maxName)])
	r.EightBit = r.EightBit || !isASCII(r.text)
	r.Veiled = r.Veiled || strings.ContainsFunc(name, veils)
	if len(r.Addresses) > 0 && strings.ContainsFunc(name, func(c rune) bool { return c == '@' || c == '＠' || c == '﹫' }) {
		r.Poses = poses(name, r.Addresses[len(r.Addresses)-1].Domain, related)
	}
}

// veils reports a character that hides or turns what is shown. Marks of direction that names in Hebrew or Arabic need
// (U+200E, U+200F) turn nothing but themselves.
func veils(r rune) bool {
	return r < ' ' && r != '\t' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// maxPoses bounds the domains that are told.
const maxPoses = 4

// poses lists the domains of addresses in a text that are not as good as the author's own.
func poses(text, own string, asGood func(domain, own string) bool) (out []string) {
	if !isASCII(text) {
		text = norm.NFKC.String(text)
	}
	for from := 0; len(out) < maxPoses; {
		i := strings.IndexByte(text[from:], '@')
		if i < 0 {
			break
		}
		at := from + i
		from = at + 1
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		if at == 0 || !strings.ContainsRune("._-+'\"", before) && !unicode.IsLetter(before) && !unicode.IsDigit(before) {
			continue // as in "Someone @ company" and "(@handle)"
		}
		host := text[from:]
		if end := strings.IndexFunc(host, func(r rune) bool {
			return r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		}); end >= 0 {
			host = host[:end]
		}
		from += len(host)
		host = strings.Trim(host, ".-_")
		if !strings.Contains(host, ".") {
			continue
		}
		domain, wrong := toDomain(host, true)
		if wrong != 0 {
			domain = clean(strings.ToLower(host))
		}
		if !asGood(domain, own) && !slices.Contains(out, domain) {
			out = append(out, domain)
		}
	}
	return out
}

// below reports whether a domain is another, or below it.
func below(domain, own string) bool {
	return domain == own || strings.Contains(own, ".") && strings.HasSuffix(domain, "."+own)
}

// related reports whether two domains are the same, or one is above the other: what deceives nobody in a name.
func related(a, b string) bool { return below(a, b) || below(b, a) }
