package accept

import (
	"fmt"
	"slices"
	"sync"
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

	mu   sync.Mutex
	told bool
	end  gateway.Relayed
	over chan struct{} // closed when it is told; nil while nobody waits
}

// listen prepares for an answer that comes late; nil where nobody would care.
func (t *transfer) listen(missing []int, took []bool) *late {
	if t.claim.Claim == nil && t.kept == nil {
		return nil
	}
	return &late{a: t.a, id: t.e.ID, claim: t.claim.Claim, kept: t.kept, missing: missing, took: took, hop: len(t.to.hop)}
}

// tell is Delivery.Late. It never waits, and what is said twice counts once.
func (l *late) tell(r gateway.Relayed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told {
		return
	}
	l.told, l.end = true, r
	if l.over != nil {
		close(l.over)
	}
}

// handOver lets the claim and the quarantined copies outlive the transaction.
func (t *transfer) handOver(l *late) {
	t.claim.ended = true
	t.result.waits = true
	t.kept = nil
	l.missing, l.took = slices.Clone(l.missing), slices.Clone(l.took) // the transaction's memory goes
	over := make(chan struct{})
	l.mu.Lock()
	l.over = over
	if l.told {
		close(over)
	}
	l.mu.Unlock()
	go l.wait(over)
}

// wait ends the claim with the truth, or with nothing when no answer comes.
func (l *late) wait(over <-chan struct{}) {
	defer func() {
		if p := recover(); p != nil {
			l.fault("late answer: panic", fmt.Errorf("%v", p))
		}
	}()
	timer := time.NewTimer(gateway.Listen)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	}
	l.mu.Lock()
	l.told = true
	r := l.end
	l.mu.Unlock()
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
