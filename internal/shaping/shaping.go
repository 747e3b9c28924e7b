package shaping

import (
	"context"
	"time"

	"gatepost/greylist"
	"gatepost/internal/limit"
)

// Ask is what one stage asks. It belongs to one goroutine. The takes are done before the tries, each in its order.
type Ask struct {
	Takes []Take
	Tries []Try
}

// Take counts all of its charges or none; see limit.Store.
type Take struct {
	Charges []limit.Charge
	limit.Answer
	Err   error // nil: Answer is one
	Alone bool  // Redis did not answer, and this process alone counted, with its part of each rate
}

// Try tries a pair; see greylist.Store.
type Try struct {
	Key      greylist.Key
	Settings greylist.Settings
	greylist.Answer
	Err   error // nil: Answer is one
	Alone bool  // Redis did not answer, or knows less, and the answer is what this process remembers
}

// Stores are the limits and the greylist of this process, and with Redis those of all nodes. The methods are safe for
// concurrent use.
type Stores struct {
	limits   *limit.Memory
	greylist *greylist.Memory
	shared   *shared // nil without Redis
}

// New makes stores of what this process keeps.
func New(limits *limit.Memory, grey *greylist.Memory) *Stores {
	return &Stores{limits: limits, greylist: grey}
}

// Do asks everything at once, and fills in what came of each.
func (s *Stores) Do(ctx context.Context, a *Ask) {
	if s.shared != nil {
		s.shared.do(ctx, s, a, time.Time{})
		return
	}
	for i := range a.Takes {
		t := &a.Takes[i]
		t.Answer, t.Err = s.limits.Take(ctx, t.Charges)
	}
	for i := range a.Tries {
		t := &a.Tries[i]
		t.Answer, t.Err = s.greylist.Try(ctx, t.Key, t.Settings, time.Now())
	}
}

// Waits reports whether Do waits for somebody else, so that it is worth a goroutine.
func (s *Stores) Waits() bool { return s.shared != nil }

// Limits is what this process counts: all of it, or with Redis what it learned of it.
func (s *Stores) Limits() *limit.Memory { return s.limits }

// Greylist is what can be seen and released by a person. With Redis it is what all nodes share, and what this process
// remembers is changed with it.
func (s *Stores) Greylist() greylist.Store {
	if s.shared != nil {
		return sharedGreylist{s}
	}
	return s.greylist
}
