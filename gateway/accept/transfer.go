package accept

import (
	"context"
	"fmt"
	"slices"

	"gatepost/gateway"
)

// transfer is one message between its end and our reply.
type transfer struct {
	a      *Acceptor
	e      *gateway.Envelope
	v      *gateway.Verdict
	fields Fields
	to     addressees
	claim  claimed
	kept   gateway.Kept // the copies of the quarantined, which nobody sees yet; nil for none
	result Result

	few        [fewKeys]bool // room for who took it, of nearly all messages
	fewMissing [fewKeys]int  // and for the places of those that have not got it
}

// run decides what becomes of the message, in this order: who has it already, what is to be quarantined on disk, the next
// hop or else the spool, the ledger, the quarantine in sight, the reply. Each step that is left by a fault tells 451.
func (t *transfer) run(ctx context.Context) {
	t.to = t.a.addressees(t.e, t.v)
	if t.to.len() == 0 {
		t.fails("deliver", fmt.Errorf("envelope: no recipient"))
		t.result.Relayed = &gateway.Relayed{}
		return
	}
	if t.claim = t.a.claim(ctx, t.e, &t.to); t.claim.late {
		t.result.Reply = onItsWay
		return
	}
	if err := t.keep(ctx); err != nil {
		t.fails("quarantine", err)
		return
	}
	took := t.claim.before(t.few[:0], t.to.len())
	missing := t.missing(took)
	t.result.Again = len(missing) == 0 && len(t.to.hop) > 0
	if len(missing) > 0 {
		t.relay(ctx, missing, took)
	}
	t.end(took)
}

// end tells the ledger how it went, then shows the copies of the quarantined, and only then says 250. A crash between the
// two leaves copies that a retry shows: it prepares them anew, and the vault knows them. What some have and others have
// not is remembered for long, since the sender was told to come again.
func (t *transfer) end(took []bool) {
	if t.result.waits {
		return
	}
	done := all(took[:len(t.to.hop)])
	for i := range t.to.vault {
		took[len(t.to.hop)+i] = done
	}
	t.claim.end(took)
	if done && t.publish() {
		t.result.Reply, t.result.Claim = accepted(t.e), t.claim.Claim
		return
	}
	if !done && t.kept != nil {
		t.kept.Drop() // the sender comes again, and brings them
	}
	if t.result.Reply.Code >= 500 && slices.Contains(took, true) {
		t.result.Reply = partly // a refusal of all of it would not be true
	}
	if t.claim.Claim != nil {
		t.claim.Heard(false)
	}
}

// missing are the addresses at the next hop that have not got the message, as places in t.to.hop.
func (t *transfer) missing(took []bool) []int {
	out := t.fewMissing[:0]
	for i := range t.to.hop {
		if !took[i] {
			out = append(out, i)
		}
	}
	return out
}

// relay hands the message to the next hop for those that have not got it, and to the spool where that is asked for and the
// next hop cannot be reached. It notes in took who has it then.
func (t *transfer) relay(ctx context.Context, missing []int, took []bool) {
	t.a.seal(ctx, t.e, &t.fields)
	d := t.delivery(missing)
	late := t.listen(missing, took)
	if late != nil {
		d.Late = late.tell
	}
	relayed := t.e.Session.Snapshot.NextHop.Relay(ctx, d)
	if len(relayed.Rcpts) > 0 {
		relayed.To = make([]gateway.Address, len(d.Rcpts))
		for i := range d.Rcpts {
			relayed.To[i] = d.Rcpts[i].Address
		}
	}
	t.result.Relayed, t.result.Reply = &relayed, discreet(told(&relayed), d.Rcpts)
	for i, at := range missing {
		took[at] = relayed.TookFor(i)
	}
	switch {
	case relayed.Result == gateway.OutcomeUnknown && relayed.Late && late != nil:
		t.handOver(late)
	case t.spools(ctx, &relayed) && t.spool(ctx, missing):
		for _, at := range missing {
			took[at] = true
		}
	}
}

// delivery is the message for some of its addresses. Its content can be read once.
func (t *transfer) delivery(which []int) *gateway.Delivery {
	e := t.e
	d := &gateway.Delivery{ID: e.ID, Route: e.Route, From: e.From, Options: e.Options, Content: t.fields.Content(e),
		Client: gateway.Client{Address: e.Session.Client, Helo: e.Session.Helo.Name, ESMTP: e.Session.Helo.Extended, Name: reverse(e)}}
	d.Rcpts = t.to.hop
	if len(which) < len(t.to.hop) {
		d.Rcpts = make([]gateway.Recipient, len(which))
		for i, at := range which {
			d.Rcpts[i] = t.to.hop[at]
		}
	}
	return d
}

// reverse is the verified name of the client.
func reverse(e *gateway.Envelope) string {
	if name := gateway.Evident(e.Findings, gateway.EvidenceReverse); name != "" {
		return name
	}
	return gateway.Evident(e.Session.Findings, gateway.EvidenceReverse)
}

// keep prepares the copies of the quarantined, invisible until the rest is delivered.
func (t *transfer) keep(ctx context.Context) (err error) {
	if len(t.to.vault) > 0 {
		k := keeping(t.e, t.v, &t.fields)
		k.Rcpts, k.Keys, k.Message = t.to.vault, t.to.keys[len(t.to.hop):], t.claim.message()
		t.kept, err = t.a.Vault.Prepare(ctx, k)
	}
	return err
}

// publish shows the copies of the quarantined; it reports whether that was done, or there were none.
func (t *transfer) publish() bool {
	if t.kept == nil {
		return true
	}
	if err := t.kept.Publish(); err != nil {
		t.fails("quarantine: publish", err)
		return false
	}
	return true
}

// fails tells of a fault of ours.
func (t *transfer) fails(what string, err error) {
	t.a.fault(what, t.e, err)
	t.result.Reply = ownFault
}

func all(took []bool) bool { return !slices.Contains(took, false) }
