package filters

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/greylist"
	"gatepost/internal/dmarc"
	"gatepost/internal/dns"
	"gatepost/internal/shaping"
	"gatepost/internal/spf"
)

// greyMode says who waits.
type greyMode uint8

const (
	greyOff greyMode = iota
	greySuspicious
	greyEveryone
)

func greyModeOf(word string) greyMode {
	switch word {
	case "everyone":
		return greyEveryone
	case "suspicious":
		return greySuspicious
	}
	return greyOff
}

// greyRules are the options of the check greylist in the form in which they are asked for each recipient.
type greyRules struct {
	options  *GreylistOptions
	settings greylist.Settings
	mode     greyMode
	entries  []greyRule
}

// greyRule is an entry in the forms that the edge compares with. Local is "" where it is about a domain.
type greyRule struct {
	entry         *GreylistFor
	local, domain string
	mode          greyMode
}

func newGreyRules(o *GreylistOptions) *greyRules {
	g := &greyRules{options: o, settings: o.settings(), mode: greyModeOf(o.Mode)}
	for i := range o.For {
		if r, ok := o.For[i].compile(); ok { // Validate has reported the others
			g.entries = append(g.entries, r)
		}
	}
	return g
}

func (e *GreylistFor) compile() (r greyRule, ok bool) {
	r = greyRule{entry: e, mode: greyModeOf(e.Mode)}
	if e.Domain != "" {
		r.domain, ok = nameOf(e.Domain)
		return r, ok
	}
	i := strings.LastIndexByte(e.Recipient, '@')
	if i < 1 {
		return r, false
	}
	s := SenderEntry{Address: e.Recipient}
	a, ok := s.compile()
	r.local, r.domain = a.local, a.domain
	return r, ok && r.local != ""
}

// modeFor returns the mode for a recipient: that of its own entry, of the longest domain, or the one for all. Mail for
// postmaster and abuse never waits (RFC 5321 section 4.5.1, RFC 2142 section 4).
func (g *greyRules) modeFor(to gateway.Address, now time.Time) greyMode {
	if to.RoleOf() != "" {
		return greyOff
	}
	mode, best := g.mode, -1
	for i := range g.entries {
		r := &g.entries[i]
		if !nameMatches(r.domain, to.Domain) || r.local != "" && !strings.EqualFold(r.local, to.Local) || r.entry.over(now) {
			continue
		}
		rank := len(r.domain)
		if r.local != "" {
			rank += 1 << 16
		}
		if rank > best {
			mode, best = r.mode, rank
		}
	}
	return mode
}

// guest is what greylisting thinks of the sender of a transaction: the same for all of its recipients.
type guest struct {
	spf       spf.Result
	identity  greylist.Identity // of one that waits
	why       string            // it never waits, and why; "" where it may have to
	ifNarrow  string            // why is so only if the SPF record of this domain is narrow; "" where it is so anyhow
	suspect   bool              // its suspicion is enough
	seen      bool              // mail of the client, or of the sender's domain, was accepted before
	suspicion string            // in words
}

// mayWait reports whether the guest has to wait where it is not known, as far as the breadth of its SPF record does not matter.
func (g *guest) mayWait(m greyMode) bool {
	return (g.why == "" || g.ifNarrow != "") && (m == greyEveryone || m == greySuspicious && g.suspect)
}

// waits reports whether a guest has to wait where it is not known. That a domain was seen spares no suspect if anybody passes
// SPF for it: else one message that passes DMARC for a domain with +all lets a botnet in.
func (d *Deps) waits(ctx context.Context, e *gateway.Envelope, g *guest, m greyMode) bool {
	return g.mayWait(m) && (g.ifNarrow == "" || !d.spfBreadth(ctx, e, g.ifNarrow).Narrow())
}

// neverWaits reports whether a client never waits, whatever it brings: it is trusted, inside, or allowed.
func (d *Deps) neverWaits(s *gateway.Session) bool {
	return s.Trusted || unjudged(s) || d.allowed(s)
}

// allowed reports whether an entry of the site's own list allows the client.
func (d *Deps) allowed(s *gateway.Session) bool {
	for i := range s.Findings {
		f := &s.Findings[i]
		if f.Check != "access.client" || len(f.Measures) == 0 {
			continue
		}
		for _, m := range f.Measures {
			if m.Name == gateway.AllowMeasure && d.Policy.Checks[f.Check].Action > gateway.ActionObserve {
				return true
			}
		}
	}
	return false
}

// factBreadth is the name of the fact how much an SPF record covers.
const factBreadth = "spf breadth"

// greylistKnows reports whether the greylist waits for nobody: neither to tell who a sender is, nor to ask for it. Most are
// not asked for. How much an SPF record that passes covers may have to be looked up of those that are.
func (d *Deps) greylistKnows(in *gateway.Input, m greyMode) bool {
	if !d.spfKnown(in) || !d.reverseKnown(in) {
		return false
	}
	g := d.guest(context.Background(), in) // all that it looks at is there
	if !g.mayWait(m) {
		return true
	}
	if g.spf == spf.Pass && !gateway.Known(&in.Envelope.Facts, factBreadth) {
		return false
	}
	return !d.Shaper.Waits() || !d.waits(context.Background(), in.Envelope, g, m)
}

// spfBreadth is how much the record of a domain lets pass, looked up once a transaction. The zero value, of a fact that
// broke, is of no domain that SPF passes for.
func (d *Deps) spfBreadth(ctx context.Context, e *gateway.Envelope, domain string) spf.Breadth {
	return gateway.Fact(&e.Facts, factBreadth, func() spf.Breadth {
		within := gateway.Within(ctx, time.Now().Add(lookupTime))
		defer within.End()
		return spf.BreadthOf(within, &lookups{r: d.Resolver}, domain)
	})
}

