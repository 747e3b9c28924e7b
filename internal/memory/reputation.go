package memory

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatepost/internal/reputation"
)

// ReputationOptions are those of Reputation; all may be left out.
type ReputationOptions struct {
	Addresses int // clients and networks at once; 0: DefaultAddresses
	Names     int // organisations and domains at once; 0: DefaultNames
	Log       *slog.Logger
}

// How many histories are kept at most. Beyond it those are forgotten of a few that were seen longest ago; before them those
// that were seen on one day only. Addresses by the million so forget each other, and no name.
const (
	DefaultAddresses = 1 << 17 // about 26 MiB
	DefaultNames     = 1 << 15 // about 7 MiB
)

// Reputation keeps histories of outcomes in this process (reputation.Store). Its methods never wait.
type Reputation struct {
	addresses table[reputation.Subject, reputation.History]
	names     table[reputation.Subject, reputation.History]
}

var _ reputation.Store = (*Reputation)(nil)

// NewReputation makes an empty one.
func NewReputation(o ReputationOptions) *Reputation {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	seed := maphash.MakeSeed() // of our own, so that nobody can choose names that fill one shard
	of := func(what string, most int) table[reputation.Subject, reputation.History] {
		return table[reputation.Subject, reputation.History]{name: "reputation of " + what, loses: "those that are missing are strangers",
			most: most, hash: func(s reputation.Subject) uint64 { return maphash.String(seed, s.Name) + uint64(s.Kind)<<60 },
			own: func(s reputation.Subject) reputation.Subject {
				return reputation.Subject{Kind: s.Kind, Name: strings.Clone(s.Name)}
			},
			rank:  func(h *reputation.History) int64 { return seenOn(h.First, h.Seen) },
			ended: func(h *reputation.History, now int64) bool { return h.Over(time.Unix(now, 0)) },
			merge: func(into, old *reputation.History) { *into = into.Join(*old) },
			log:   o.Log, forgets: true}
	}
	return &Reputation{addresses: of("addresses", orElse(o.Addresses, DefaultAddresses)), names: of("names", orElse(o.Names, DefaultNames))}
}

// Keep has a store keep them, from now on. It is called before Load and Run, and not at all without a store.
func (r *Reputation) Keep(store Keeper) {
	r.addresses.store = keptRows[reputation.Subject, reputation.History]{store, "address", reputation.Subject.String, r.kept(&r.addresses), saneHistory}
	r.names.store = keptRows[reputation.Subject, reputation.History]{store, "name", reputation.Subject.String, r.kept(&r.names), saneHistory}
}

// kept reads the names of a table's rows; nobody for one that we did not write.
func (r *Reputation) kept(in *table[reputation.Subject, reputation.History]) func(string) reputation.Subject {
	return func(text string) reputation.Subject {
		if s, err := reputation.Parse(text); err == nil && len(s) == 1 && r.table(s[0]) == in {
			return s[0]
		}
		return reputation.Subject{}
	}
}

func saneHistory(h *reputation.History, now int64) bool {
	notBehind(now, &h.First, &h.Seen)
	h.Day = min(h.Day, now/day)
	return h.Seen > 0 && h.Sane() == nil
}

// Load takes over what the store kept. A store that cannot be read costs the memory and nothing else.
func (r *Reputation) Load(ctx context.Context) {
	r.addresses.load(ctx)
	r.names.load(ctx)
}

// Run saves what changed, as that of Known, until ctx is done.
func (r *Reputation) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { r.addresses.run(ctx) })
	all.Go(func() { r.names.run(ctx) })
	all.Wait()
}

// Len returns how many addresses and names have a history.
func (r *Reputation) Len() (addresses, names int) { return r.addresses.len(), r.names.len() }

func (r *Reputation) table(s reputation.Subject) *table[reputation.Subject, reputation.History] {
	if s.Kind <= reputation.Network {
		return &r.addresses
	}
	return &r.names
}

// begin is what each call begins with: is it one, and at what time is it?
func begin(ctx context.Context, subjects []reputation.Subject, now time.Time) (time.Time, error) {
	if now.IsZero() {
		now = time.Now()
	}
	if err := ctx.Err(); err != nil {
		return now, err
	}
	return now, reputation.Check(subjects)
}

// Learn is as in reputation.Store. What changes a standing is saved soon, all else within a minute.
func (r *Reputation) Learn(ctx context.Context, lessons []reputation.Lesson, now time.Time) ([]reputation.History, error) {
	now, err := begin(ctx, reputation.SubjectsOf(lessons), now)
	if err != nil {
		return nil, err
	}
	out := make([]reputation.History, len(lessons))
	for i, l := range lessons {
		if l.Counts == (reputation.Counts{}) {
			out[i] = r.table(l.Subject).get(l.Subject)
			continue
		}
		r.table(l.Subject).update(l.Subject, func(h *reputation.History, _ bool) change {
			was := h.Standing
			*h = h.Learn(l.Counts, now)
			if out[i] = *h; h.Standing != was {
				return major
			}
			return minor
		})
	}
	return out, nil
}

// Look is as in reputation.Store.
func (r *Reputation) Look(ctx context.Context, subjects []reputation.Subject, now time.Time) ([]reputation.History, error) {
	now, err := begin(ctx, subjects, now)
	if err != nil {
		return nil, err
	}
	out := make([]reputation.History, len(subjects))
	for i, s := range subjects {
		if h := r.table(s).get(s); !h.Over(now) {
			out[i] = h
		}
	}
	return out, nil
}

// Forget is as in reputation.Store.
func (r *Reputation) Forget(ctx context.Context, s reputation.Subject) (bool, error) {
	if _, err := begin(ctx, []reputation.Subject{s}, time.Time{}); err != nil {
		return false, err
	}
	return r.table(s).forget(s), nil
}

// Told takes over what a store that is shared said of a subject, so that it can be stood in for.
func (r *Reputation) Told(s reputation.Subject, h reputation.History) {
	if h.Seen == 0 {
		r.table(s).forget(s)
		return
	}
	r.table(s).update(s, func(kept *reputation.History, _ bool) change {
		switch was := *kept; {
		case was == h:
			return same
		case was.Standing != h.Standing:
			*kept = h
			return major
		}
		*kept = h
		return minor
	})
}

// Each calls a function with each history, in no order.
func (r *Reputation) Each(do func(s reputation.Subject, h reputation.History)) {
	each := func(s reputation.Subject, h *reputation.History) { do(s, *h) }
	r.addresses.each(each)
	r.names.each(each)
}
