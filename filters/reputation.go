package filters

import (
	"context"
	"errors"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
	"gatepost/internal/dns"
	"gatepost/internal/reputation"
	"gatepost/internal/spf"
)

// reputationCheck looks at what came of mail before this one.
func reputationCheck() Definition {
	return Definition{
		Name: "reputation", Stage: gateway.Mail,
		Doc:     "What came of earlier mail of this client, its network, its organization, and the domain that SPF passes for: was it let in, spam, malware, or for nobody? A bad past costs points and brings the limits for bad clients; a good one speaks a little for a message, and lets no other check be left out.",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"bad", "most of what the client, or the domain, sent lately was spam, malware or for nobody", 2},
			{"near", "so was that of its organization or network, and of itself nothing good is known", 1},
			{"good", "the client, its organization or the domain sent good mail on several days, and next to nothing bad; its value is -1: it speaks for a message", 0.5},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Reputation == nil {
				return Built{}, errors.New("needs a store")
			}
			b := Built{Run: d.runReputation, Ready: d.reputationReady}
			if d.Reputation.Waits() {
				b.Ahead, b.AheadMail = d.beginPast, d.beginNames
			}
			return b, nil
		},
	}
}

// Reputation tells what came of earlier mail: what internal/shaping does.
type Reputation interface {
	// Look returns the histories of subjects.
	Look(ctx context.Context, subjects []reputation.Subject) ([]reputation.History, error)
	// Own returns what this process knows of a subject. It never waits.
	Own(s reputation.Subject) reputation.History
	Waits() bool // whether Look waits for somebody else
}

// past is what was found of some subjects, in their order.
type past struct {
	subjects  []reputation.Subject
	histories []reputation.History
	err       error // nothing is known
}

// The names of the facts: of the connection, and of the transaction.
const (
	factPast  = "past"
	factNames = "past of names"
)

// errNoPast stands where a look is missing, since whoever looked broke.
var errNoPast = errors.New("not looked up")

func (d *Deps) look(ctx context.Context, subjects []reputation.Subject) past {
	p := past{subjects: subjects}
	if len(subjects) > 0 {
		p.histories, p.err = d.Reputation.Look(ctx, subjects)
	}
	return p
}

// pastOf is that of the client and its network, looked up once a connection.
func (d *Deps) pastOf(ctx context.Context, s *gateway.Session) past {
	return gateway.Fact(&s.Facts, factPast, func() past {
		a := s.Client.Addr()
		return d.look(ctx, []reputation.Subject{reputation.ClientOf(a), reputation.NetworkOf(a)})
	}).whole()
}

// pastOfNames is that of the organization and the domain, looked up once a transaction.
func (d *Deps) pastOfNames(ctx context.Context, e *gateway.Envelope) past {
	return gateway.Fact(&e.Facts, factNames, func() past { return d.look(ctx, d.namesOf(ctx, e)) }).whole()
}

// whole says that nothing is known where whoever looked broke.
func (p past) whole() past {
	if p.err == nil && len(p.histories) != len(p.subjects) {
		p.err = errNoPast
	}
	return p
}

// namesOf are the names that a transaction has proven, as far as other checks have found that out: the organization of the
// client, where its verified reverse name is neither one that a provider made nor one of a provider's customers', and the
// organizational domain of a reverse-path that SPF passes for, unless it passes for everybody.
func (d *Deps) namesOf(ctx context.Context, e *gateway.Envelope) []reputation.Subject {
	s, out := e.Session, make([]reputation.Subject, 0, 2)
	if gateway.Known(&s.Facts, factReverse) {
		if r := d.reverse(ctx, s); r.Status == dns.Found && !GenericName(r.Name, s.Client.Addr()) && !rented(r.Name) {
			if org := reputation.Named(reputation.Organisation, dmarc.Registered(r.Name)); org.Valid() {
				out = append(out, org)
			}
		}
	}
	if !e.From.IsNull() && hasSPFDomain(e.From.Domain) && gateway.Known(&e.Facts, factSPF) {
		if a := d.spfMail(ctx, e); a.Result == spf.Pass && strings.TrimLeft(a.Mechanism, "+") != "all" {
			if domain := reputation.Named(reputation.Domain, dmarc.Registered(e.From.Domain)); domain.Valid() {
				out = append(out, domain)
			}
		}
	}
	return out
}

