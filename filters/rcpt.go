package filters

import (
	"context"
	"errors"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
)

// rcpt asks the next hop whether a recipient exists, before the message.
func rcpt() Definition {
	return Definition{
		Name: gateway.RcptCheck, Stage: gateway.Rcpt, Class: gateway.ClassRecipient,
		Doc:     "Does the recipient exist? The next hop of its route is asked, and its answers are remembered; where it refuses or postpones the recipient for another reason, the sender gets its own words. Or it is looked up in the directories of its route or domain. Left out where recipients = \"none\"; postmaster and abuse always exist.",
		RFC:     "RFC 5321 section 3.3, RFC 3463 section 3.2",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Recipients == nil {
				return Built{}, errors.New("needs a route whose next hop can be asked; or write action = \"off\"")
			}
			return Built{Run: d.runRcpt}, nil
		},
	}
}

func (d *Deps) runRcpt(ctx context.Context, in *gateway.Input) gateway.Finding {
	to := in.Recipient()
	if to.Route == "" {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}.Show("route", "none: nobody can be asked")
	}
	if to.To == nil {
		a := d.Recipients.Ask(ctx, to.Route, in.Envelope.From, to.Address)
		return d.orCatchAll(ctx, in, showAnswer(answered(&a, to.Address, to.Route), &a, to.Route))
	}
	return d.orCatchAll(ctx, in, d.askTargets(ctx, in, gateway.Destination{Route: to.Route, To: to.To, Why: d.Policy.Destination(to.Address).Why}))
}

// answered makes the finding of an answer about one address. Pass says that somebody who knows was asked, and knows it; one
// that is taken without is NotRun. The ledger and the spool read it so.
func answered(a *recipients.Answer, to gateway.Address, route string) gateway.Finding {
	var f gateway.Finding
	switch a.Kind {
	case recipients.NotAsked:
		f = gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
		if a.Everyone {
			return f.Show("accepts everyone", "the next hop takes every recipient of this domain, so that its yes is worth nothing; gatepost recipients directories tells more")
		}
		if !a.Role {
			return f.Show("route", route+" does not have its recipients checked")
		}
		return f.Show("role", to.RoleOf()+" always exists (RFC 5321 section 4.5.1, RFC 2142); whoever was asked does not know it")
	case recipients.Known:
		f = gateway.Passed()
	case recipients.Unknown:
		f = gateway.Failed(gateway.RcptUnknown, to.Text)
	case recipients.Refused:
		f = gateway.Failed(gateway.RcptRefused, replyArgs(a.Reply)...)
	case recipients.Deferred:
		f = gateway.CouldNotTell(gateway.RcptRefused, replyArgs(a.Reply)...)
	default:
		f = gateway.CouldNotTell(gateway.NextHopAway)
		if busy := gateway.Word(gateway.Defer, gateway.NextHopBusy, nil); a.Reply == busy {
			f = gateway.CouldNotTell(gateway.NextHopBusy)
		}
		if a.Directory != "" {
			f = gateway.CouldNotTell(gateway.DirectoryAway)
		}
	}
	return f
}

// replyArgs are the next hop's own words as the reason takes them.
func replyArgs(r gateway.Reply) []string {
	return []string{strconv.Itoa(r.Code), r.Enhanced, r.Text}
}

// showAnswer tells who said it, when, and in what words.
func showAnswer(f gateway.Finding, a *recipients.Answer, route string) gateway.Finding {
	if a.Kind == recipients.NotAsked && !a.Role && !a.Everyone {
		return f
	}
	if a.Directory != "" {
		text := a.Directory + ": " + a.Kind.String() + ", as seen " + a.Age.Round(time.Second).String() + " ago"
		if a.Said != "" {
			text = a.Directory + ": " + a.Said
		}
		return f.Show("directory", text)
	}
	who := "route " + route
	if a.NextHop != "" {
		who += ", " + a.NextHop
	}
	f = f.Show("next hop", who)
	if a.FromCache {
		f = f.Show("remembered", a.Kind.String()+", for "+a.Age.Round(time.Second).String())
	}
	switch {
	case a.Said != "":
		f = f.Show("said", a.Said)
	case !a.Reply.IsZero():
		f = f.Show("said", a.Reply.String())
	}
	return f
}
