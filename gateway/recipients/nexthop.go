package recipients

import (
	"context"

	"gatepost/gateway"
)

// nextHop relays and learns from it.
type nextHop struct {
	gateway.NextHop
	r *Recipients
}

// Learning returns next, from whose relays r learns: a message that was delivered shows that its recipients are known,
// and where replies to RCPT decided, each is kept, so that the sender's retry is answered at RCPT.
func (r *Recipients) Learning(next gateway.NextHop) gateway.NextHop { return nextHop{next, r} }

// Relay hands the message over and learns.
func (n nextHop) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	out := n.NextHop.Relay(ctx, d)
	if n.r.unasked[d.Route] {
		return out
	}
	for i := range d.Rcpts {
		switch {
		case out.Result == gateway.Delivered:
			n.r.Learn(d.Route, d.Rcpts[i].Address, d.From, gateway.Reply{Code: 250})
		case len(out.Rcpts) == len(d.Rcpts):
			n.r.Learn(d.Route, d.Rcpts[i].Address, d.From, out.Rcpts[i])
		}
	}
	return out
}
