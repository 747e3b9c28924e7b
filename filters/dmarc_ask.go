package filters

import (
	"context"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/author"
	"gatepost/internal/dmarc"
	"gatepost/internal/spf"
)

// dmarcAnswer is what DMARC says of a message.
type dmarcAnswer struct {
	*dmarc.Outcome                  // nil: there is no author domain
	authors        []*dmarc.Outcome // of each domain in From, where that does not name one author
	crowd          bool             // From names too many
	inside         bool             // the client is one that SPF cannot speak about
	asked          *lookups
	spf            spfAnswer // what the identifiers are from
	signed         *signed

	// What judging finds.
	path     gateway.Path
	hint     string   // what hints at it
	sealer   string   // trusted, and says that it passed
	untold   string   // trusted, and says so if its chain holds, which DNS could not tell
	rescuers []string // sealers that would say so, were they trusted
	override string   // of RFC 9990
	why      []string // why local policy does what it does
}

func (a *dmarcAnswer) because(why string) { a.why = append(a.why, why) }

// ask takes over what the ARC chain says of a message that does not pass. Where From does not name one author it says
// nothing: nobody can have vouched for him.
func (a *dmarcAnswer) ask(v vouch) {
	if a.authors != nil {
		return
	}
	a.sealer, a.untold, a.rescuers = v.By, v.Untold, v.Would
	if v.Why != "" {
		a.because("ARC: " + v.Why)
	}
}

// A From field that names more domains or addresses than these is not looked at: its strictest domain may be any of them.
const (
	maxAuthors   = 4
	maxAddresses = 15 // the last of which internal/author keeps 16
)

// dmarcShared is dmarcOf, worked out once where somebody besides the check asks: only then it is a fact, which costs
// something. The answer of a computation that panicked has no asked.
func (d *Deps) dmarcShared(ctx context.Context, e *gateway.Envelope) dmarcAnswer {
	if !d.authors && (d.OwnLists == nil || d.OwnLists().Len() == 0) {
		return d.dmarcOf(ctx, e)
	}
	return gateway.Fact(&e.Facts, "dmarc", func() dmarcAnswer { return d.dmarcOf(ctx, e) })
}

// proven is the author whose domain DMARC has proven to have sent the message, as local@domain; or "" and why it has not.
// An SPF record that lets everybody pass proves nothing of anybody.
func (a *dmarcAnswer) proven(from author.Author) (address, why string) {
	switch {
	case a.crowd || a.authors != nil || len(from.Addresses) != 1:
		return "", "From does not name one author"
	case a.Outcome == nil || from.Domain == "":
		return "", "From names no domain"
	case a.Result == dmarc.NoRecord && a.inside:
		return "", "its client is one of your own, of which SPF cannot speak, and no signature of " + from.Domain + " holds"
	case a.Result == dmarc.NoRecord:
		return "", from.Domain + " publishes no DMARC record"
	case a.Result != dmarc.Pass:
		return "", "DMARC of " + from.Domain + " says " + string(a.Result)
	case a.open():
		return "", "nothing but the SPF record of " + a.spf.Domain + " speaks for it, and that lets everybody pass (+all)"
	}
	return from.Addresses[0].Local + "@" + from.Domain, ""
}

// open reports whether the message passes by nothing but an SPF record that lets everybody pass.
func (a *dmarcAnswer) open() bool {
	if strings.TrimLeft(a.spf.Mechanism, "+") != "all" {
		return false
	}
	return !slices.ContainsFunc(a.Alignments, func(al dmarc.Alignment) bool {
		return al.Method != "spf" && al.Aligned == dmarc.IsAligned && !al.Unsure
	})
}

// dmarcOf tells what DMARC says. The records are asked for while SPF and DKIM are still at work.
func (d *Deps) dmarcOf(ctx context.Context, e *gateway.Envelope) dmarcAnswer {
	a := dmarcAnswer{inside: unjudged(e.Session), asked: &lookups{r: d.Resolver}}
	author := authorOf(e)
	if len(author.Domains) > maxAuthors || len(author.Addresses) > maxAddresses {
		a.crowd = true
		return a
	}
	domains := author.Domains
	if author.Domain != "" {
		domains = []string{author.Domain}
	}
	if len(domains) == 0 || a.inside && e.Header.Count("DKIM-Signature") == 0 {
		a.Outcome = insideAnswer(&a, domains)
		return a
	}
	within := gateway.Within(ctx, time.Now().Add(lookupTime))
	defer within.End()
	outcomes := d.outcomes(within, e, domains, &a)
	if author.Domain != "" {
		a.Outcome = outcomes[0]
		return a
	}
	a.authors, a.Outcome = outcomes, strictest(outcomes)
	return a
}

