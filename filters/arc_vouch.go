package filters

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/arc"
	"gatepost/internal/authres"
	"gatepost/internal/dkim"
)

// vouch is who says that a message passed DMARC for its author when it came to them, before it was changed on its way.
type vouch struct {
	By     string   // the trusted sealer on whose word DMARC may pass; "" for nobody
	Entry  *Note    // of policy, where By is set
	Untold string   // without By: the trusted sealer whose word would count if DNS could tell that the chain holds
	Would  []string // without both: the sealers that would have to be trusted for it, the newest first; nil where that would not help
	Last   string   // the sealer of the newest set of a chain that holds; "" without one
	Why    string   // in words, for people
}

// arcVouches looks for the newest set whose sealer wrote dmarc=pass for exactly this author domain (as A-labels in lower
// case). Its word counts only when the chain holds, the message signature of the newest set covers the whole body, and every
// sealer from there on is trusted, since each could have changed the message.
func (d *Deps) arcVouches(ctx context.Context, e *gateway.Envelope, authorDomain string) vouch {
	if authorDomain == "" || !hasChain(e) {
		return vouch{}
	}
	c := &d.signatures(ctx, e).ARC
	n := len(c.Sets)
	switch {
	case c.Result != arc.Pass && c.Result != arc.Unknown || n == 0:
		return vouch{Why: "the ARC chain is " + c.Result.String()}
	case e.Header.Count("From") != 1:
		return vouch{Why: "there is more than one From"}
	case doubled(c.Sets[n-1].Message.Doubled) != "":
		return vouch{Why: "a field " + doubled(c.Sets[n-1].Message.Doubled) + " stands once more above the one that the newest message signature covers"}
	case !c.Sets[n-1].Message.Whole:
		return vouch{Why: "the newest message signature does not cover the whole body"}
	}
	v := d.word(c.Sets, authorDomain)
	if c.Result == arc.Unknown {
		why := "DNS could not tell whether the ARC chain holds"
		if v.By != "" {
			why += "; if it does, " + v.Why
		}
		return vouch{Untold: v.By, Why: why}
	}
	v.Last = c.Sets[n-1].Seal.Domain
	return v
}

// word follows the sets from the newest to the first that speaks for the author.
func (d *Deps) word(sets []arc.Set, authorDomain string) (v vouch) {
	now, observed := time.Now(), d.On != nil && !d.On("arc")
	var missing []string
	for i := len(sets) - 1; i >= 0; i-- {
		s := &sets[i]
		if d.weak(&s.Seal) {
			v.Why = "the key of " + s.Seal.Domain + " is too short"
			return v
		}
		entry := d.arc.trusted(s.Seal.Domain, now)
		if (entry == nil || observed) && !slices.Contains(missing, s.Seal.Domain) {
			missing = append(missing, s.Seal.Domain)
		}
		switch {
		case !saysPass(s, entry, authorDomain):
		case len(missing) == 0:
			v.By, v.Entry, v.Why = s.Seal.Domain, &entry.Note, "the trusted sealer "+s.Seal.Domain+" says that DMARC passed for "+authorDomain
			return v
		default:
			v.Would, v.Why = missing, "not trusted: "+strings.Join(missing, ", ")+"; otherwise the word of "+s.Seal.Domain+" would count"
			return v
		}
	}
	v.Why = "no sealer says that DMARC passed for " + authorDomain
	return v
}

// weak reports whether the key of a seal is one that does not count for DKIM either (checks.dkim.min_bits).
func (d *Deps) weak(s *arc.Signature) bool {
	return d.dkim != nil && s.Algorithm == dkim.RSASHA256 && s.Bits > 0 && s.Bits < d.dkim.MinBits
}

// saysPass reports whether the results that a sealer signed are its own and say, once and without contradiction, that DMARC
// passed for the author domain. What cannot be read by the grammar says nothing.
func saysPass(s *arc.Set, entry *ARCSealer, authorDomain string) bool {
	r, err := authres.Parse(s.Results) // one that says two things of DMARC is an error
	if err != nil || !isOwn(r.ID, s.Seal.Domain, entry) {
		return false
	}
	said := r.Of("dmarc")
	if len(said) != 1 || said[0].Result != "pass" {
		return false
	}
	domain, err := dkim.ASCIIName(said[0].Prop("header", "from"))
	return err == nil && domain == authorDomain
}

// isOwn reports whether results of that authserv-id are the sealer's own.
func isOwn(server, sealer string, entry *ARCSealer) bool {
	name, err := dkim.ASCIIName(server)
	if err != nil {
		return false
	}
	if entry != nil && len(entry.Servers) > 0 {
		return slices.Contains(entry.Servers, name)
	}
	return dkim.Below(name, sealer)
}
