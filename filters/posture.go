package filters

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// postureCheck tells how the sender's domain protects mail that is sent to it.
func postureCheck() Definition {
	return Definition{
		Name: "posture", Stage: gateway.Data,
		Doc:     "How does the domain of the reverse-path protect mail that is sent to it: has its first MX TLSA records under DNSSEC (DANE), does it announce an MTA-STS policy, does it want reports about TLS? It is asked while the message comes in, and never waited for: what is not known by then is unknown. It says nothing of this message, and costs nothing unless a price says so.",
		RFC:     "RFC 7672 section 2.2, RFC 8461 section 3.1, RFC 8460 section 3",
		Action:  gateway.ActionObserve,
		Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"dane", "its first MX publishes TLSA records that senders can use", 0},
			{"mta_sts", "it announces an MTA-STS policy", 0},
			{"tlsrpt", "it wants reports about TLS", 0},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			p := &postures{Deps: d, slots: make(chan struct{}, mostPostures)}
			return Built{Run: p.run, Ready: always, AheadData: p.begin}, nil
		},
	}
}

// mostPostures bounds the senders that are asked about at a time: more are left unknown.
const mostPostures = 64

// postures asks about sending domains.
type postures struct {
	*Deps
	slots chan struct{} // a token for each domain that is being asked about
}

// claim is what was found out about one thing that a domain may publish. The zero value is that it cannot be told.
type claim uint8

// What can be found out.
const (
	untold claim = iota
	absent
	present
)

// posture is how a domain protects mail that is sent to it, with a line of each for people.
type posture struct {
	dane, sts, reports claim
	host               string // its first MX
	lines              [3]string
}

// factPosture is the name of the fact of the transaction.
const factPosture = "posture"

// leaves reports whether nobody is asked: the client says nothing of who sent, or is trusted, or the reverse-path has no domain
// of others.
func (p *postures) leaves(in *gateway.Input) bool {
	return in.Session.Trusted || fromInside(in) || p.leavesSender(in.Envelope)
}

// begin asks, beside the session, of which it reads nothing any more: the transaction may end before.
func (p *postures) begin(ctx context.Context, in *gateway.Input) {
	if p.leaves(in) {
		return
	}
	if r, ok := p.Resolver.(interface{ Remembered() *dns.Memory }); ok {
		m := r.Remembered()
		if o := postureIn(context.Background(), m, in.Envelope.From.Domain); !m.Missed() {
			gateway.Fact(&in.Envelope.Facts, factPosture, func() posture { return o })
			return
		}
	}
	select {
	case p.slots <- struct{}{}:
	default:
		return
	}
	facts, domain := &in.Envelope.Facts, in.Envelope.From.Domain
	go func() {
		defer func() { _ = recover(); <-p.slots }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
		defer cancel()
		gateway.Fact(facts, factPosture, func() posture { return postureIn(ctx, p.Resolver, domain) })
	}()
}

// postureLookup is the DNS that is asked.
type postureLookup interface {
	MX(ctx context.Context, name string) dns.Answer[dns.MX]
	TXT(ctx context.Context, name string) dns.Answer[string]
}

// postureIn looks up what there is: at most four questions, one after another.
func postureIn(ctx context.Context, r postureLookup, domain string) (out posture) {
	out.sts, out.lines[1] = announces(r.TXT(ctx, "_mta-sts."+domain), "v=STSv1", "MTA-STS")
	out.reports, out.lines[2] = announces(r.TXT(ctx, "_smtp._tls."+domain), "v=TLSRPTv1", "TLSRPT")
	mx := r.MX(ctx, domain)
	switch {
	case mx.Status == dns.Found && !mx.AD:
		out.dane, out.lines[0] = absent, "no DANE: its MX is not signed"
	case mx.Status == dns.Found && !dns.NullMX(mx.Records):
		out.host = mx.Records[0].Host
		out.dane, out.lines[0] = usesTLSA(ctx, r, out.host)
	case mx.Status == dns.Found, mx.Status == dns.None:
		out.dane, out.lines[0] = absent, "no DANE: it has no MX"
	default:
		out.lines[0] = "DANE: cannot be told, its MX: " + mx.Kind.String()
	}
	return out
}

