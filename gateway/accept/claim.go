package accept

import (
	"context"
	"encoding/hex"

	"gatepost/gateway"
)

// claimed is what the ledger knows of a message, and will know. The zero value is that of a ledger that knows nothing.
type claimed struct {
	gateway.Claim
	name  [32]byte // of the message
	n     int      // of addressees
	ended bool
	late  bool // an earlier attempt did not end before our own time was over
}

// claim asks the ledger who has the message. A ledger that fails costs a duplicate, never a message.
func (a *Acceptor) claim(ctx context.Context, e *gateway.Envelope, to *addressees) claimed {
	if a.Ledger == nil {
		return claimed{}
	}
	digest, ok, err := a.Names.Digest(e)
	if err != nil || !ok {
		return claimed{}
	}
	claim, err := a.Ledger.Begin(ctx, digest, to.keys)
	if err != nil {
		a.fault("ledger", e, err)
		return claimed{late: ctx.Err() != nil}
	}
	return claimed{Claim: claim, name: digest, n: len(to.keys)}
}

// before says, in room where there is enough, of each of n addressees whether it has the message from an earlier attempt. What it returns may be changed.
func (c *claimed) before(room []bool, n int) []bool {
	took := append(room[:0], make([]bool, n)...)
	if c.Claim != nil {
		copy(took, c.Done())
	}
	return took
}

// end tells the ledger once who has the message; nil: nobody.
func (c *claimed) end(took []bool) {
	if c.Claim == nil || c.ended {
		return
	}
	c.ended = true
	if took == nil {
		took = make([]bool, c.n)
	}
	c.End(took)
}

// message is the name of the message in the ledger; "" where it is not in it.
func (c *claimed) message() string {
	if c.Claim == nil {
		return ""
	}
	return hex.EncodeToString(c.name[:])
}
