package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// spf looks at the SPF record of a domain: receivers of its mail evaluate it, and so does this gateway, against forgeries.
func (w *World) spf(ctx context.Context, p part, d *Domain) {
	if w.CheckSPF == nil {
		return
	}
	const id = "domain.spf"
	s := w.CheckSPF(ctx, d.Name)
	switch {
	case s.Result == "none":
		p.warn(id, d.Name, "has no SPF record: anybody can send in its name", record(d.Name, "TXT", `"v=spf1 ip4:ADDRESS -all"`)+"    with the addresses that send its mail; v=spf1 -all if none does")
	case s.Result == "permerror":
		p.fail(id, d.Name, "its SPF record is broken, so its mail fails at many receivers: "+s.Problem, w.spfFix(ctx, d)...)
	case s.Result == "temperror" || s.Result == "":
		p.unknown(id, d.Name, "its SPF record could not be told: "+s.Problem)
	case s.Open:
		p.warn(id, d.Name, "lets everybody send in its name: "+s.Record, record(d.Name, "TXT", `"v=spf1 ip4:ADDRESS -all"`)+"    with the addresses that send its mail")
	case s.Lookups > 8:
		p.warn(id, d.Name, fmt.Sprintf("needs %d of the 10 lookups that receivers make: an include that grows breaks it", s.Lookups), "name addresses (ip4:, ip6:) in place of an include, a or mx")
	default:
		p.ok(id, d.Name, s.Record)
	}
}

// spfFix shows what to mend: the one record, or which of several must go.
func (w *World) spfFix(ctx context.Context, d *Domain) (out []string) {
	for _, text := range w.DNS.Lookup(ctx, d.Name, TXT).Texts {
		if low := strings.ToLower(text); low == "v=spf1" || strings.HasPrefix(low, "v=spf1 ") {
			out = append(out, record(d.Name, "TXT", fmt.Sprintf("%q", text)))
		}
	}
	for i := range out {
		if len(out) > 1 {
			out[i] = "remove all but one, with what the others say: " + out[i]
		} else {
			out[i] = "mend what is named: " + out[i]
		}
	}
	return out
}

// dmarc looks at the DMARC record that holds for a domain.
func (w *World) dmarc(ctx context.Context, p part, d *Domain) {
	if w.CheckDMARC == nil {
		return
	}
	const id = "domain.dmarc"
	m := w.CheckDMARC(ctx, d.Name)
	name := "_dmarc." + d.Name
	begin := record(name, "TXT", `"v=DMARC1; p=none; rua=mailto:postmaster@`+d.Name+`"`) + "    to begin with; then p=quarantine, then p=reject"
	switch {
	case m.Err != nil:
		p.unknown(id, d.Name, "its DMARC record could not be looked up: "+m.Err.Error())
	case m.Several:
		p.fail(id, d.Name, "has several DMARC records, so none counts", "leave one of the TXT records of "+name+" that begin with v=DMARC1, and remove the others")
	case m.At == "":
		p.warn(id, d.Name, "has no DMARC record: forgeries of it are judged by guesses", begin)
	case m.Broken != "":
		p.fail(id, d.Name, fmt.Sprintf("its record at %s cannot be used (%s): %s", m.At, m.Broken, m.Record), begin)
	case len(m.Refused) > 0:
		var fix []string
		for _, to := range m.Refused {
			fix = append(fix, record(strings.TrimPrefix(m.At, "_dmarc.")+"._report._dmarc."+to, "TXT", `"v=DMARC1;"`)+"    in the zone of "+to)
		}
		p.warn(id, d.Name, "wants reports at "+join(m.Refused)+", which does not say that it takes them: they are not sent", fix...)
	case m.Policy == "none" && len(m.Reports) == 0:
		p.warn(id, d.Name, "asks for nothing (p=none) and for no reports (rua): "+m.Record, begin)
	default:
		saw := m.Record
		if m.At != name {
			saw += " at " + m.At
		}
		p.ok(id, d.Name, saw)
	}
}

// sts looks at the MTA-STS record of a domain (RFC 8461 section 3.1), and reports whether it has one. Its policy is looked at
// in the group web.
func (w *World) sts(ctx context.Context, p part, d *Domain, dane bool) bool {
	const id = "domain.mta_sts"
	name := "_mta-sts." + d.Name
	a := w.DNS.Lookup(ctx, name, TXT)
	found, err := w.STSRecord(a.Texts)
	want, _ := w.STSRecord([]string{d.STS})
	line := record(name, "TXT", fmt.Sprintf(`"v=STSv1; id=%s;"`, cmp.Or(want, w.Now().UTC().Format("20060102150405"))))
	switch {
	case a.Status == Failed || a.Status == Bogus:
		p.unknown(id, d.Name, name+" could not be looked up: "+a.Detail)
	case err != nil:
		p.fail(id, d.Name, "senders take its record for none: "+strings.TrimPrefix(err.Error(), "mta-sts: "), "in place of all that begin with v=STSv1: "+line)
	case found != "" && want != "" && found != want:
		p.warn(id, d.Name, "its id is "+found+", and the policy that this gateway serves has "+want+": senders that know an older one do not look again", line)
		return true
	case found != "":
		p.ok(id, d.Name, "id "+found)
		return true
	case want != "":
		p.warn(id, d.Name, "has no record, so that no sender looks for the policy that this gateway serves", line)
	case dane:
		p.ok(id, d.Name, "none; DANE protects its mail from senders that validate")
	default:
		p.warn(id, d.Name, "neither DANE nor MTA-STS: whoever is between a sender and this gateway can have mail sent in clear",
			w.key("domain."+d.Name+".mta_sts", `{ mode = "testing" }`), "gatepost mta-sts advise "+d.Name+"    prints the records to paste; or, in a zone that is signed: gatepost tls tlsa")
	}
	return false
}

// tlsrpt looks at the record that asks senders to report failures of TLS (RFC 8460 section 3).
func (w *World) tlsrpt(ctx context.Context, p part, d *Domain, needed bool) {
	const id = "domain.tlsrpt"
	name := "_smtp._tls." + d.Name
	a := w.DNS.Lookup(ctx, name, TXT)
	texts := slices.DeleteFunc(slices.Clone(a.Texts), func(t string) bool { return !strings.HasPrefix(t, "v=TLSRPTv1") })
	line := record(name, "TXT", `"v=TLSRPTv1; rua=mailto:postmaster@`+d.Name+`"`)
	switch {
	case a.Status == Failed || a.Status == Bogus:
		p.unknown(id, d.Name, name+" could not be looked up: "+a.Detail)
	case len(texts) > 1:
		p.fail(id, d.Name, fmt.Sprintf("%d records at %s, so senders act as if there were none (RFC 8460 section 3)", len(texts), name), "leave one of them: "+record(name, "TXT", fmt.Sprintf("%q", texts[0])))
	case len(texts) == 1:
		if _, rua, ok := strings.Cut(texts[0], "rua="); !ok || !strings.HasPrefix(rua, "mailto:") && !strings.HasPrefix(rua, "https:") {
			p.fail(id, d.Name, "names nobody to report to (rua): "+texts[0], line)
			return
		}
		p.ok(id, d.Name, texts[0])
	case needed:
		p.warn(id, d.Name, "has no record for reports about TLS: nobody tells when DANE or MTA-STS keeps mail away", line)
	default:
		p.ok(id, d.Name, "none; there is neither DANE nor MTA-STS to report about")
	}
}
