package accept

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gatepost/gateway"
)

// Acceptor ends transactions. Vault, Spool and Ledger may be nil: then quarantined mail is delivered with its mark, and
// every message goes through.
type Acceptor struct {
	Vault  gateway.Vault
	Ledger gateway.Ledger
	Log    *slog.Logger // faults of ours; nil for none
}

// What is told after the dot, besides the next hop's own words.
var (
	unknownOutcome = gateway.Reply{Code: 451, Enhanced: "4.4.2",
		Text: "The mail server behind this host did not confirm the message; send it again later"}
	ownFault = gateway.Reply{Code: 451, Enhanced: "4.3.0",
		Text: "The message could not be handed on right now; send it again later"}
)

// Deliver ends the transaction of an envelope whose message was read whole and judged. A refusal is told; everything else
// is relayed, and only the next hop's 250 becomes one. A client that goes away meanwhile does not stop the relay: the
// message is whole, and stopping could only turn a delivery into an unknown outcome. So ctx stops it by its deadline only,
// or after Limits.ReplyTime where it has none.
func (a *Acceptor) Deliver(ctx context.Context, e *gateway.Envelope, v *gateway.Verdict) (r Result) {
	defer func() {
		if p := recover(); p != nil {
			a.fault("deliver: panic", e, fmt.Errorf("%v", p))
			r.Reply = ownFault
		}
		r.Reply = r.Reply.WithReference(e.ID)
	}()
	if v.Outcome.Refuses() {
		return Result{Reply: refusal(v)}
	}
	if e.Body == nil || e.Header == nil {
		a.fault("deliver", e, fmt.Errorf("envelope: no message"))
		return Result{Reply: ownFault}
	}
	until, bounded := ctx.Deadline()
	if !bounded {
		until = time.Now().Add(replyTime(e))
	}
	within := gateway.Within(context.WithoutCancel(ctx), until)
	defer within.End()
	ctx = within

	fields := Compose(e, v, time.Now())
	r = Result{Removed: fields.Removed, Edits: fields.Edits, ScannedBy: fields.ScannedBy}
	claim := a.claim(ctx, e)
	if claim.done() {
		r.Reply = accepted(e)
		return r
	}
	kept, err := a.keep(ctx, e, v)
	if err != nil {
		a.fault("quarantine", e, err)
		claim.end(false)
		r.Reply = ownFault
		return r
	}
	a.seal(ctx, e, &fields)
	r.Edits = fields.Edits
	r = a.relay(ctx, e, v, fields, r)
	delivered := r.Relayed == nil || r.Relayed.Result == gateway.Delivered
	claim.end(delivered)
	switch {
	case kept == nil:
	case !delivered:
		kept.Drop()
	default:
		if err := kept.Publish(); err != nil {
			a.fault("quarantine: publish", e, err)
			r.Reply = ownFault
			return r
		}
	}
	if delivered {
		r.Reply = accepted(e)
	}
	return r
}

// relay hands the message to the next hop, for the recipients that are to get it. When the vault took it for all of them,
// there is nothing to relay.
func (a *Acceptor) relay(ctx context.Context, e *gateway.Envelope, v *gateway.Verdict, f Fields, r Result) Result {
	rcpts := a.recipients(e, v)
	if len(rcpts) == 0 && a.Vault != nil && v.Outcome == gateway.Quarantine {
		return r
	}
	if len(rcpts) == 0 {
		a.fault("deliver", e, fmt.Errorf("envelope: no recipient"))
		r.Relayed, r.Reply = &gateway.Relayed{}, ownFault
		return r
	}
	relayed := e.Session.Snapshot.NextHop.Relay(ctx, &gateway.Delivery{ID: e.ID, Route: e.Route, From: e.From,
		Options: e.Options, Rcpts: rcpts, Content: f.Content(e)})
	r.Relayed = &relayed
	r.Reply = told(&relayed)
	return r
}

// told is what the sender hears of a relay that did not deliver: the next hop's own words where it refused, and never a
// success, whatever the edge behind the port says.
func told(r *gateway.Relayed) gateway.Reply {
	switch reply := r.Reply; {
	case r.Result == gateway.OutcomeUnknown && (reply.Code < 400 || reply.Code >= 500):
		return unknownOutcome
	case r.Result == gateway.RefusedByHop && reply.Code >= 500 && reply.Code < 600:
		return reply
	case reply.Code >= 400 && reply.Code < 500:
		return reply
	}
	return ownFault
}

// recipients are those whose copy goes to the next hop, each address once (RFC 5321 section 3.3 lets a client name one
// twice). Without a vault the quarantined go as well, marked.
func (a *Acceptor) recipients(e *gateway.Envelope, v *gateway.Verdict) []gateway.Recipient {
	out := make([]gateway.Recipient, 0, len(e.Rcpts))
	seen := make(map[string]bool, len(e.Rcpts))
	for i := range e.Rcpts {
		to := &e.Rcpts[i]
		if !to.Accepted() || seen[to.Address.Key()] {
			continue
		}
		if a.Vault != nil && i < len(v.Rcpts) && v.Rcpts[i].Outcome == gateway.Quarantine {
			continue
		}
		seen[to.Address.Key()] = true
		out = append(out, *to)
	}
	return out
}

// keep prepares the copies of the quarantined, invisible until the rest is delivered.
func (a *Acceptor) keep(ctx context.Context, e *gateway.Envelope, v *gateway.Verdict) (gateway.Kept, error) {
	if a.Vault == nil {
		return nil, nil
	}
	var rcpts []gateway.Recipient
	for i := range e.Rcpts {
		if e.Rcpts[i].Accepted() && i < len(v.Rcpts) && v.Rcpts[i].Outcome == gateway.Quarantine {
			rcpts = append(rcpts, e.Rcpts[i])
		}
	}
	if len(rcpts) == 0 {
		return nil, nil
	}
	return a.Vault.Prepare(ctx, e, v, rcpts)
}

func accepted(e *gateway.Envelope) gateway.Reply {
	return gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Accepted, " + e.ID.String()}
}

func refusal(v *gateway.Verdict) gateway.Reply {
	if v.Reply.Code >= 400 {
		return v.Reply
	}
	return ownFault
}

func replyTime(e *gateway.Envelope) time.Duration {
	if t := e.Session.Snapshot.Limits.ReplyTime; t > 0 {
		return t
	}
	return 400 * time.Second // PRODUCT: whole wait
}

func (a *Acceptor) fault(what string, e *gateway.Envelope, err error) {
	if a.Log != nil {
		a.Log.Error(what, "id", e.ID.String(), "error", err)
	}
}
