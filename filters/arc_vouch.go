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
	By    string   // the trusted sealer on whose word DMARC may pass; "" for nobody
	Entry *Note    // of policy, where By is set
	Would []string // without By: the sealers that would have to be trusted for it, the newest first; nil where that would not help
	Last  string   // the sealer of the newest set of a chain that holds; "" without one
	Why   string   // in words, for people
}

// arcVouches looks for the newest set whose sealer wrote dmarc=pass for exactly this author domain (as A-labels in lower
// case). Its word counts only when the chain holds, the message signature of the newest set covers the whole body, and every
// sealer from there on is trusted, since each could have changed the message.
func (d *Deps) arcVouches(ctx context.Context, e *gateway.Envelope, authorDomain string) vouch {
	if authorDomain == "" || !hasChain(e) {
		return vouch{}
	}
	c := &d.signatures(ctx, e).ARC
	switch {
	case c.Result != arc.Pass:
		return vouch{Why: "the ARC chain is " + c.Result.String()}
	case e.Header.Count("From") != 1:
		return vouch{Why: "there is more than one From"}
	}
	n := len(c.Sets)
	v := vouch{Last: c.Sets[n-1].Seal.Domain}
	if !c.Sets[n-1].Message.Whole {
		v.Why = "the newest message signature does not cover the whole body"
		return v
	}
	now, observed := time.Now(), d.On != nil && !d.On("arc")
	var missing []string
	for i := n - 1; i >= 0; i-- {
		s := &c.Sets[i]
		entry := d.arc.trusted(s.Seal.Domain, now)
		if (entry == nil || observed) && !slices.Contains(missing, s.Seal.Domain) {
			missing = append(missing, s.Seal.Domain)
		}
		if !saysPass(s, entry, authorDomain) {
			continue
		}
		if len(missing) == 0 {
			v.By, v.Entry, v.Why = s.Seal.Domain, &entry.Note, "the trusted sealer "+s.Seal.Domain+" says that DMARC passed for "+authorDomain
			return v
		}
		v.Would, v.Why = missing, "not trusted: "+strings.Join(missing, ", ")+"; otherwise the word of "+s.Seal.Domain+" would count"
		return v
	}
	v.Why = "no sealer says that DMARC passed for " + authorDomain
	return v
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
