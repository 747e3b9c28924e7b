package filters

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
)

// dmarcCheck looks at whether the author's domain was authenticated, and at what its owner asks for if it was not.
func dmarcCheck() Definition {
	return Definition{
		Name: "dmarc", Stage: gateway.Data,
		Doc:     "Was the domain in From authenticated by an aligned SPF or DKIM pass, and if not, what does its owner ask for? With several authors it never passes, and the strictest counts. Mail from clients inside can pass, by a signature, and does not fail: SPF cannot speak about them.",
		RFC:     "RFC 9989, RFC 7489",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionPass,
		Reasons: map[gateway.Reason]gateway.Action{
			gateway.DMARCReject:     gateway.ActionReject,
			gateway.DMARCIndirect:   gateway.ActionQuarantine,
			gateway.DMARCQuarantine: gateway.ActionQuarantine,
			gateway.DMARCUnasked:    gateway.ActionScore,
			gateway.DMARCBroken:     gateway.ActionScore,
			gateway.DMARCHeld:       gateway.ActionDefer,
			gateway.CheckPanicked:   gateway.ActionDefer, // a fault of ours must not be a way in
			gateway.AuthorAmbiguous: gateway.ActionReject,
		},
		Measures: []Measure{
			{"reject", "fails, and the domain asks for reject", 3},
			{"quarantine", "fails, and the domain asks for quarantine", 2},
			{"none", "fails, and the domain asks for nothing: RFC 9989 wants that to change nothing", 0},
			{"broken", "the domain's record cannot be read", 0.5},
		},
		Options: &DMARCOptions{Method: dmarc.TreeWalk.String()},
		Build: func(options any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			d.dmarc = options.(*DMARCOptions)
			return Built{Run: d.runDMARC}, nil
		},
	}
}

// DMARCOptions are the options of checks.dmarc.
type DMARCOptions struct {
	Method string   `toml:"method" enum:"treewalk,psl" default:"treewalk" rfc:"RFC 9989 section 4.10, RFC 7489 section 3.2" doc:"How it is told which domains are of one organization. treewalk: by their records, up the DNS tree, with the tags np, psd and t; psl: by the public suffix list that this program was built with, with the tag pct."`
	Hints  []string `toml:"hints" default:"List-Id,X-Forwarded-To,X-Forwarded-For,Resent-To" doc:"Header fields that hint at a mailing list or a forwarder; an ARC set and a reverse-path that a forwarder rewrote (SRS) do, too. Anybody can write them: they turn reject into quarantine for a host that is new, and for one that was seen to leave the mail of others whole, and for no other."`
}

// Validate wants names of fields.
func (o *DMARCOptions) Validate(report func(key, message, instead string)) {
	for i, name := range o.Hints {
		bad := func(c rune) bool { return c <= ' ' || c > '~' || c == ':' }
		if name == "" || strings.ContainsFunc(name, bad) {
			report("hints["+strconv.Itoa(i)+"]", strconv.Quote(name)+" is no name of a header field", "write the name alone, as List-Id")
		}
	}
}

// defaultHints are those of DMARCOptions.Hints.
var defaultHints = [...]string{"List-Id", "X-Forwarded-To", "X-Forwarded-For", "Resent-To"}

// method is how organizations are told apart.
func (o *DMARCOptions) method() dmarc.Method {
	if o != nil && o.Method == dmarc.PSL.String() {
		return dmarc.PSL
	}
	return dmarc.TreeWalk
}

func (d *Deps) runDMARC(ctx context.Context, in *gateway.Input) gateway.Finding {
	a := d.dmarcShared(ctx, in.Envelope)
	if a.asked == nil {
		return gateway.CouldNotTell(gateway.CheckPanicked).Show("panic", "the check access.author, which asks for the same, did not get through")
	}
	if a.crowd && !isInside(in.Session.Client.Addr()) {
		return a.tell(gateway.Failed(gateway.AuthorAmbiguous, "its From field names more addresses than DMARC looks at"))
	}
	if a.Outcome == nil {
		return a.tell(gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput})
	}
	if a.inside && a.Result != dmarc.Pass {
		// SPF cannot tell: that a signature is missing says nothing of mail that was not sent to us over the Internet.
		f := gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
		if in.Session.Relay {
			f.Reason = gateway.LeftRelayed
			return a.asked.show(f.Show("client", "a trusted relay: SPF would speak about it and not about who sent, so that DMARC can pass and not fail"))
		}
		return a.asked.show(f.Show("client", "inside: SPF cannot speak about it, so that DMARC can pass and not fail"))
	}
	f := a.tell(d.judgeable(ctx, in.Envelope, &a))
	f.Proves, _ = a.proven(authorOf(in.Envelope))
	return a.asked.show(f)
}

// judgeable is the finding: what was found, in the words that policy knows.
func (d *Deps) judgeable(ctx context.Context, e *gateway.Envelope, a *dmarcAnswer) gateway.Finding {
	now := time.Now()
	a.findPath(ctx, d, e)
	switch a.Result {
	case dmarc.Pass, dmarc.NoRecord:
		return gateway.Passed()
	case dmarc.PermError:
		return gateway.Failed(gateway.DMARCBroken, a.Author, a.Why).With(gateway.Yes("broken"))
	}
	a.ask(d.arcVouches(ctx, e, a.Author))
	if a.Result == dmarc.Fail {
		return d.failed(now, a)
	}
	switch k := d.knownDomain(a.Author); {
	case a.Identical:
		a.because("its own domain is authenticated: whatever the record says, it would pass")
	case a.sealer != "":
		a.because("it passed at a trusted ARC sealer: " + a.sealer)
	case a.Record != nil && a.Requested <= dmarc.None:
		a.because("the record asks for nothing")
	case k.Held(now):
		a.because("the domain has asked for " + k.Asks + " since " + k.AsksSince.UTC().Format(time.DateOnly) + ", and DNS has not been silent for long")
		return gateway.CouldNotTell(gateway.DMARCHeld, a.Author)
	case k.AsksSince.IsZero():
		a.because("the domain is not known to ask for anything")
	default:
		a.because("the domain is not known for long enough, or DNS has been silent for too long, to hold its mail")
	}
	return gateway.CouldNotTell(gateway.DNSFailed, a.Author)
}

// failed is for a message that fails.
func (d *Deps) failed(now time.Time, a *dmarcAnswer) gateway.Finding {
	if a.sealer != "" {
		a.override = "trusted_forwarder"
		return gateway.Passed()
	}
	switch a.Requested {
	case dmarc.Quarantine:
		return gateway.Failed(gateway.DMARCQuarantine, a.Author).With(gateway.Yes("quarantine"))
	case dmarc.Reject:
	default:
		return gateway.Failed(gateway.DMARCUnasked, a.Author).With(gateway.Yes("none"))
	}
	f := gateway.Failed(gateway.DMARCReject, a.Author).With(gateway.Yes("reject"))
	if a.untold != "" { // what DNS may tell in an hour is not refused for good
		f = gateway.CouldNotTell(gateway.DMARCHeld, a.Author)
	}
	if a.path == (gateway.Path{}) {
		return f
	}
	k := d.knownPath(a.path)
	standing := k.Standing(now)
	a.because("it may have come by a list or a forwarder: " + a.hint + "; the host " + a.path.Host + " is " + standing.String() + ", " +
		strconv.Itoa(k.Host.Passed) + " of " + strconv.Itoa(k.Host.Judged) + " messages of others that it brought passed")
	if standing == gateway.PathDoubted {
		return f
	}
	return gateway.Failed(gateway.DMARCIndirect, a.Author).With(gateway.Yes("reject"))
}
