package accept

import (
	"context"
	"slices"

	"gatepost/gateway"
)

// claimed is what the ledger knows of a message, and will know. The zero value is that of a ledger that knows nothing.
type claimed struct {
	gateway.Claim
	rcpts []string
}

// claim asks the ledger to whom the message was delivered before. A ledger that fails costs a duplicate, never a message.
func (a *Acceptor) claim(ctx context.Context, e *gateway.Envelope) claimed {
	if a.Ledger == nil {
		return claimed{}
	}
	digest, ok, err := Digest(e)
	if err != nil || !ok {
		return claimed{}
	}
	var rcpts []string
	for i := range e.Rcpts {
		if key := e.Rcpts[i].Address.Key(); e.Rcpts[i].Accepted() && !slices.Contains(rcpts, key) {
			rcpts = append(rcpts, key)
		}
	}
	claim, err := a.Ledger.Begin(ctx, digest, rcpts)
	if err != nil {
		a.fault("ledger", e, err)
		return claimed{}
	}
	return claimed{claim, rcpts}
}

// done reports whether all of it was delivered before.
func (c claimed) done() bool { return c.Claim != nil && !slices.Contains(c.Done(), false) }

// end tells the ledger what came of it.
func (c claimed) end(delivered bool) {
	if c.Claim == nil {
		return
	}
	all := make([]bool, len(c.rcpts))
	for i := range all {
		all[i] = delivered
	}
	c.End(all)
}
