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
	if strings.Contains(all, "@") && r.disturbs(tokens, hidden) {
		return
	}
	r.nameIs(all, behind)
}

// disturbs reports, as a Problem, whether a reader that is no better than some that are in use could take an address in the
// name for the author's. One of the author's own domain changes nothing.
func (r *reading) disturbs(tokens []token, hidden string) bool {
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
	// Some decode first and take apart then: the paper saw it in two large webmail services.
	if foreign(hidden, own) && (hasSign(tokens, ',') || hasSign(tokens, ';') || hides(hidden, own)) {
		r.wrong(InEncoded, r.text)
		return true
	}
	for _, t := range tokens {
		switch {
		case t.kind == quoted && strings.ContainsRune(t.text, '\\') && strings.ContainsAny(t.text, "<>,;") && foreign(t.text, own):
			r.wrong(InQuotes, r.text)
			return true
		case t.kind == comment && (strings.ContainsAny(t.text, "<>") || strings.ContainsAny(t.text, ",;:\\\"") && foreign(t.text, own)):
			if foreign(r.text[:r.tokens[len(tokens)].at], own) {
				r.wrong(InComment, r.text)
				return true
			}
		}
	}
	return false
}

// hides reports whether what encoded words hold would, decoded too early, be another address in angle brackets, or one that
// is parted by a comma.
func hides(hidden, own string) bool {
	if strings.ContainsAny(hidden, "<>") {
		return true
	}
	parts := strings.FieldsFunc(hidden, func(c rune) bool { return c == ',' || c == ';' })
	return len(parts) > 0 && len(parts[0]) < len(hidden) && slices.ContainsFunc(parts, func(part string) bool {
		return !strings.ContainsAny(strings.TrimSpace(part), " (") && foreign(part, own)
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
	host = strings.Trim(host, ".")
	if !strings.Contains(host, ".") {
		return true
	}
	domain, _ := toDomain(host, true)
	return domain != "" && domain == own
}

// foreign reports whether a text names an address of another domain.
func foreign(text, own string) bool { return len(poses(text, own)) > 0 }

// nameIs tells what is remarkable about the name and the comments as they are shown.
func (r *reading) nameIs(name, remark string) {
	if remark != "" {
		name += " " + remark
	}
	r.EightBit = r.EightBit || !isASCII(r.text)
	r.Veiled = r.Veiled || strings.ContainsFunc(name, veils)
	if len(r.Addresses) > 0 && strings.ContainsFunc(name, func(c rune) bool { return c == '@' || c == '＠' || c == '﹫' }) {
		r.Poses = poses(name, r.Addresses[len(r.Addresses)-1].Domain)
	}
}

// veils reports a character that hides or turns what is shown. Marks of direction that names in Hebrew or Arabic need
// (U+200E, U+200F) turn nothing but themselves.
func veils(r rune) bool {
	return r < ' ' && r != '\t' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// maxPoses bounds the domains that are told.
const maxPoses = 4

// poses lists the domains of addresses in a text that are neither the author's, nor above or below it.
func poses(text, own string) (out []string) {
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
		if !related(domain, own) && !slices.Contains(out, domain) {
			out = append(out, domain)
		}
	}
	return out
}

// related reports whether two domains are the same, or one is above the other.
func related(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	return a == b || strings.Contains(b, ".") && strings.HasSuffix(a, "."+b)
}
