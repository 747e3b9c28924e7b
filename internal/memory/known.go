package memory

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
)

// Keeper keeps what is known over a restart: of each kind, names and what is known of them as JSON. It is safe for
// concurrent use.
type Keeper interface {
	// Load yields all that is kept of a kind.
	Load(ctx context.Context, kind string, yield func(name string, value []byte)) error
	// Save keeps these, each in place of what was kept under its name. One without a value is forgotten.
	Save(ctx context.Context, kind string, changed map[string][]byte) error
}

// KnownOptions are those of Known; all may be left out.
type KnownOptions struct {
	Domains  int // author domains at once; 0: DefaultDomains
	Paths    int // hosts, and what they tell, at once; 0: DefaultPaths
	Sealers  int // ARC sealers at once; 0: DefaultSealers
	Contacts int // senders with the domains that had mail of them; 0: DefaultContacts
	Log      *slog.Logger
}

// How much is known at most. Beyond it those are forgotten of a few that were seen longest ago; before them those that were
// seen on one day only, so that a flood of names that nobody heard of forgets itself.
const (
	DefaultDomains = 1 << 16 // about 14 MiB
	DefaultPaths   = 1 << 15 // about 12 MiB
	DefaultSealers = 1 << 10
)

// Known knows author domains, ways of mail and ARC sealers: what filters.Known wants, and what Learn was told. Its methods
// are safe for concurrent use and never wait for the store.
type Known struct {
	domains  table[string, domain]
	paths    table[gateway.Path, past]
	sealers  table[string, sealer]
	contacts table[contactKey, contact]
}

// NewKnown makes an empty memory.
func NewKnown(o KnownOptions) *Known {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	k := &Known{}
	seed := maphash.MakeSeed() // of our own, so that nobody can choose names that fill one shard
	byName := func(s string) uint64 { return maphash.String(seed, s) }
	k.domains = table[string, domain]{name: "memory of domains", loses: "no mail is held for those that are missing while DNS cannot tell",
		most: orElse(o.Domains, DefaultDomains), hash: byName, own: strings.Clone,
		rank: (*domain).rank, ended: (*domain).ended, merge: (*domain).merge, log: o.Log, forgets: true}
	k.paths = table[gateway.Path, past]{name: "memory of paths", loses: "those that are missing are young again",
		most: orElse(o.Paths, DefaultPaths), hash: func(p gateway.Path) uint64 { return byName(p.Host) + 31*byName(p.Told) }, own: ownPath,
		rank: (*past).rank, ended: (*past).ended, merge: (*past).merge, log: o.Log, forgets: true}
	k.sealers = table[string, sealer]{name: "memory of sealers", loses: "they are counted anew",
		most: orElse(o.Sealers, DefaultSealers), hash: byName, own: strings.Clone,
		rank: (*sealer).rank, ended: (*sealer).ended, merge: (*sealer).merge, log: o.Log, forgets: true}
	k.contacts = contactsTable(o)
	return k
}

func orElse(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Keep has a store keep what is known, from now on. It is called before Load and Run, and not at all without a store.
func (k *Known) Keep(store Keeper) {
	same := func(s string) string { return s }
	k.domains.store = keptRows[string, domain]{store, "domain", same, same, (*domain).sane}
	k.paths.store = keptRows[gateway.Path, past]{store, "path", pathName, pathOf, (*past).sane}
	k.sealers.store = keptRows[string, sealer]{store, "sealer", same, same, (*sealer).sane}
	k.contacts.store = keptContacts(store)
}

// Load takes over what the store kept. A store that cannot be read costs the memory and nothing else.
func (k *Known) Load(ctx context.Context) {
	k.domains.load(ctx)
	k.paths.load(ctx)
	k.sealers.load(ctx)
	k.contacts.load(ctx)
}

// Run saves what changed, about every second, within a minute what is only one more of what is known, and all at the end,
// until ctx is done.
func (k *Known) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { k.domains.run(ctx) })
	all.Go(func() { k.paths.run(ctx) })
	all.Go(func() { k.sealers.run(ctx) })
	all.Go(func() { k.contacts.run(ctx) })
	all.Wait()
}

// Len returns how many domains, paths and sealers are known.
func (k *Known) Len() (domains, paths, sealers int) {
	return k.domains.len(), k.paths.len(), k.sealers.len()
}

// keptRows is one kind of a Keeper as a table sees it.
type keptRows[K comparable, V any] struct {
	keeper Keeper
	kind   string
	name   func(K) string
	parse  func(string) K
	sane   func(v *V, now int64) bool // whether it can have been kept by us; puts nothing behind now
}

func (r keptRows[K, V]) load(ctx context.Context, yield func(K, *V)) error {
	now := time.Now().Unix()
	return r.keeper.Load(ctx, r.kind, func(name string, value []byte) {
		k, v := r.parse(name), new(V)
		if r.name(k) != name {
			return // not written by us
		}
		if err := json.Unmarshal(value, v); err != nil || !r.sane(v, now) {
			v = nil
		}
		yield(k, v)
	})
}

func (r keptRows[K, V]) save(ctx context.Context, changed map[K]*V) error {
	batch := make(map[string][]byte, len(changed))
	for k, v := range changed {
		var text []byte
		if v != nil {
			var err error
			if text, err = json.Marshal(v); err != nil {
				return err
			}
		}
		batch[r.name(k)] = text
	}
	return r.keeper.Save(ctx, r.kind, batch)
}

// forget does nothing: the store is told of each that goes.
func (keptRows[K, V]) forget(context.Context, time.Time) error { return nil }

const day = 24 * 60 * 60 // seconds

// notBehind puts no time behind now, since what was learned while the clock was ahead would hold too long.
func notBehind(now int64, times ...*int64) {
	for _, t := range times {
		*t = min(*t, now)
	}
}

// seenOn ranks by when something was last seen, and what was seen on one day only behind all else.
func seenOn(first, last int64) int64 {
	if first/day == last/day {
		return last - 1<<40
	}
	return last
}
