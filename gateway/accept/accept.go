package accept

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gatepost/gateway"
)

// Acceptor ends transactions. Vault, Spool and Ledger may be nil: then quarantined mail is delivered with its mark, every
// message goes through, and a retry of what was delivered is another copy.
type Acceptor struct {
	Vault  gateway.Vault
	Spool  gateway.Spool
	Ledger gateway.Ledger
	Names  *Names       // of messages in the ledger; nil for those without a key
	Log    *slog.Logger // faults of ours; nil for none
}

// What is told after the dot, besides the next hop's own words.
var (
	unknownOutcome = gateway.Reply{Code: 451, Enhanced: "4.4.2",
		Text: "The mail server behind this host did not confirm the message; send it again later"}
	ownFault = gateway.Reply{Code: 451, Enhanced: "4.3.0",
		Text: "The message could not be handed on right now; send it again later"}
	partly = gateway.Reply{Code: 451, Enhanced: "4.3.0",
		Text: "The message was taken for some of its recipients, and not for the others; send it again later"}
	onItsWay = gateway.Reply{Code: 451, Enhanced: "4.4.2",
		Text: "An earlier attempt at the same message has not ended yet; send it again later"}
)

// Deliver ends the transaction of an envelope whose message was read whole and judged. A refusal is told; everything else
// is relayed, and only the next hop's 250, or the spool's word, becomes one. A client that goes away meanwhile does not
// stop the relay: the message is whole, and stopping could only turn a delivery into an unknown outcome. So ctx stops it by
// its deadline only, or after Limits.ReplyTime where it has none.
func (a *Acceptor) Deliver(ctx context.Context, e *gateway.Envelope, v *gateway.Verdict) (r Result) {
	defer func() {
		if p := recover(); p != nil {
			a.fault("deliver: panic", e, fmt.Errorf("%v", p))
			r.Reply, r.Claim, r.Spooled = ownFault, nil, ""
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
	t := &transfer{a: a, e: e, v: v, fields: Compose(e, v, time.Now())}
	if err := t.fields.edit(e, v); err != nil && !t.keepAll(err) {
		return t.result
	}
	defer t.claim.end(nil) // whatever happens: others wait for it
	t.run(within)
	t.result.Removed, t.result.Edits, t.result.ScannedBy = t.fields.Removed, t.fields.Edits, t.fields.ScannedBy
	return t.result
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
