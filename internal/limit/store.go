package limit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Store counts against limits. Its methods are safe for concurrent use. All Stores behave as internal/lab/limittest says.
type Store interface {
	// Take counts all charges, or none if one of them that is not observed is over its limit. The Store's own clock counts:
	// that of the machine, or of the server that all nodes share. It sets Ahead of each charge. An error (of Check, or
	// because the Store is away) says nothing about any limit, and whether something was counted is then not known.
	Take(ctx context.Context, charges []Charge) (Answer, error)
}

// Charge is what one event costs one key.
type Charge struct {
	Key  Key
	Rate Rate
	// Cost is in the key's unit, at least 1. What costs more than the burst takes all of it: it passes a key that is at
	// rest, so that nothing is refused for ever.
	Cost int64
	// Observed says that the charge never denies. One that is over its limit is told of in Answer.Over and not counted.
	Observed bool
	// Asked says that the charge only asks: it denies as its cost would, and counts nothing. So a client that is over its
	// limit of unknown recipients is known before one more recipient is looked up for it.
	Asked bool
	// Ahead is set by Take: how far the key's TAT is ahead of now after the call. 0 is a key at rest, Rate.Full one that
	// has nothing left.
	Ahead time.Duration
}

// Answer says what became of a Take. Its zero value is no answer: nobody denied is Denied -1.
type Answer struct {
	// Denied is the index of the charge that denies, of several the one that has to wait longest, of equals the first; -1
	// where all was counted.
	Denied int
	// Wait is how long it takes until the charge that denied would pass, if nothing else is counted meanwhile: 0 where all
	// was counted, else at least a microsecond and at most Rate.Full. All others would pass then too.
	Wait time.Duration
	// Over has bit i set where charge i was over its limit, denying or observed.
	Over uint32
}

// OK reports whether all was counted, but for what is observed and over.
func (a Answer) OK() bool { return a.Denied < 0 }

// Most charges of one call, and octets of a subject.
const (
	MostCharges = 16
	MostSubject = 96
)

// ErrCharge says that a call is not one: its caller is wrong, and no limit was asked.
var ErrCharge = errors.New("limit: not a charge")

// Check says what is wrong with the charges of a call. Each Store asks it first: 1 to MostCharges of them, of keys that
// differ, each with a subject, a valid rate and a cost.
func Check(charges []Charge) error {
	if len(charges) == 0 || len(charges) > MostCharges {
		return fmt.Errorf("%w: %d at once, 1 to %d can be", ErrCharge, len(charges), MostCharges)
	}
	for i := range charges {
		c := &charges[i]
		switch {
		case c.Key.Subject == "" || len(c.Key.Subject) > MostSubject:
			return fmt.Errorf("%w: %s: a subject of %d octets", ErrCharge, c.Key.Limit(), len(c.Key.Subject))
		case !c.Rate.Valid():
			return fmt.Errorf("%w: %s: a rate of %d every %d us", ErrCharge, c.Key.Limit(), c.Rate.Burst, c.Rate.Interval)
		case c.Cost < 1:
			return fmt.Errorf("%w: %s: a cost of %d", ErrCharge, c.Key.Limit(), c.Cost)
		}
		for j := range i {
			if charges[j].Key == c.Key {
				return fmt.Errorf("%w: %s: twice in one call", ErrCharge, c.Key.Limit())
			}
		}
	}
	return nil
}