// insideAnswer is the answer without a question: nobody is authenticated. Without an author there is none.
func insideAnswer(a *dmarcAnswer, domains []string) *dmarc.Outcome {
	if len(domains) == 0 {
		return nil
	}
	return &dmarc.Outcome{Result: dmarc.NoRecord, Author: domains[0]}
}

// outcomes evaluates each author domain. All records that may be needed are asked for before it is known who is
// authenticated.
func (d *Deps) outcomes(ctx context.Context, e *gateway.Envelope, domains []string, a *dmarcAnswer) []*dmarc.Outcome {
	claimed := signers(e.Header)
	mail := e.From.Domain
	if e.From.IsNull() {
		mail = heloText(e.Session)
	}
	candidates := append(slices.Clip(claimed), mail)
	found := make([]*dmarc.Discovery, len(domains))
	var wg sync.WaitGroup
	panics := make([]any, len(domains)) // each is that of the check, which is then unknown, and not that of the daemon
	for i, domain := range domains {
		wg.Go(func() {
			defer func() { panics[i] = recover() }()
			found[i] = dmarc.Discover(ctx, a.asked, domain, candidates, d.dmarc.method())
		})
	}
	var in dmarc.Input
	if d.dmarc.method() == dmarc.PSL {
		in.Sample = sample(e)
	}
	if !a.inside {
		a.spf = d.spfMail(ctx, e)
		if a.spf.Domain == "" && a.spf.Result == spf.TempError { // a panic
			a.spf.Domain = mail
		}
		if r := a.spf.Result; r == spf.Pass || r == spf.TempError {
			in.Identifiers = append(in.Identifiers, dmarc.Identifier{Method: "spf", Domain: a.spf.Domain, Unsure: r == spf.TempError})
		}
	}
	a.signed = d.signatures(ctx, e)
	s := a.signed
	for _, domain := range s.domains() {
		in.Identifiers = append(in.Identifiers, dmarc.Identifier{Method: "dkim", Domain: domain})
	}
	doubtful := s.doubtful()
	if s.broken {
		doubtful = claimed
	}
	for _, domain := range doubtful {
		in.Identifiers = append(in.Identifiers, dmarc.Identifier{Method: "dkim", Domain: domain, Unsure: true})
	}
	wg.Wait()
	out := make([]*dmarc.Outcome, len(domains))
	for i := range found {
		if panics[i] != nil {
			panic(panics[i])
		}
		found[i].Complete(ctx, a.asked, &in)
		out[i] = found[i].Evaluate(&in)
	}
	return out
}

// strictest is the outcome that counts where From does not name one author: none of them passes, since nobody can say whom
// a reader sees; of those that fail the one whose owner asks for most.
func strictest(outcomes []*dmarc.Outcome) *dmarc.Outcome {
	rank := func(o *dmarc.Outcome) int {
		switch o.Result {
		case dmarc.Fail:
			return 10 + int(o.Requested)
		case dmarc.TempError:
			return 3
		case dmarc.PermError:
			return 2
		}
		return 1
	}
	worst := *slices.MaxFunc(outcomes, func(a, b *dmarc.Outcome) int { return rank(a) - rank(b) })
	worst.Identical = false
	if worst.Result == dmarc.Pass {
		worst.Result = dmarc.NoRecord
	}
	worst.Why = "From does not name one author"
	return &worst
}

// signers are the domains that signatures of the header section claim, so that their records can be asked for before the
// signatures are verified. Nothing is believed of them.
func signers(h *gateway.Header) []string {
	var out []string
	for _, f := range h.All("DKIM-Signature") {
		if len(out) == 8 {
			break
		}
		for tag := range strings.SplitSeq(h.Value(f), ";") {
			if name, value, _ := strings.Cut(tag, "="); strings.TrimSpace(name) == "d" {
				out = append(out, strings.TrimSpace(value))
				break
			}
		}
	}
	return out
}

// sample is the number that stands for a message under pct (RFC 7489 section 6.6.4): the same each time that it is sent.
func sample(e *gateway.Envelope) uint32 {
	h := fnv.New64a()
	for _, name := range [...]string{"Message-ID", "Date", "From"} {
		_, _ = io.WriteString(h, e.Header.Get(name)+"\n")
	}
	return uint32((h.Sum64() >> 32) % 100) // its low bits are weak
}
