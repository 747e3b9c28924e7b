package filters

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/spf"
)

// spfCheck looks at whether the client may send for the domain of the reverse-path.
func spfCheck() Definition {
	return Definition{
		Name: "spf", Stage: gateway.Mail,
		Doc:     "Does the SPF record of the reverse-path's domain let the client send for it? For the null reverse-path, and only then, it is the record of the name in HELO. A failure costs points, since forwarders cause it too; refused is who sends for a domain that says that it sends no mail at all.",
		RFC:     "RFC 7208",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionPass, // DMARC decides what that means for the author
		Reasons: map[gateway.Reason]gateway.Action{gateway.SPFNever: gateway.ActionReject, gateway.SPFBroken: gateway.ActionScore},
		Measures: []Measure{
			{"fail", "the record does not let the client send", 3},
			{"softfail", "the record says ~all: probably not", 1},
			{"permerror", "the record is broken", 0.5},
			{"neutral", "the record does not say", 0},
			{"none", "there is no record", 0},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			return Built{Run: d.runSPF, Ready: d.spfKnown, AheadMail: d.beginSPF}, nil
		},
	}
}

// spfHeloCheck looks at whether the client may use the name in HELO.
func spfHeloCheck() Definition {
	return Definition{
		Name: "spf.helo", Stage: gateway.Helo,
		Doc:     "Does the SPF record of the name in HELO let the client use that name? Never refused by default: a record that the owner of a domain published for names that send no mail may well stand above his mail server's name. Left out for the null reverse-path, where the check spf looks at it.",
		RFC:     "RFC 7208 section 2.3",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Reasons: map[gateway.Reason]gateway.Action{gateway.SPFBroken: gateway.ActionScore},
		Measures: []Measure{
			{"fail", "the record does not let the client use the name", 1},
			{"softfail", "the record says ~all: probably not", 0},
			{"permerror", "the record is broken", 0},
			{"neutral", "the record does not say", 0},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			return Built{Run: d.runSPFHelo, Ready: d.spfHeloKnown}, nil
		},
	}
}

// spfAnswer is what SPF says of an identity. The zero value, of a fact that broke, is TempError.
type spfAnswer struct {
	spf.Outcome
	asked *lookups
}

// factSPF is the name of the fact of MAIL FROM; the name of HELO follows that of HELO's, since a client may say several.
const (
	factSPF     = "spf"
	factSPFHelo = "spf helo "
)

// spfMail tells whether the client may send for the reverse-path, evaluated once a transaction (RFC 7208 section 2.4). Its
// Domain is what was looked at, "" if there is nothing to look at.
func (d *Deps) spfMail(ctx context.Context, e *gateway.Envelope) spfAnswer {
	if e.From.IsNull() {
		return d.spfHelo(ctx, e.Session)
	}
	if !hasSPFDomain(e.From.Domain) {
		return spfAnswer{Outcome: spf.Outcome{Result: spf.None}}
	}
	return gateway.Fact(&e.Facts, factSPF, func() spfAnswer {
		return d.evaluate(ctx, e.Session, e.From.Domain, e.From.Local+"@"+e.From.Domain)
	}).about(e.From.Domain)
}

// about names the domain of an answer that is missing, since the fact broke: what could not be told is still about it.
func (a spfAnswer) about(domain string) spfAnswer {
	if a.Domain == "" {
		a.Domain = domain
	}
	return a
}

// spfHelo tells whether the client may use its name, evaluated once a connection and name.
func (d *Deps) spfHelo(ctx context.Context, s *gateway.Session) spfAnswer {
	name := spfHeloName(s)
	if name == "" {
		return spfAnswer{Outcome: spf.Outcome{Result: spf.None}}
	}
	return gateway.Fact(&s.Facts, factSPFHelo+name, func() spfAnswer {
		return d.evaluate(ctx, s, name, "postmaster@"+name)
	}).about(name)
}

// evaluate asks the engine. For a client that the public DNS cannot speak about there is no answer.
func (d *Deps) evaluate(ctx context.Context, s *gateway.Session, domain, sender string) spfAnswer {
	if unjudged(s) {
		return spfAnswer{Outcome: spf.Outcome{Result: spf.None, Domain: domain}}
	}
	within := gateway.Within(ctx, time.Now().Add(lookupTime))
	defer within.End()
	asked := &lookups{r: d.Resolver}
	return spfAnswer{asked: asked, Outcome: spf.Check(within, asked, spf.Query{IP: s.Client.Addr(), Domain: domain, Sender: sender,
		Helo: s.Helo.Name, Receiver: d.Hostname, Now: time.Now()})}
}

// hasSPFDomain reports whether a domain of an address can have a record: there is one, and it is no address literal.
func hasSPFDomain(domain string) bool { return domain != "" && domain[0] != '[' }

// spfHeloName is the name in HELO if it is a domain name, else "".
func spfHeloName(s *gateway.Session) string {
	name := heloText(s)
	if !s.Helo.Valid || s.Helo.Literal || !strings.Contains(name, ".") {
		return ""
	}
	return name
}

// beginSPF starts the evaluation while the checks of the name are under way.
func (d *Deps) beginSPF(ctx context.Context, in *gateway.Input) {
	if !fromInside(in) {
		d.spfMail(ctx, in.Envelope)
	}
}

// spfKnown reports whether the check has nothing to wait for.
func (d *Deps) spfKnown(in *gateway.Input) bool {
	e := in.Envelope
	if e.From.IsNull() {
		return fromInside(in) || heloSPFKnown(in.Session)
	}
	return fromInside(in) || !hasSPFDomain(e.From.Domain) || gateway.Known(&e.Facts, factSPF)
}