// askGreylist appends the pair of a guest that has to wait where it is not known. It is called by the row's step.
func (d *Deps) askGreylist(ctx context.Context, in *gateway.Input, m greyMode, to string, a *shaping.Ask) {
	g := d.guest(ctx, in)
	if !d.waits(ctx, in.Envelope, g, m) {
		return
	}
	g.identity = d.identify(ctx, in)
	a.Tries = append(a.Tries, shaping.Try{Key: d.Keyer.Key(g.identity, in.Envelope.From.Key(), to), Settings: d.greylist.settings})
}

// guest looks at the sender of a transaction, once.
func (d *Deps) guest(ctx context.Context, in *gateway.Input) *guest {
	return gateway.Fact(&in.Envelope.Facts, "greylist", func() *guest { return d.lookAt(ctx, in) })
}

// lookAt says what greylisting thinks of a sender. What DNS cannot tell makes nobody suspect.
func (d *Deps) lookAt(ctx context.Context, in *gateway.Input) *guest {
	e := in.Envelope
	a := d.spfMail(ctx, e)
	g := &guest{spf: a.Result}
	r := d.reverse(ctx, in.Session)
	generic := r.Status == dns.Found && GenericName(r.Name, in.Session.Client.Addr())
	passes := a.Result == spf.Pass
	seen := passes && d.seenLately(a.Domain, e.Started) // else anybody may have written the name
	proven := in.Session.Conduct.Proven || spokenFor(e)
	g.seen = seen || proven
	// That the domain was seen does not make it less suspect: it spares it, or, with a wide record, it does not.
	g.suspect, g.suspicion = d.suspicion(in, a.Result, r, proven)
	if passes && r.Status == dns.Found && !generic && g.suspect {
		g.suspect = false
		g.suspicion += "; but SPF passes, and so does the reverse name"
	}
	switch {
	case d.listedWell(in.Session):
		g.why = "the client is on a list of good senders"
	case seen:
		g.why = "SPF passes for " + a.Domain + ", as from which mail passed DMARC lately"
		if g.suspect {
			g.ifNarrow = a.Domain
		}
	}
	return g
}

// identify says who a guest is that has to wait. What DNS cannot tell gives nobody an identity that others might join.
func (d *Deps) identify(ctx context.Context, in *gateway.Input) greylist.Identity {
	addr := in.Session.Client.Addr()
	s := greylist.Sender{Addr: addr}
	if a := d.spfMail(ctx, in.Envelope); a.Result == spf.Pass {
		s.SPFDomain, s.SPFNarrow = a.Domain, d.spfBreadth(ctx, in.Envelope, a.Domain).Narrow()
	}
	if r := d.reverse(ctx, in.Session); r.Status == dns.Found && !GenericName(r.Name, addr) && !rented(r.Name) {
		s.PTROrg = dmarc.Registered(r.Name)
	}
	return s.Identity()
}

// seenLately reports whether mail from a domain, or from its organization, passed DMARC lately.
func (d *Deps) seenLately(domain string, now time.Time) bool {
	domain = strings.ToLower(domain)
	if domain == "" || d.knownDomain(domain).PassedLately(now) {
		return domain != ""
	}
	org := dmarc.Registered(domain)
	return org != "" && org != domain && d.knownDomain(org).PassedLately(now)
}

// spokenFor reports whether what came of earlier mail speaks for the message.
func spokenFor(e *gateway.Envelope) bool {
	for i := range e.Findings {
		if f := &e.Findings[i]; f.Check == "reputation" {
			return slices.ContainsFunc(f.Measures, func(m gateway.Measure) bool { return m.Value < 0 })
		}
	}
	return false
}

// suspicion sums up what speaks against a sender, and says whether that is enough.
func (d *Deps) suspicion(in *gateway.Input, result spf.Result, r dns.Reverse, seen bool) (bool, string) {
	o := d.greylist.options
	found := d.Policy.Suspicion(in.Session, in.Envelope)
	parts := make([]byte, 0, 96)
	add := func(points float64, what string) float64 {
		if points == 0 {
			return 0
		}
		parts = append(append(append(parts, ", "...), what+" "...), points10(points)...)
		return points
	}
	sum := add(found, "found")
	for i := range r.Names {
		if GenericName(r.Names[i].Name, in.Session.Client.Addr()) {
			sum += add(o.Dynamic, "generic name")
			break
		}
	}
	more := sum
	if !seen {
		more += add(o.FirstSeen, "first seen")
	}
	if result == spf.None {
		more += add(o.SPFNone, "no SPF")
	}
	text := points10(more) + " of " + points10(o.Suspicion)
	if len(parts) > 0 {
		text += ": " + string(parts[2:])
	}
	return sum > 0 && more >= o.Suspicion-1e-9, text
}

// points10 writes points with at most one digit behind the point.
func points10(p float64) string { return strconv.FormatFloat(math.Round(p*10)/10, 'f', -1, 64) }

// listedWell reports whether a DNS list of good senders has the client: it lowers what lists cost.
func (d *Deps) listedWell(s *gateway.Session) bool {
	for i := range s.Findings {
		if f := &s.Findings[i]; f.Check == "rbl.client" {
			return d.On(f.Check) && slices.ContainsFunc(f.Measures, func(m gateway.Measure) bool { return m.Value < 0 })
		}
	}
	return false
}
