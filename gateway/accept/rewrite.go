package accept

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"gatepost/gateway"
)

// maxRewritten is how many fields of a message are rewritten: RFC 5322 section 3.6 lets it have one To and one Cc.
const maxRewritten = 20

// rewrite puts the domain of policy in place of that of addresses in To and Cc, where a recipient came by it. From and
// Reply-To stay whatever policy says: they are the author's, DMARC holds the first against its signature, and answers go to
// them. Every octet outside of the domains stays as it came.
func (f *Fields) rewrite(e *gateway.Envelope) {
	came := cameBy(e)
	if len(came) == 0 {
		return
	}
	done := 0
	for _, field := range e.Header.Fields {
		if !strings.EqualFold(field.Name, "To") && !strings.EqualFold(field.Name, "Cc") {
			continue
		}
		raw := e.Header.Raw[field.Start:field.End]
		colon := bytes.IndexByte(raw, ':') + 1
		value, domains := replaceDomains(raw[colon:], func(local, domain string) (string, string) { return headerDomain(e, came, local, domain) })
		switch {
		case len(domains) == 0:
		case done == maxRewritten:
			f.Edits = append(f.Edits, "more To and Cc than are rewritten")
			return
		case longestLine(value)+colon > max(maxHeaderLine, longestLine(string(raw))):
			f.Edits = append(f.Edits, field.Name+" not rewritten: a line would become too long")
		default:
			done++
			f.replace(field, string(raw[:colon])+value)
			f.Edits = append(f.Edits, field.Name+": "+strings.Join(domains, ", "))
		}
	}
}

// maxHeaderLine is how long a line of a message may be, without its end (RFC 5322 section 2.1.1).
const maxHeaderLine = 998

// cameBy are the domains by which accepted recipients came that policy wants rewritten.
func cameBy(e *gateway.Envelope) map[string]bool {
	p := e.Session.Snapshot.Policy
	if p == nil || p.Routing == nil || len(p.Routing.Maps) == 0 {
		return nil
	}
	var came map[string]bool
	for i := range e.Rcpts {
		if r := &e.Rcpts[i]; r.To != nil && r.Accepted() && p.HeaderDomain(r.Address) != "" {
			if came == nil {
				came = make(map[string]bool)
			}
			came[r.Address.Domain] = true
		}
	}
	return came
}

// headerDomain returns the domain of an address as policy has it, and what replaces it; "" for nothing.
func headerDomain(e *gateway.Envelope, came map[string]bool, local, domain string) (old, instead string) {
	domain = strings.ToLower(domain)
	if strings.ContainsFunc(domain, func(r rune) bool { return r > '~' }) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", ""
		}
		domain = ascii
	}
	if !came[domain] {
		return "", ""
	}
	return domain, e.Session.Snapshot.Policy.HeaderDomain(gateway.Address{Text: local + "@" + domain, Local: unquoted(local), Domain: domain})
}

func unquoted(local string) string {
	if len(local) < 2 || local[0] != '"' {
		return local
	}
	var b strings.Builder
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' {
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}

// replace puts a field in place of another.
func (f *Fields) replace(field gateway.Field, text string) {
	for i, s := range f.kept {
		if field.Start < s.from || field.End > s.to {
			continue
		}
		f.kept = append(f.kept[:i], append([]span{{from: s.from, to: field.Start, then: text}, {from: field.End, to: s.to, then: s.then}}, f.kept[i+1:]...)...)
		return
	}
}

// longestLine is the length of the longest line of a field.
func longestLine(value string) int {
	most := 0
	for line := range strings.SplitSeq(value, "\r\n") {
		most = max(most, len(line))
	}
	return most
}

// replaceDomains writes an address list (RFC 5322 section 3.4) with other domains, and tells which: "old to new", each once.
// A list that it cannot read to its end stays whole.
func replaceDomains(value []byte, other func(local, domain string) (old, instead string)) (string, []string) {
	at, ok := domainsOf(value)
	if !ok {
		return "", nil
	}
	var out strings.Builder
	var told []string
	done := 0
	for _, d := range at {
		old, instead := other(string(value[d.local:d.from-1]), string(value[d.from:d.to]))
		if instead == "" {
			continue
		}
		out.Write(value[done:d.from])
		out.WriteString(instead)
		done = d.to
		if text := old + " to " + instead; len(told) < 5 && !slices.Contains(told, text) {
			told = append(told, text)
		}
	}
	if len(told) == 0 {
		return "", nil
	}
	out.Write(value[done:])
	return out.String(), told
}