// spfHeloKnown reports whether the check of HELO has nothing to wait for.
func (d *Deps) spfHeloKnown(in *gateway.Input) bool {
	return fromInside(in) || d.leftToSPF(in) || heloSPFKnown(in.Session)
}

func heloSPFKnown(s *gateway.Session) bool {
	name := spfHeloName(s)
	return name == "" || gateway.Known(&s.Facts, factSPFHelo+name)
}

// leftToSPF reports whether the check spf looks at the name in HELO, so that it would count twice.
func (d *Deps) leftToSPF(in *gateway.Input) bool {
	return in.Envelope != nil && in.Envelope.From.IsNull() && d.Policy.Runs("spf")
}

func (d *Deps) runSPF(ctx context.Context, in *gateway.Input) gateway.Finding {
	if fromInside(in) {
		return leftOut(in.Session)
	}
	e := in.Envelope
	prop := gateway.AuthProp{Type: "smtp", Name: "mailfrom", Value: e.From.Text}
	if e.From.IsNull() {
		prop = heloProp(in)
	}
	a := d.spfMail(ctx, e)
	if a.Domain == "" && a.Result == spf.None {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}.Says(a.said(prop))
	}
	// That a name above the server's sends no mail is no reason to refuse its notices: see spf.helo.
	f := a.finding(in, !e.From.IsNull()).Says(a.said(prop))
	if a.Result == spf.Pass && !e.From.IsNull() && strings.TrimLeft(a.Mechanism, "+") != "all" {
		f.Proves = e.From.Local + "@" + e.From.Domain
	}
	if h, ok := d.heloBeside(in); ok {
		f = f.Says(h)
	}
	return f
}

// heloBeside is the result for HELO, to be told behind that for MAIL FROM: who reads only the first spf= must not take a
// stranger's word about his own name for one about the sender.
func (d *Deps) heloBeside(in *gateway.Input) (gateway.AuthResult, bool) {
	name := spfHeloName(in.Session)
	if in.Envelope.From.IsNull() || name == "" || !d.Policy.Runs("spf.helo") || !gateway.Known(&in.Session.Facts, factSPFHelo+name) {
		return gateway.AuthResult{}, false
	}
	a := d.spfHelo(context.Background(), in.Session) // it is known
	return a.said(heloProp(in)), a.Result != spf.None
}

func heloProp(in *gateway.Input) gateway.AuthProp {
	return gateway.AuthProp{Type: "smtp", Name: "helo", Value: in.Session.Helo.Name}
}

func (d *Deps) runSPFHelo(ctx context.Context, in *gateway.Input) gateway.Finding {
	switch {
	case fromInside(in):
		return leftOut(in.Session)
	case d.leftToSPF(in):
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
	}
	a := d.spfHelo(ctx, in.Session)
	if a.Domain == "" && a.Result == spf.None {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
	}
	f := a.finding(in, false)
	if a.Result != spf.None && !d.Policy.Runs("spf") { // else that check tells it
		f = f.Says(a.said(heloProp(in)))
	}
	return f
}

// finding says what the answer is worth reporting. Mail says that
// the domain is that of an address.
func (a *spfAnswer) finding(in *gateway.Input, mail bool) gateway.Finding {
	client := in.Session.Client.Addr().Unmap().WithZone("").String()
	var f gateway.Finding
	switch a.Result {
	case spf.Pass:
		f = gateway.Passed()
	case spf.Fail:
		f = gateway.Failed(gateway.SPFFail, a.Domain, client)
		if mail && a.Never {
			f = gateway.Failed(gateway.SPFNever, a.Domain)
		}
		f = f.With(gateway.Yes("fail"))
	case spf.PermError:
		f = gateway.Failed(gateway.SPFBroken, a.Domain, a.Problem).With(gateway.Yes("permerror"))
	case spf.SoftFail:
		f = gateway.Passed(gateway.Yes("softfail"))
	case spf.Neutral:
		f = gateway.Passed(gateway.Yes("neutral"))
	case spf.None:
		f = gateway.Passed()
		if mail { // few hosts have a record for their name, and none need one
			f = f.With(gateway.Yes("none"))
		}
	default:
		f = gateway.CouldNotTell(gateway.DNSFailed, a.Domain)
	}
	return a.show(f, client)
}

// show adds the evidence.
func (a *spfAnswer) show(f gateway.Finding, client string) gateway.Finding {
	f.Evidence = make([]gateway.Evidence, 0, 8)
	f = f.Show("spf", a.Result.String()+" for "+a.Domain+" from "+client)
	for _, e := range [...]gateway.Evidence{{Name: "matched", Text: a.way()}, {Name: "record", Text: a.Record},
		{Name: "explanation", Text: a.Explanation}, {Name: "problem", Text: a.Problem}} {
		if e.Text != "" {
			f = f.Show(e.Name, e.Text)
		}
	}
	if a.Lookups > 0 {
		f = f.Show("lookups", strconv.Itoa(a.Lookups)+" terms of 10, "+strconv.Itoa(a.Voids)+" of them with nothing")
	}
	if a.asked == nil {
		return f
	}
	return a.asked.show(f)
}

// way is what matched, and what led to it.
func (a *spfAnswer) way() string {
	if a.Mechanism == "" || len(a.Chain) == 0 {
		return a.Mechanism
	}
	return strings.Join(a.Chain, " > ") + " > " + a.Mechanism
}

// said is the answer as Authentication-Results has it (RFC 8601 section 2.7.2).
func (a *spfAnswer) said(prop gateway.AuthProp) gateway.AuthResult {
	r := gateway.AuthResult{Method: "spf", Result: a.Result.String(), Reason: a.Problem}
	if prop.Value != "" {
		r.Props = []gateway.AuthProp{prop}
	}
	return r
}
