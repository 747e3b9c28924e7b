package filters

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/arc"
)

// arcCheck looks at who handled a message on its way and sealed it.
func arcCheck() Definition {
	return Definition{
		Name: "arc", Stage: gateway.Data,
		Doc:     "Does the chain of ARC seals hold, by which each host on the way tells what it verified? A broken one is as none, and costs nothing. A whole one is believed only from the sealers of the option sealer: then DMARC may pass by their word.",
		RFC:     "RFC 8617 section 5.2",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"fail", "there is a chain, and it does not hold", 0},
		},
		Options: &ARCOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			d.arc = options.(*ARCOptions)
			return Built{Run: d.runARC, Ready: signaturesKnown}, nil
		},
	}
}

// ARCOptions are the options of checks.arc.
type ARCOptions struct {
	Sealers []ARCSealer `toml:"sealer" doc:"A sealer whose word about DMARC is believed: a host that forwards mail for your users, or their mailing lists."`
}

// ARCSealer is one trusted sealer.
type ARCSealer struct {
	Domain  string   `toml:"domain" format:"domain" required:"true" example:"lists.example.org" doc:"The domain that seals: d= of its ARC-Seal, exactly."`
	Servers []string `toml:"servers" format:"domain" example:"mx.example.org" doc:"By which names it signs its results (authserv-id). Not set: the domain, and every name below it."`
	Note
}

// Validate refuses a sealer that is named twice: which entry counts would be a guess.
func (o *ARCOptions) Validate(report func(key, message, instead string)) {
	seen := map[string]bool{}
	for i, s := range o.Sealers {
		if s.Domain != "" && seen[s.Domain] {
			report("sealer["+strconv.Itoa(i)+"].domain", strconv.Quote(s.Domain)+" is a sealer twice", "remove one of them")
		}
		seen[s.Domain] = true
	}
}

// Warn tells of entries that no longer count.
func (o *ARCOptions) Warn(report func(key, message, instead string)) {
	for i := range o.Sealers {
		if s := &o.Sealers[i]; s.over(time.Now()) {
			report("sealer["+strconv.Itoa(i)+"].expires", "the trust in "+s.Domain+" ended on "+s.Expires.Day.Format(time.DateOnly),
				"look whether it is still needed; write a later day, or remove the entry")
		}
	}
}

// trusted returns the entry of a sealer that counts now, or nil.
func (o *ARCOptions) trusted(domain string, at time.Time) *ARCSealer {
	if o == nil {
		return nil
	}
	for i := range o.Sealers {
		if s := &o.Sealers[i]; s.Domain == domain && !s.over(at) {
			return s
		}
	}
	return nil
}

// hasChain reports whether any field of a chain is there.
func hasChain(e *gateway.Envelope) bool {
	for i := range e.Header.Fields {
		if n := e.Header.Fields[i].Name; len(n) > 4 && (n[0]|0x20) == 'a' && (strings.EqualFold(n, "ARC-Seal") ||
			strings.EqualFold(n, "ARC-Message-Signature") || strings.EqualFold(n, "ARC-Authentication-Results")) {
			return true
		}
	}
	return false
}

func (d *Deps) runARC(ctx context.Context, in *gateway.Input) gateway.Finding {
	if !hasChain(in.Envelope) {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}.
			Says(gateway.AuthResult{Method: "arc", Result: "none"})
	}
	s := d.signatures(ctx, in.Envelope)
	if s.broken {
		return gateway.CouldNotTell(gateway.CheckPanicked).Says(gateway.AuthResult{Method: "arc", Result: "fail", Reason: "could not be verified"})
	}
	c := &s.ARC
	var f gateway.Finding
	switch c.Result {
	case arc.Pass:
		f = gateway.Passed()
	case arc.Unknown:
		f = gateway.CouldNotTell(gateway.DNSFailed, "the keys of the ARC chain")
	default:
		f = gateway.Failed(gateway.ARCFail, c.Reason).With(gateway.Yes("fail"))
	}
	if c.Reason != "" {
		f = f.Show("chain", gateway.CleanText(c.Reason, 300))
	}
	for i := range c.Sets {
		f = d.tellSet(f, &c.Sets[i])
	}
	f = f.Says(chainResult(c, in.Session))
	if len(s.DKIM) > 0 {
		return f // the check dkim shows what DNS said
	}
	return s.asked.show(f)
}

// shownSets bounds the sets that are shown in full.
const shownSets = 10

// tellSet adds one set to the evidence, whatever became of the chain.
func (d *Deps) tellSet(f gateway.Finding, s *arc.Set) gateway.Finding {
	if s.Instance > shownSets {
		return f
	}
	trust := "not trusted"
	if t := d.arc.trusted(s.Seal.Domain, time.Now()); t != nil {
		trust = "trusted"
		if t.Reason != "" {
			trust += ": " + t.Reason
		}
	}
	f = f.Show("sealer "+strconv.Itoa(s.Instance), fmt.Sprintf("%s (%s); seal %s, message signature %s", s.Seal.Domain, trust, signatureText(&s.Seal), signatureText(&s.Message)))
	return f.Show("its results", gateway.CleanText(strings.Join(strings.Fields(s.Results), " "), 500))
}

func signatureText(s *arc.Signature) string {
	switch {
	case s.Result == arc.None:
		return "not looked at"
	case s.Reason != "":
		return s.Result.String() + ", " + s.Reason
	}
	return fmt.Sprintf("%s, key of %d bits", s.Result, s.Bits)
}

// chainResult is the chain in the words of RFC 8601 and RFC 8617 section 6. There is no word for what DNS could not tell:
// that is a fail (section 5.2.1), with its reason.
func chainResult(c *arc.Chain, s *gateway.Session) gateway.AuthResult {
	a := gateway.AuthResult{Method: "arc", Result: "fail", Reason: gateway.CleanText(c.Reason, 200)}
	if c.Result == arc.Pass {
		a.Result = "pass"
		a.Comment = fmt.Sprintf("i=%d", len(c.Sets))
		if c.OldestPass >= 0 {
			a.Props = append(a.Props, gateway.AuthProp{Type: "header", Name: "oldest-pass", Value: strconv.Itoa(c.OldestPass)})
		}
	}
	return withRemote(a, s)
}

func withRemote(a gateway.AuthResult, s *gateway.Session) gateway.AuthResult {
	a.Props = append(a.Props, gateway.AuthProp{Type: "smtp", Name: "remote-ip", Value: s.Client.Addr().Unmap().WithZone("").String()})
	return a
}
