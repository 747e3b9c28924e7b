package filters

import (
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dkim"
	"gatepost/internal/dmarc"
	"gatepost/internal/spf"
)

// tell adds the evidence and what Authentication-Results says.
func (a *dmarcAnswer) tell(f gateway.Finding) gateway.Finding {
	if a.Outcome == nil {
		why := "no author domain"
		if a.crowd {
			why = "From names too many"
		}
		return f.Show("author", why).Says(gateway.AuthResult{Method: "dmarc", Result: string(dmarc.NoRecord), Comment: why})
	}
	f.Evidence = make([]gateway.Evidence, 0, 12+len(a.Alignments))
	for _, o := range a.authors {
		f = f.Show("author", o.Author+": "+string(o.Result)+", one of several that From may name")
	}
	f = f.Show("author", a.Author+": "+string(a.Result)).Show("method", a.Method.String())
	if a.Organization != "" {
		f = f.Show("organization", a.Organization)
	}
	switch {
	case a.Record != nil:
		f = f.Show("record", "at "+a.PolicyDomain+": "+gateway.CleanText(a.Record.Text, 500))
	case a.Result == dmarc.NoRecord:
		f = f.Show("record", "none")
	}
	for _, al := range a.Alignments {
		f = f.Show(al.Method, gateway.CleanText(al.Domain, 253)+": "+a.alignment(&al))
	}
	if a.Result != dmarc.Pass {
		f = a.unauthenticated(f)
	}
	if a.Tag != "" {
		f = f.Show("asked", a.asks())
	}
	if a.Why != "" {
		f = f.Show("why", a.Why)
	}
	for _, why := range a.why {
		f = f.Show("policy", why)
	}
	return f.Says(a.result())
}

// unauthenticated shows what authenticates nobody: SPF that does not pass, and signatures that do not hold.
func (a *dmarcAnswer) unauthenticated(f gateway.Finding) gateway.Finding {
	if r := a.spf.Result; a.spf.Domain != "" && r != spf.Pass && r != spf.TempError {
		f = f.Show("spf", a.spf.Domain+": authenticates nobody, it is "+r.String())
	}
	if a.signed == nil {
		return f
	}
	for i := range a.signed.DKIM {
		if r := &a.signed.DKIM[i]; !a.signed.counts(r) && r.Status != dkim.TempError {
			why := r.Reason
			if r.Status == dkim.Pass {
				why = "its key is one for tests"
			}
			f = f.Show("dkim", r.Domain+": authenticates nobody, it is "+r.Status.String()+": "+gateway.CleanText(why, 100))
		}
	}
	return f
}

// alignment tells what became of one identifier.
func (a *dmarcAnswer) alignment(al *dmarc.Alignment) string {
	words := [...]string{dmarc.NotAligned: "not aligned", dmarc.MaybeAligned: "may be aligned", dmarc.IsAligned: "aligned"}[al.Aligned] + ", " + al.Why
	if al.Unsure {
		return words + "; " + al.Method + " could not tell whether it passes"
	}
	return words
}

// asks tells what the owner asks for, and where that is from.
func (a *dmarcAnswer) asks() string {
	s := a.Published.String() + " by " + a.Tag + " at " + a.PolicyDomain
	switch {
	case a.Requested == a.Published:
	case a.Record.Testing:
		s += ", one less by t=y"
	default:
		s += ", one less, not sampled by pct"
	}
	return s
}

// result is what Authentication-Results and aggregate reports tell.
func (a *dmarcAnswer) result() gateway.AuthResult {
	r := gateway.AuthResult{Method: "dmarc", Result: string(a.Result), Props: []gateway.AuthProp{{Type: "header", Name: "from", Value: a.Author}}}
	if a.Result == dmarc.TempError || a.Result == dmarc.PermError {
		r.Reason = gateway.CleanText(a.Why, 100)
	}
	if a.Record != nil && a.Requested > dmarc.Unsaid {
		r.Comment = "p=" + a.Record.Policy.String() + ", by " + a.Tag + " at " + a.PolicyDomain
		r.Props = append(r.Props, gateway.AuthProp{Type: "policy", Name: "dmarc", Value: a.Requested.String()})
	}
	if a.sealer != "" {
		r.Comment += "; overridden: the trusted ARC sealer " + a.sealer + " says pass"
	}
	r.DMARC = a.learned()
	return r
}

// learned is what aggregate reports tell and what is learned from: nothing of clients inside, which is nobody's business,
// and nothing where From does not name one author, unless somebody's mail was forged by it.
func (a *dmarcAnswer) learned() *gateway.DMARCResult {
	if a.inside || a.authors != nil && a.Result != dmarc.Fail {
		return nil
	}
	out := &gateway.DMARCResult{Author: a.Author, PolicyDomain: a.PolicyDomain, Method: a.Method.String(), Override: a.word(),
		Organization: a.Organization, Path: a.path, Sealers: a.rescuers}
	if a.Result == dmarc.TempError { // neither pass nor fail (RFC 9989 section 5.3.6): it is not reported
		return out
	}
	if a.Record != nil {
		out.Record, out.Requested = a.Record.Text, a.Requested.String()
	}
	for _, al := range a.Alignments {
		sure := al.Aligned == dmarc.IsAligned && !al.Unsure && a.Requested > dmarc.Unsaid
		out.SPF = out.SPF || sure && al.Method == "spf"
		out.DKIM = out.DKIM || sure && al.Method == "dkim"
	}
	return out
}

// word is why local policy does, or may do, other than the owner asks, in a word of RFC 9990 section 3.1.6.
func (a *dmarcAnswer) word() string {
	switch {
	case a.override != "":
		return a.override
	case a.Result != dmarc.Fail || a.Requested == dmarc.Unsaid:
		return ""
	case a.Requested != a.Published && a.Record.Testing:
		return "policy_test_mode"
	case a.Requested != a.Published: // RFC 7489 has "sampled_out"
		return "other"
	case a.Requested == dmarc.Reject && strings.HasPrefix(a.path.Told, "list:"):
		return "mailing_list"
	}
	return ""
}
