package filters

import (
	"context"
	"errors"

	"gatepost/gateway"
	"gatepost/internal/shaping"
)

// greylistNull lets the bounces of strangers wait.
func greylistNull() Definition {
	return Definition{
		Name: "greylist.null", Stage: gateway.Data, Class: gateway.ClassLimiting,
		Doc:     "Does a suspect stranger that sends from the null reverse-path try again? It is asked only when the message is there: others verify our addresses with RCPT from <>, and must not be told to wait (call-outs). All options are those of greylist; of several recipients the mildest mode counts, since there is one reply for all.",
		RFC:     "RFC 6647, RFC 5321 section 4.5.5",
		Action:  gateway.ActionDefer,
		Unknown: gateway.ActionPass,
		Measures: []Measure{
			{"waited", "the sender passed now after it waited; the value is in seconds since its first try", 0},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Shaper == nil || d.Keyer == nil || d.Resolver == nil {
				return Built{}, errors.New("needs a store and a resolver")
			}
			d.wants[gateway.Data].tries = d.greylistNullTries
			return Built{Run: d.runGreylistNull, Ready: d.greylistNullReady}, nil
		},
	}
}

func (d *Deps) greylistNullReady(in *gateway.Input) bool {
	_, mode := d.greylistNullMode(in)
	return mode == greyOff || d.greylistKnows(in, mode)
}

// greylistNullMode returns the recipient under which the message is remembered, and who waits that writes to its recipients;
// greyOff where it is no bounce, or this client never does.
func (d *Deps) greylistNullMode(in *gateway.Input) (to string, mode greyMode) {
	if d.greylist == nil || !in.Envelope.From.IsNull() || d.neverWaits(in.Session) {
		return "", greyOff
	}
	return d.mildest(in.Envelope)
}

// mildest returns the recipient under which a message of the null reverse-path is remembered, the first by name, since a
// client may name them in another order the next time; and the mildest mode of all.
func (d *Deps) mildest(e *gateway.Envelope) (to string, mode greyMode) {
	mode = greyEveryone
	for i := range e.Rcpts {
		r := &e.Rcpts[i]
		if !r.Accepted() {
			continue
		}
		mode = min(mode, d.greylist.modeFor(r.Address, e.Started))
		if key := r.Address.Key(); to == "" || key < to {
			to = key
		}
	}
	return to, mode
}

// greylistNullTries asks for the pair of the message.
func (d *Deps) greylistNullTries(ctx context.Context, in *gateway.Input, a *shaping.Ask) {
	if to, mode := d.greylistNullMode(in); mode != greyOff {
		d.askGreylist(ctx, in, mode, to, a)
	}
}

func (d *Deps) runGreylistNull(ctx context.Context, in *gateway.Input) gateway.Finding {
	_, mode := d.greylistNullMode(in)
	if mode == greyOff {
		return notGreylisted()
	}
	g := d.guest(ctx, in)
	if !d.waits(ctx, in.Envelope, g, mode) {
		return g.spared()
	}
	return g.found(d.step(ctx, gateway.Data, in), "waited")
}
