package filters

import (
	"fmt"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dkim"
)

// named is whose signature it is, for people.
func named(r *dkim.Result) string {
	if r.Domain == "" {
		return "nobody that could be read"
	}
	return r.Domain
}

// why tells why a signature does not count.
func (s *signed) why(r *dkim.Result) string {
	switch name := doubled(r.Duplicates); {
	case r.Status != dkim.Pass:
	case name != "":
		return "a field " + name + " that is not signed stands above the signed one"
	case r.Testing:
		return "the owner of its key tests (t=y)"
	}
	return r.Reason
}

// tell adds one signature to the evidence and to Authentication-Results.
func (s *signed) tell(f gateway.Finding, r *dkim.Result) gateway.Finding {
	text := fmt.Sprintf("%s: d=%s s=%s %s %s/%s", r.Status, r.Domain, r.Selector, r.Algorithm, r.HeaderCanon, r.BodyCanon)
	if r.Bits > 0 {
		text += fmt.Sprintf(", key of %d bits", r.Bits)
	}
	if why := s.why(r); why != "" {
		text += ": " + why
	}
	f = f.Show("signature", text)
	if len(r.Names) > 0 {
		f = f.Show("signs", short(r.Names))
	}
	if len(r.Oversigned) > 0 {
		f = f.Show("signed as absent", short(r.Oversigned))
	}
	for _, note := range s.notes(r) {
		f = f.Show("note", note)
	}
	return f.Says(result(r, s.why(r)))
}

// notes are what an admin may want to know of a signature besides.
func (s *signed) notes(r *dkim.Result) []string {
	var out []string
	if len(r.Duplicates) > 0 {
		out = append(out, "stands once more than signed: "+short(r.Duplicates))
	}
	if len(r.Unsigned) > 0 {
		out = append(out, "not signed: "+short(r.Unsigned))
	}
	if r.Length >= 0 {
		out = append(out, fmt.Sprintf("l=%d covers the body but for its last %d octets", r.Length, r.Uncovered))
	}
	if r.Algorithm == dkim.RSASHA256 && r.Bits > 0 && r.Bits < 2048 {
		out = append(out, "key shorter than 2048 bits (RFC 8301)")
	}
	if r.Testing {
		out = append(out, "the owner of the key tests (t=y)")
	}
	if r.DNSError != nil {
		out = append(out, "dns: "+gateway.CleanText(r.DNSError.Error(), 200))
	}
	return out
}

// short joins names for people, as many as fit.
func short(names []string) string {
	out := strings.Join(names, " ")
	if len(out) > 400 {
		out = out[:400] + "..."
	}
	return gateway.CleanText(out, 500)
}

// result is the signature in the words of RFC 8601.
func result(r *dkim.Result, why string) gateway.AuthResult {
	a := gateway.AuthResult{Method: "dkim", Result: r.Status.String(), Reason: why, Props: make([]gateway.AuthProp, 0, 5)}
	if r.Bits > 0 {
		a.Comment = fmt.Sprintf("%d-bit key", r.Bits)
	}
	algorithm := ""
	if r.Algorithm != dkim.UnknownAlgorithm {
		algorithm = r.Algorithm.String()
	}
	for _, p := range [...][2]string{{"d", r.Domain}, {"i", r.Identity}, {"s", r.Selector}, {"a", algorithm}, {"b", r.Prefix}} {
		if p[1] != "" {
			a.Props = append(a.Props, gateway.AuthProp{Type: "header", Name: p[0], Value: p[1]})
		}
	}
	return a
}
