package filters

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// sender looks at whether a reply could reach the reverse-path.
func sender() Definition {
	return Definition{
		Name: "sender", Stage: gateway.Mail,
		Doc:     "Can the domain of the reverse-path receive mail: does it exist, has it an MX or an address, does it not say that it takes no mail? The null reverse-path and address literals are left out, and a domain that we serve ourselves passes.",
		RFC:     "RFC 5321 section 5.1, RFC 7505 section 4.1",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Measures: []Measure{
			{"unreachable", "none of its mail hosts has an address that mail can be sent to", 2},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			return Built{Run: d.runSender, AheadMail: d.beginSender}, nil
		},
	}
}

// beginSender starts the lookups while the checks of the name are under way.
func (d *Deps) beginSender(ctx context.Context, in *gateway.Input) {
	if !d.leavesSender(in.Envelope) {
		d.mailHost(ctx, in.Envelope)
	}
}

// leavesSender reports whether nobody is asked about the reverse-path: it has no domain, or one of ours.
func (d *Deps) leavesSender(e *gateway.Envelope) bool {
	return e.From.Domain == "" || strings.HasPrefix(e.From.Domain, "[") || d.Policy.Domain(e.From.Domain) != nil
}

func (d *Deps) runSender(ctx context.Context, in *gateway.Input) gateway.Finding {
	domain := in.Envelope.From.Domain
	if domain == "" || strings.HasPrefix(domain, "[") {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
	}
	if ours := d.Policy.Domain(domain); ours != nil {
		return gateway.Passed().Show("domain", domain+" is served here") // whatever an internal DNS says of it
	}
	r := d.mailHost(ctx, in.Envelope)
	var f gateway.Finding
	switch r.Status {
	case dns.MailYes:
		f = gateway.Passed()
		if r.Problem != dns.NoProblem {
			f = f.With(gateway.Yes("unreachable")).Show("mail hosts", r.Problem.String())
		}
	case dns.MailNullMX:
		f = gateway.Failed(gateway.SenderNullMX, domain)
	case dns.MailNoSuchDomain:
		f = gateway.Failed(gateway.SenderNoDomain, domain)
	case dns.MailNoRecords:
		f = gateway.Failed(gateway.SenderNoMailHost, domain)
	default:
		f = gateway.CouldNotTell(gateway.DNSFailed, domain)
	}
	if r.Implicit {
		f = f.Show("mail host", "no MX; its own address stands in")
	}
	for i, h := range r.Hosts {
		if i == 5 {
			break
		}
		f = f.Show("MX", fmt.Sprintf("%d %s", h.Pref, h.Host))
	}
	if r.Detail != "" {
		f = f.Show("dns", r.Detail)
	}
	return f
}