// usesTLSA looks for TLSA records of a host that senders can use.
func usesTLSA(ctx context.Context, by postureLookup, host string) (claim, string) {
	r, ok := by.(interface {
		Query(ctx context.Context, name string, typ dns.Type) dns.Answer[dns.Record]
	})
	if !ok {
		return untold, "DANE: cannot be told"
	}
	a := r.Query(ctx, "_25._tcp."+host, dns.TypeTLSA)
	switch {
	case a.Status == dns.None:
		return absent, "no DANE: " + host + " has no TLSA record"
	case a.Status != dns.Found:
		return untold, "DANE: cannot be told, TLSA of " + host + ": " + a.Kind.String()
	case !a.AD:
		return absent, "no DANE: the TLSA records of " + host + " are not signed"
	}
	kinds := ""
	for i := range a.Records {
		rec := &a.Records[i]
		if (rec.Usage == 2 || rec.Usage == 3) && rec.Selector <= 1 && rec.Matching <= 2 && len(kinds) < 60 {
			kinds += ", " + strconv.Itoa(int(rec.Usage)) + " " + strconv.Itoa(int(rec.Selector)) + " " + strconv.Itoa(int(rec.Matching))
		}
	}
	if kinds == "" {
		return absent, "no DANE: no TLSA record of " + host + " can be used"
	}
	return present, "DANE: TLSA " + kinds[2:] + " at " + host
}

// announces looks for the one record that begins with a version: several are as none (RFC 8461 section 3.1, RFC 8460 section 3).
func announces(a dns.Answer[string], version, what string) (claim, string) {
	if a.Status != dns.Found && a.Status != dns.None {
		return untold, what + ": cannot be told, " + a.Kind.String()
	}
	n := 0
	for _, text := range a.Records {
		if rest, ok := strings.CutPrefix(text, version); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			n++
		}
	}
	switch {
	case a.Status == dns.Found && a.Cut:
		return untold, what + ": cannot be told, the answer is too long"
	case n == 1:
		return present, what + ": announced"
	case n > 1:
		return absent, "no " + what + ": several records"
	}
	return absent, "no " + what
}

func (p *postures) run(_ context.Context, in *gateway.Input) gateway.Finding {
	e := in.Envelope
	switch {
	case in.Session.Relay:
		return leftOut(in.Session)
	case in.Session.Trusted, e.From.Domain != "" && p.Policy.Domain(e.From.Domain) != nil:
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
	case p.leaves(in):
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
	case !gateway.Known(&e.Facts, factPosture):
		return gateway.CouldNotTell(gateway.DNSFailed, e.From.Domain).Show("posture", "no answer by the end of the message; it is not waited for")
	}
	return gateway.Fact(&e.Facts, factPosture, func() posture { return posture{} }).finding(e.From.Domain)
}

// finding is Pass where all is known, whatever that is: it is no fault to publish nothing.
func (o posture) finding(domain string) gateway.Finding {
	f := gateway.Passed()
	if o.dane == untold || o.sts == untold || o.reports == untold {
		f = gateway.CouldNotTell(gateway.DNSFailed, domain)
	}
	if o.dane == present {
		f = f.With(gateway.Yes("dane"))
	}
	if o.sts == present {
		f = f.With(gateway.Yes("mta_sts"))
	}
	if o.reports == present {
		f = f.With(gateway.Yes("tlsrpt"))
	}
	f.Evidence = make([]gateway.Evidence, 0, len(o.lines))
	for _, line := range o.lines {
		if line != "" {
			f = f.Show("posture", line)
		}
	}
	return f
}
