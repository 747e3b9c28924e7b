package filters

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/limit"
	"gatepost/internal/shaping"
)

// A check of rates makes charges of what a client did, has them counted, all or none, and says which limit was met. The
// limits themselves are data (Deps.Rates); an observed one that is over is only told of, in evidence and metrics.

// mostRates is more charges than a step makes by the default limits.
const mostRates = 6

// exempt reports whether nothing is counted: clients of our own skip rates, and those that the site's own list allows.
func (d *Deps) exempt(s *gateway.Session) bool { return s.Trusted || d.allowed(s) }

// countsNow reports whether a check of rates waits for nobody.
func (d *Deps) countsNow(in *gateway.Input) bool { return d.exempt(in.Session) || !d.Shaper.Waits() }

// needsShaper refuses to build a check without what counts.
func (d *Deps) needsShaper() error {
	if d.Shaper == nil {
		return errors.New("needs a store that counts")
	}
	return nil
}

// single is what one check asks that has a step of its own, with its room.
type single struct {
	shaping.Ask
	takes [1]shaping.Take
	room  [mostRates]limit.Charge
}

// ownRates are the charges of a client and its networks.
func (d *Deps) ownRates(charges []limit.Charge, client netip.Addr, u limit.Unit, r limit.Reputation, cost int64) []limit.Charge {
	return d.Rates.Networks(charges, limit.PlacesOf(client), u, r, cost)
}

// clientSubject is what one client is counted under: the same as in ownRates.
func clientSubject(a netip.Addr) string {
	var text [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128")]byte
	return string(limit.PlacesOf(a).Client.AppendTo(text[:0]))
}

// charge adds what an event costs a subject, where there is a limit for it.
func (d *Deps) charge(to []limit.Charge, dim limit.Dimension, u limit.Unit, subject string, r limit.Reputation) []limit.Charge {
	if row := d.Rates.Of(dim, u); row != nil {
		if c, ok := row.Charge(subject, r, 1); ok {
			to = append(to, c)
		}
	}
	return to
}

// counted has the charges counted, all or none, and says what came of it.
func (d *Deps) counted(ctx context.Context, a *single, charges []limit.Charge) gateway.Finding {
	if len(charges) == 0 {
		return notLimited()
	}
	a.takes[0].Charges = charges
	a.Takes = a.takes[:]
	d.Shaper.Do(ctx, &a.Ask)
	return d.rated(&a.takes[0])
}

// notLimited is the finding where there is no limit.
func notLimited() gateway.Finding {
	return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
}

// rated is the finding of charges that were asked of.
func (d *Deps) rated(t *shaping.Take) gateway.Finding {
	if t.Err != nil {
		return gateway.CouldNotTell(gateway.RateAway).Show("error", gateway.CleanText(t.Err.Error(), 200))
	}
	f := gateway.Passed()
	if t.Denied >= 0 {
		c := &t.Charges[t.Denied]
		f = gateway.Failed(rateReason(&c.Key), subjectWords(&c.Key), mostWords(c), Seconds(t.Wait))
		f.RetryAfter = t.Wait
		f = f.Show("limit", rateWords(c)+", "+Seconds(t.Wait)+" to wait")
		if t.Alone {
			f = f.Show("counted", "by this node alone, with its part of the rate: Redis did not answer")
		}
	}
	if t.Over == 0 {
		return f
	}
	for i := range t.Charges {
		if t.Over&(1<<i) == 0 {
			continue
		}
		c := &t.Charges[i]
		d.Limited.over(c)
		switch {
		case c.Observed:
			f = f.Show("over, only observed", rateWords(c))
		case i != t.Denied:
			f = f.Show("over too", rateWords(c))
		}
	}
	return f
}

// rateReason is why a charge of the key denies.
func rateReason(k *limit.Key) gateway.Reason {
	switch {
	case k.Dimension == limit.NullSender:
		return gateway.RateNullSender
	case k.Dimension == limit.UnknownRecipient:
		return gateway.RateUnknown
	}
	switch k.Unit {
	case limit.Connections:
		return gateway.RateConnections
	case limit.Recipients:
		return gateway.RateRecipients
	case limit.KiB:
		return gateway.RateOctets
	case limit.Errors:
		return gateway.RateErrors
	}
	return gateway.RateMessages
}

// subjectWords name the subject to the sender's postmaster, as the reply text of the reason goes on.
func subjectWords(k *limit.Key) string {
	subject := strings.TrimSuffix(hostOf(k.Subject), nullMark)
	switch k.Dimension {
	case limit.Network, limit.WideNetwork:
		return "from your network " + subject
	case limit.Organisation:
		return "from hosts of " + subject
	case limit.SenderDomain:
		return "from senders of " + subject
	case limit.Recipient, limit.RecipientDomain, limit.NullSender:
		return "for " + subject
	}
	if strings.ContainsRune(subject, '/') {
		return "from your network " + subject
	}
	return "from your address " + subject
}

// NetworkWords name the network of a client as a refusal does.
func NetworkWords(client netip.Addr) string {
	return subjectWords(&limit.Key{Dimension: limit.Network, Subject: limit.PlacesOf(client).Network.String()})
}

// hostOf is a network of one address without its length.
func hostOf(subject string) string {
	if host, null := strings.CutSuffix(subject, nullMark); null {
		return strings.TrimSuffix(host, "/32") + nullMark
	}
	return strings.TrimSuffix(subject, "/32")
}

// mostWords tell how much may come.
func mostWords(c *limit.Charge) string {
	text := c.Rate.String()
	if c.Key.Unit == limit.KiB {
		return strings.Replace(text, " per ", " KiB per ", 1)
	}
	return text
}

// rateWords tell a limit, whose it is, and how much of it is used.
func rateWords(c *limit.Charge) string {
	used := int64(0)
	if c.Ahead > 0 {
		used = (c.Ahead.Microseconds()-1)/c.Rate.Interval + 1
	}
	return c.Key.Limit() + " of " + hostOf(c.Key.Subject) + ": at most " + mostWords(c) + ", " + strconv.FormatInt(used, 10) + " used"
}

// Seconds is a wait as it is told to a sender: "1 second", "90 seconds"; at least one, and never less than it takes.
func Seconds(d time.Duration) string {
	n := int64(math.Ceil(d.Seconds()))
	if n <= 1 {
		return "1 second"
	}
	return strconv.FormatInt(n, 10) + " seconds"
}