// beginPast looks with the connection.
func (d *Deps) beginPast(ctx context.Context, s *gateway.Session) (rest func()) {
	if s.Trusted || unjudged(s) {
		return nil
	}
	return func() { d.pastOf(ctx, s) }
}

// beginNames looks as soon as it is known which names are proven.
func (d *Deps) beginNames(ctx context.Context, in *gateway.Input) {
	if in.Session.Trusted || fromInside(in) {
		return
	}
	if d.Policy.Runs("rdns") {
		d.reverse(ctx, in.Session)
	}
	if d.Policy.Runs("spf") && hasSPFDomain(in.Envelope.From.Domain) {
		d.spfMail(ctx, in.Envelope)
	}
	d.pastOfNames(ctx, in.Envelope)
}

// reputationReady reports whether the check has nothing to wait for. How broad the record of a bad domain is may have to be
// looked up.
func (d *Deps) reputationReady(in *gateway.Input) bool {
	if in.Session.Trusted || fromInside(in) {
		return true
	}
	if d.Reputation.Waits() && !(gateway.Known(&in.Session.Facts, factPast) && gateway.Known(&in.Envelope.Facts, factNames)) {
		return false
	}
	ctx := context.Background()
	d.pastOf(ctx, in.Session)
	names := d.pastOfNames(ctx, in.Envelope)
	return names.standing(reputation.Domain, in.Envelope) != reputation.Bad
}

// standing is that of the subject of a kind; Unknown where there is none.
func (p *past) standing(k reputation.Kind, e *gateway.Envelope) reputation.Standing {
	if p.err == nil {
		for i := range p.subjects {
			if p.subjects[i].Kind == k {
				return p.histories[i].At(e.Started).Standing
			}
		}
	}
	return reputation.Unknown
}

// name is that of the subject of a kind.
func (p *past) name(k reputation.Kind) string {
	for i := range p.subjects {
		if p.subjects[i].Kind == k {
			return p.subjects[i].Name
		}
	}
	return ""
}

// show adds each subject, and what is known of it: reputationLessons reads the names again.
func (p *past) show(f gateway.Finding, e *gateway.Envelope) gateway.Finding {
	for i := range p.subjects {
		text := p.subjects[i].Name
		if p.err == nil && p.histories[i].Seen != 0 {
			text += taughtBy + p.histories[i].Tell(e.Started)
		}
		f = f.Show(p.subjects[i].Kind.String(), text)
	}
	if p.err != nil {
		f = f.Show("store", p.err.Error())
	}
	return f
}

// taughtBy stands between a subject and what is known of it.
const taughtBy = ": "

func (d *Deps) runReputation(ctx context.Context, in *gateway.Input) gateway.Finding {
	switch {
	case fromInside(in):
		return leftOut(in.Session)
	case in.Session.Trusted:
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
	}
	e := in.Envelope
	places, names := d.pastOf(ctx, in.Session), d.pastOfNames(ctx, e)
	client, network := places.standing(reputation.Client, e), places.standing(reputation.Network, e)
	org, domain := names.standing(reputation.Organisation, e), names.standing(reputation.Domain, e)
	wide := domain == reputation.Bad && !d.spfBreadth(ctx, e, strings.ToLower(e.From.Domain)).Narrow()
	if wide { // others may send for it too, and may have done so
		domain = reputation.Unknown
	}
	f := gateway.Passed()
	switch {
	case places.err != nil:
		f = gateway.CouldNotTell(gateway.ReputationAway)
	case domain == reputation.Bad && client == reputation.Known, client == reputation.Bad && domain == reputation.Known:
		// Somebody else sends for the domain, or from the host: a forgotten subdomain, a host of many.
	case domain == reputation.Bad:
		f = gateway.Failed(gateway.ReputationBad, names.name(reputation.Domain)).With(gateway.Yes("bad"))
	case client == reputation.Bad:
		f = gateway.Failed(gateway.ReputationBad, places.name(reputation.Client)).With(gateway.Yes("bad"))
	case client == reputation.Known, domain == reputation.Known, org == reputation.Known:
		f = f.With(gateway.Measure{Name: "good", Value: -1})
	case org == reputation.Bad, network == reputation.Bad:
		f = f.With(gateway.Yes("near"))
	}
	f.Evidence = make([]gateway.Evidence, 0, 5)
	f = names.show(places.show(f, e), e)
	if wide {
		f = f.Show("wide record", "the SPF record of the domain lets many pass: what others sent for it is not held against it")
	}
	return f
}
