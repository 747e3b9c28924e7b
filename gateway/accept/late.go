package accept

import (
	"fmt"
	"time"

	"gatepost/gateway"
)

// late waits for the end of a relay whose answer did not come in time: the sender was told 451, and will come again, to wait
// for the claim that is still open.
type late struct {
	a       *Acceptor
	id      gateway.ID
	claim   gateway.Claim
	kept    gateway.Kept
	missing []int  // as in transfer.relay
	took    []bool // likewise
	hop     int    // how many of took are at the next hop
	said    chan gateway.Relayed
}

// listen prepares for an answer that comes late; nil where nobody would care.
func (t *transfer) listen(missing []int, took []bool) *late {
	if t.claim.Claim == nil && t.kept == nil {
		return nil
	}
	return &late{a: t.a, id: t.e.ID, claim: t.claim.Claim, kept: t.kept, missing: missing, took: took, hop: len(t.to.hop),
		said: make(chan gateway.Relayed, 1)}
}

// tell is Delivery.Late. It never waits, and what is said twice counts once.
func (l *late) tell(r gateway.Relayed) {
	select {
	case l.said <- r:
	default:
	}
}

// handOver lets the claim and the quarantined copies outlive the transaction.
func (t *transfer) handOver(l *late) {
	t.claim.ended = true
	t.result.waits = true
	t.kept = nil
	go l.wait()
}

// wait ends the claim with the truth, or with nothing when no answer comes.
func (l *late) wait() {
	defer func() {
		if p := recover(); p != nil {
			l.fault("late answer: panic", fmt.Errorf("%v", p))
		}
	}()
	timer := time.NewTimer(gateway.Listen)
	defer timer.Stop()
	var r gateway.Relayed
	select {
	case r = <-l.said:
	case <-timer.C:
	}
	for i, at := range l.missing {
		l.took[at] = r.TookFor(i)
	}
	l.settle()
	if l.a.Log != nil {
		l.a.Log.Info("late answer", "id", l.id.String(), "result", r.Result.String(), "next_hop", r.NextHop, "said", r.Said)
	}
}

// settle is for the late what end is for the others.
func (l *late) settle() {
	done := all(l.took[:l.hop])
	for i := l.hop; i < len(l.took); i++ {
		l.took[i] = done
	}
	if l.claim != nil {
		l.claim.End(l.took)
		defer l.claim.Heard(false)
	}
	switch {
	case l.kept == nil:
	case !done:
		l.kept.Drop()
	default:
		if err := l.kept.Publish(); err != nil {
			l.fault("quarantine: publish", err)
		}
	}
}

func (l *late) fault(what string, err error) {
	if l.a.Log != nil {
		l.a.Log.Error(what, "id", l.id.String(), "error", err)
	}
}
