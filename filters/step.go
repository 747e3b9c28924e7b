package filters

import (
	"context"
	"errors"
	"sync"

	"gatepost/gateway"
	"gatepost/internal/shaping"
)

// step is all that the checks of one row ask of limits and greylist: with Redis it is one round trip. Whichever of the
// checks comes first asks for all of them; another waits for the answers. An envelope has one step for all of its
// recipients, and in it what is about the one at hand.
type step struct {
	mu   sync.Mutex
	rcpt int // of the recipient at hand
	shaping.Ask
}

// wants are what the checks of a stage ask. Each appends its own to what the row asks, and is nil while its check is off:
// the check's Build sets it. It is called once a recipient, by whichever check comes first.
type wants struct {
	takes func(ctx context.Context, in *gateway.Input, a *shaping.Ask) // of limits: rate.recipients, rate.octets
	tries func(ctx context.Context, in *gateway.Input, a *shaping.Ask) // of the greylist: greylist, greylist.null
}

// errNotAsked stands where an answer is missing, since whoever asked broke.
var errNotAsked = errors.New("not asked")

// step asks what the row of a stage asks, once, and returns what came of it. It is not changed before the next recipient,
// when all checks of the row have returned.
func (d *Deps) step(ctx context.Context, stage gateway.Stage, in *gateway.Input) *step {
	fact := "step at data"
	if stage == gateway.Rcpt {
		fact = "step at rcpt"
	}
	st := gateway.Fact(&in.Envelope.Facts, fact, func() *step { return &step{rcpt: noRcpt} })
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.rcpt == in.Rcpt {
		return st
	}
	st.rcpt, st.Takes, st.Tries = in.Rcpt, st.Takes[:0], st.Tries[:0]
	w := &d.wants[stage]
	if w.takes != nil {
		w.takes(ctx, in, &st.Ask)
	}
	if w.tries != nil {
		w.tries(ctx, in, &st.Ask)
	}
	for i := range st.Takes { // these stay if Do panics
		st.Takes[i].Err = errNotAsked
	}
	for i := range st.Tries {
		st.Tries[i].Err = errNotAsked
	}
	if len(st.Takes)+len(st.Tries) > 0 {
		d.Shaper.Do(ctx, &st.Ask)
	}
	return st
}

// noRcpt is the index of no recipient, and not that of the stages which have none.
const noRcpt = -2
